"""What the policy learns from: box placement (Eq. 13 to 15) and frame weights (Eq. 21).

Where the released training code computes something else, that is here, too (docs/decisions.md).
"""

from torch import Tensor

from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import expected_frame_logits, expected_frame_loss, num_mc_draws
from neurofocus.model.outputs import Decision, GlanceOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.training.cross_entropy import CrossEntropy

__all__ = ["released_temporal_loss", "size_regulariser", "spatial_loss", "temporal_loss"]


def spatial_loss(
    model: UniAdaFocus,
    glance: GlanceOutput,
    decision: Decision,
    cross_entropy: CrossEntropy,
    *,
    of_clips: bool,
) -> Tensor:
    """Return the loss of FC_Aux on the global features inside every glance frame's box (Eq. 13, 14).

    The map is a constant: the gradient reaches the policy through the box alone. The crop has P / H of the map's
    cells a side, at least one.

    Args:
        model: gives FC_Aux and the crop's settings.
        glance: the maps.
        decision: the boxes.
        cross_entropy: the loss.
        of_clips: average the features over space and frames, one loss a clip (released code); else one a frame.
    """
    maps = glance.global_maps.detach()
    batch, number, _, side, _ = maps.shape
    scale = side / model.config.frame_size
    cells = max(1, int(scale * model.config.patch_size + 0.5))
    crops = model.resample(maps.flatten(0, 1), decision.boxes.flatten(0, 1) * scale, cells)
    features = crops.mean((-2, -1)).view(batch, number, -1)
    return cross_entropy(model.policy_head(features.mean(1, keepdim=True) if of_clips else features))


def size_regulariser(decision: Decision) -> Tensor:
    """Return the mean of (1 - a)^2 over frames and both side lengths (Eq. 15, in normalised units).

    a is the size as a fraction of its free range, so 1 - a = (H_max - H_p) / (H_max - H_min). With H_max = H, a
    weight alpha here is alpha / (2 (H - H_min)^2) per square pixel in Eq. 15: alpha / 32768 for 96 to 224 pixels.
    """
    return (1 - decision.actions[..., 2:]).square().mean()


def temporal_loss(
    model: UniAdaFocus,
    decision: Decision,
    global_logits: Tensor,
    cross_entropy: CrossEntropy,
    *,
    num_samples: int,
    draws: Draws,
) -> Tensor:
    """Return Eq. 21 among the glance frames, from FC_G's loss on each of them (appendix C).

    Args:
        model: gives T0, T_G and T_L.
        decision: the frame weights.
        global_logits: FC_G's, [B, T, K]; constants here.
        cross_entropy: the loss.
        num_samples: M.
        draws: source of randomness.
    """
    config = model.config
    expected = expected_frame_loss(
        decision.frame_weights,
        cross_entropy.per_step(global_logits.detach()),
        num_draws=num_mc_draws(config.num_frames, config.num_glance_frames, config.num_focus_frames),
        num_samples=num_samples,
        draws=draws,
    )
    return cross_entropy.weighted_mean(expected)


def released_temporal_loss(
    decision: Decision,
    global_logits: Tensor,
    cross_entropy: CrossEntropy,
    *,
    num_samples: int,
    draws: Draws,
) -> Tensor:
    """Return one loss a clip on FC_G's logits, averaged over the frames that sampling would take.

    T1 is T_G // 3. By convexity the value is at most Eq. 21's for the same samples.

    Args:
        decision: the frame weights.
        global_logits: FC_G's, [B, T, K].
        cross_entropy: the loss.
        num_samples: M.
        draws: source of randomness.
    """
    logits = expected_frame_logits(
        decision.frame_weights,
        global_logits,
        num_draws=max(1, global_logits.shape[1] // 3),
        num_samples=num_samples,
        draws=draws,
    )
    return cross_entropy(logits[:, None])
