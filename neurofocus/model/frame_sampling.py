"""Which frames are glanced at and which are looked at closely (section 4.2, appendix C, Eq. 16-21).

Random choices take ``Draws``; without them every choice is the deterministic one of evaluation.
"""

import torch
from torch import Tensor

from neurofocus.model.draws import Draws

__all__ = [
    "by_weight",
    "chosen_weights",
    "draw_frames",
    "expected_frame_logits",
    "expected_frame_loss",
    "glance_frame_indices",
    "num_mc_draws",
    "quantile_frames",
    "take_frames",
    "uniform_frames",
]

_TINY = 1e-30  # a weight that underflowed still takes part: last in order, with a finite logarithm


def glance_frame_indices(
    batch: int, num_frames: int, num_glance_frames: int, *, draws: Draws | None
) -> Tensor:
    """Choose one frame in each of T_G equal groups of the T0 frames.

    Args:
        batch: number of cases.
        num_frames: T0.
        num_glance_frames: T_G, a divisor of T0.
        draws: draws uniformly within each group, per case; None: the group's middle.

    Returns:
        Strictly increasing indices, int64 [B, T].
    """
    group = num_frames // num_glance_frames
    starts = torch.arange(num_glance_frames) * group
    if draws is None:
        return (starts + group // 2).expand(batch, -1)
    shape = (batch, num_glance_frames)
    return starts + draws.integers(group, shape).cpu()


def uniform_frames(batch: int, num_frames: int, num_focus_frames: int, *, draws: Draws | None) -> Tensor:
    """Choose T_L of T0 frames evenly: dynamic frame sampling switched off (table 7).

    Args:
        batch: number of cases.
        num_frames: T0.
        num_focus_frames: T_L.
        draws: draws a position in each of T_L equal segments, per case; None: their middles.

    Returns:
        Strictly increasing indices, int64 [B, F].
    """
    segment = torch.arange(num_focus_frames)
    if draws is None:  # in integers, so that no rounding moves a middle that falls between two frames
        indices = ((2 * segment + 1) * num_frames // (2 * num_focus_frames)).expand(batch, -1)
    else:
        shape = (batch, num_focus_frames)
        offset = draws.uniform(shape, torch.float64).cpu()
        indices = ((segment + offset) * num_frames / num_focus_frames).long()
    return _strictly_increasing(indices, num_frames)


def quantile_frames(
    frame_weights: Tensor, num_frames: int, num_focus_frames: int, *, draws: Draws | None = None
) -> Tensor:
    """Choose T_L of T0 frames at evenly spaced quantiles of the weights (appendix C, test time).

    The cumulative distribution is linear inside each of the T_G bins and is inverted at (i + 1/2) / T_L, or
    anywhere in i / T_L to (i + 1) / T_L. A frame that is already taken gives way to the next one, as in the
    released code, so a peak spills to its right.

    Args:
        frame_weights: [B, T], each row a distribution.
        num_frames: T0.
        num_focus_frames: T_L.
        draws: draws the place in each part, per case, as the released code does in training; None: the middles.

    Returns:
        Strictly increasing indices, int64 [B, F].
    """
    weights = frame_weights.detach().double()
    bins = weights.shape[1]
    upper = weights @ torch.ones(bins, bins, dtype=weights.dtype, device=weights.device).triu()
    upper[:, -1] = 1.0
    shape = (len(weights), num_focus_frames)
    middle = torch.full(shape, 0.5, dtype=torch.float64)
    place = middle if draws is None else draws.uniform(shape, torch.float64)
    part = torch.arange(num_focus_frames, dtype=weights.dtype, device=weights.device)
    quantile = (part + place.to(weights.device)) / num_focus_frames
    hit = (upper[:, None] < quantile[..., None]).sum(-1).clamp(max=bins - 1)  # a search that ONNX has, too
    mass = weights.gather(1, hit).clamp_min(_TINY)
    within = 1 - (upper.gather(1, hit) - quantile) / mass
    position = (hit + within.clamp(0, 1)) / bins
    return _strictly_increasing((position * num_frames).long(), num_frames)


def draw_frames(frame_weights: Tensor, num_frames: int, num_focus_frames: int, *, draws: Draws) -> Tensor:
    """Draw T_L of T0 frames by weighted sampling without replacement (Eq. 16, training).

    Each of the T_G weights is spread evenly over its bin of the T0 frames (`_spread`). One Gumbel top-k draw replaces
    the T_L sequential ones: the same distribution.

    Args:
        frame_weights: [B, T], each row a distribution.
        num_frames: T0.
        num_focus_frames: T_L.
        draws: source of randomness.

    Returns:
        Strictly increasing indices, int64 [B, F].
    """
    weights = _spread(frame_weights.detach(), num_frames)
    return _draw_order(weights, draws)[:, :num_focus_frames].sort(-1).values


def num_mc_draws(num_frames: int, num_glance_frames: int, num_focus_frames: int) -> int:
    """Return T1 = floor(T_L / T0 * T_G), at least 1: the draws among glance frames (appendix C)."""
    return max(1, num_focus_frames * num_glance_frames // num_frames)


def expected_frame_loss(
    frame_weights: Tensor,
    frame_losses: Tensor,
    *,
    num_draws: int,
    num_samples: int,
    draws: Draws,
) -> Tensor:
    """Estimate the expected loss of the sampled frames, differentiably in the weights (Eq. 17-21).

    One Gumbel top-k draw orders all frames of a Monte Carlo sample and so gives every prefix at once. What is left
    after i - 1 draws is the tail of that order, so the numerators and denominators of Eq. 21 are running sums from
    the end: no cancellation, and memory O(B M T).

    Args:
        frame_weights: w, [B, T], each row a distribution.
        frame_losses: L_frame, [B, T]; taken as constants.
        num_draws: frames drawn a sample, T_L in Eq. 21 and T1 in appendix C.
        num_samples: M.
        draws: source of randomness.

    Returns:
        The estimate a case, [B].
    """
    batch, bins = frame_weights.shape
    with torch.autocast(frame_weights.device.type, enabled=False):
        weights = frame_weights.float().clamp_min(_TINY)[:, None].expand(batch, num_samples, bins)
        order = _draw_order(weights.detach(), draws)  # [B, M, T]
        drawn = weights.gather(-1, order)
        losses = frame_losses.detach().float()[:, None].expand_as(order).gather(-1, order)
        # A product instead of cumsum, which has no deterministic CUDA kernel: column i sums the tail from i on.
        tail = torch.ones(bins, num_draws, device=order.device).tril()
        return ((drawn * losses) @ tail / (drawn @ tail)).mean((1, 2))


def expected_frame_logits(
    frame_weights: Tensor,
    frame_logits: Tensor,
    *,
    num_draws: int,
    num_samples: int,
    draws: Draws,
) -> Tensor:
    """Average the logits of frames that sampling would take, as the released code does instead of Eq. 21.

    For every i the i - 1 frames that are already taken are drawn anew. The weights of the others, divided by their
    sum as a constant, weigh the logits; the mean is over samples and i.

    Args:
        frame_weights: w, [B, T], each row a distribution.
        frame_logits: [B, T, K]; gradients flow into both.
        num_draws: frames drawn a sample, T1.
        num_samples: M.
        draws: source of randomness.

    Returns:
        [B, K].
    """
    batch, bins = frame_weights.shape
    with torch.autocast(frame_weights.device.type, enabled=False):
        weights = frame_weights.float().clamp_min(_TINY)[:, None].expand(batch, num_samples, bins)
        shares = torch.zeros_like(weights[:, 0])
        for taken in range(num_draws):
            rest = weights
            if taken:
                rest = weights.scatter(-1, _draw_order(weights.detach(), draws)[..., :taken], 0.0)
            shares = shares + (rest / rest.detach().sum(-1, keepdim=True)).mean(1)
        return ((shares / num_draws)[:, None] @ frame_logits.float())[:, 0]


def by_weight(weights: Tensor, num_frames: int, indices: Tensor) -> Tensor:
    """Return the places of chosen frames by falling weight, equal ones in time, int64 [B, F].

    Args:
        weights: over the T_G glance frames, [B, T].
        num_frames: T0.
        indices: the chosen frames, [B, F].
    """
    return chosen_weights(weights, num_frames, indices).argsort(dim=1, descending=True, stable=True)


def chosen_weights(weights: Tensor, num_frames: int, indices: Tensor) -> Tensor:
    """Return the weights of chosen frames up to a common factor, [B, F]; arguments as in ``by_weight``."""
    return _spread(weights, num_frames).gather(1, indices)


def take_frames(frames: Tensor, indices: Tensor) -> Tensor:
    """Return entries [B, F, ...] of frames [B, T, ...] at indices [B, F]."""
    return frames[torch.arange(len(frames), device=frames.device)[:, None], indices]


def _spread(weights: Tensor, num_frames: int) -> Tensor:
    """Return the weights [B, T] as weights of the T0 frames up to a common factor, [B, T0].

    Each bin's weight is spread evenly over its T-th part of the clip, as in the distribution that evaluation
    inverts; a frame on the border of two bins gets a part of both, any other frame its bin's own weight.
    """
    bins = weights.shape[1]
    # In units of 1 / (T0 * T) of the clip all borders are whole numbers, so that the shares are exact.
    frame = torch.arange(num_frames, device=weights.device) * bins
    start = torch.arange(bins, device=weights.device)[:, None] * num_frames
    overlap = ((frame + bins).minimum(start + num_frames) - frame.maximum(start)).clamp_min(0)
    return weights @ (overlap / bins).to(weights.dtype)


def _draw_order(weights: Tensor, draws: Draws) -> Tensor:
    """Return the order in which weighted sampling without replacement takes all entries of the last axis."""
    noise = draws.exponential(tuple(weights.shape))
    # Gumbel noise is -log of exponential noise; the largest log w + g comes first.
    keys = weights.float().clamp_min(_TINY).log() - noise.clamp_min(_TINY).log().to(weights.device)
    return keys.argsort(dim=-1, descending=True)


def _strictly_increasing(indices: Tensor, num_frames: int) -> Tensor:
    """Push repeated indices to the right, then keep all below T0; both as in the released code, [B, F]."""
    steps = torch.arange(indices.shape[1], device=indices.device)
    # The running maximum of indices - steps, plus steps. ONNX has no cummax, and OpenVINO 2026.4 loses a sum that takes
    # back an earlier difference.
    ahead = steps[:, None] - steps
    pushed = torch.where(ahead >= 0, indices[:, None] + ahead, -1).amax(-1)
    return pushed.minimum(num_frames - indices.shape[1] + steps)
