"""Uni-AdaFocus: glance at every frame, decide, focus on what matters, classify (sections 3.1 and 4).

The four stages can be called one by one. Without draws each is deterministic, as at test time; with them,
frames and random boxes are drawn as in training.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurofocus.model.classifier import build_classifier
from neurofocus.model.draws import Draws
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.frame_sampling import draw_frames, glance_frame_indices, quantile_frames, uniform_frames
from neurofocus.model.outputs import Decision, FocusOutput, GlanceOutput, UniAdaFocusOutput
from neurofocus.model.patches import boxes_from_actions, crop_and_resize, interpolate_actions
from neurofocus.model.spatial_policy import SpatialPolicy
from neurofocus.model.temporal_policy import TemporalPolicy
from neurofocus.schema.model import ModelConfig

__all__ = ["UniAdaFocus"]


class UniAdaFocus(nn.Module):
    """The whole network.

    Attributes:
        config: the settings it was built from.
        global_encoder: f_G.
        local_encoder: f_L.
        classifier: f_C.
        spatial_policy: the branch of pi that places boxes.
        temporal_policy: the branch of pi that weighs frames; None where sampling is uniform.
        global_head: FC_G of Eq. 11, used in training only.
        local_head: FC_L of Eq. 11, used in training only.
        policy_head: FC_Aux of Eq. 14, used in training only.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self._repeat_gray = config.frame_channels == 1 and config.gray_input == "repeat"
        in_channels = 3 if self._repeat_gray else config.frame_channels
        self.global_encoder = build_encoder(config.global_encoder, in_channels)
        self.local_encoder = build_encoder(config.local_encoder, in_channels)
        global_channels, local_channels = self.global_encoder.out_channels, self.local_encoder.out_channels
        self.spatial_policy = SpatialPolicy(
            global_channels,
            channels=config.spatial_policy.channels,
            num_frames=config.num_glance_frames,
            map_size=-(-(config.glance_size or config.frame_size) // self.global_encoder.stride),
            scope=config.spatial_policy.scope,
        )
        self.temporal_policy = (
            TemporalPolicy(global_channels, channels=config.temporal_policy.channels)
            if config.temporal_policy.dynamic
            else None
        )
        self.classifier = build_classifier(
            config.classifier,
            in_channels=(global_channels, local_channels),
            num_frames=(config.num_glance_frames, config.num_focus_frames),
            num_classes=config.num_classes,
        )
        dropout, num_classes = config.auxiliary_dropout, config.num_classes
        self.global_head = nn.Sequential(nn.Dropout(dropout), nn.Linear(global_channels, num_classes))
        self.local_head = nn.Sequential(nn.Dropout(dropout), nn.Linear(local_channels, num_classes))
        self.policy_head = nn.Linear(global_channels, num_classes)

    def forward(self, frames: Tensor, glance_frames: Tensor | None = None) -> UniAdaFocusOutput:
        """Run all four stages deterministically.

        Args:
            frames: the T0 candidates for focus, [B, T0, C, H, W].
            glance_frames: the T_G frames for the glance, [B, T, C, H, W], where they are read separately; None:
                they are taken from ``frames``.
        """
        glance = self.glance(frames if glance_frames is None else glance_frames)
        decision = self.decide(glance)
        focus = self.focus(frames, decision)
        return UniAdaFocusOutput(
            logits=self.classify(glance, focus),
            boxes=focus.boxes,
            frame_weights=decision.frame_weights,
            frame_indices=focus.frame_indices,
            glance=glance,
            decision=decision,
            focus=focus,
        )

    def glance(self, frames: Tensor, *, draws: Draws | None = None) -> GlanceOutput:
        """Look at T_G frames with f_G (Eq. 1).

        Args:
            frames: all T0 frames, or exactly the T_G to look at, [B, T0 or T, C, H, W].
            draws: draws one frame of each group; None: the group's middle.
        """
        config = self.config
        self._check_frames(frames, (config.num_frames, config.num_glance_frames))
        if frames.shape[1] != config.num_glance_frames:
            indices = glance_frame_indices(
                len(frames), config.num_frames, config.num_glance_frames, draws=draws
            )
            frames = _take(frames, indices.to(frames.device))
        images = frames.flatten(0, 1)
        if config.glance_size is not None and config.glance_size != config.frame_size:
            images = functional.interpolate(
                images, size=config.glance_size, mode="bilinear", antialias=config.patches.antialias
            )
        maps = self._encode(self.global_encoder, images)
        maps = maps.view(*frames.shape[:2], *maps.shape[1:])
        return GlanceOutput(global_maps=maps, global_features=maps.mean((-2, -1)))

    def decide(self, glance: GlanceOutput, *, stop_gradient: bool = True) -> Decision:
        """Place a box on every glance frame and weigh the frames (sections 4.1.2 and 4.2).

        Args:
            glance: the first stage's result.
            stop_gradient: keep the policy's gradient out of f_G (section 3.3.2).
        """
        maps, features = glance.global_maps, glance.global_features
        if stop_gradient:
            maps, features = maps.detach(), features.detach()
        actions = self.spatial_policy(maps)
        if self.temporal_policy is None:
            weights = torch.full(features.shape[:2], 1 / features.shape[1], device=features.device)
        else:
            weights = self.temporal_policy(features)
        return Decision(actions=actions, boxes=self._boxes(actions), frame_weights=weights)

    def focus(
        self,
        frames: Tensor,
        decision: Decision,
        *,
        draws: Draws | None = None,
        random_boxes: bool = False,
        frame_indices: Tensor | None = None,
    ) -> FocusOutput:
        """Look at one patch of each of T_L frames with f_L (Eq. 2).

        Gradients of the patches flow into the decision's actions; pass ``decision.detach()`` to keep them out.

        Args:
            frames: all T0 frames, [B, T0, C, H, W].
            decision: the second stage's result.
            draws: draws frames by weight and random boxes; None: frames at quantiles of the weights.
            random_boxes: ignore the decision's boxes and draw P x P ones (Eq. 12); needs draws.
            frame_indices: the frames to use, [B, F]; None: chosen here.
        """
        if frame_indices is None:
            frame_indices = self.select_frames(decision, draws=draws)
        if random_boxes:
            if draws is None:
                raise ValueError("random boxes need draws")
            boxes = self.draw_boxes(frame_indices, draws=draws)
        else:
            boxes = self.place_boxes(decision, frame_indices)
        patches = self.crop(frames, boxes, frame_indices)
        return FocusOutput(frame_indices, boxes, patches, self.encode_patches(patches))

    def classify(self, glance: GlanceOutput, focus: FocusOutput) -> Tensor:
        """Return the logits of every exit step, [B, E, K] (Eq. 3)."""
        logits: Tensor = self.classifier(glance.global_features, focus.local_features)
        return logits

    def select_frames(self, decision: Decision, *, draws: Draws | None = None) -> Tensor:
        """Choose the T_L focus frames, strictly increasing, int64 [B, F]; see `frame_sampling`."""
        total, wanted = self.config.num_frames, self.config.num_focus_frames
        weights = decision.frame_weights
        if self.temporal_policy is None:
            return uniform_frames(len(weights), total, wanted, draws=draws).to(weights.device)
        if draws is None:
            return quantile_frames(weights, total, wanted)
        return draw_frames(weights, total, wanted, draws=draws)

    def place_boxes(self, decision: Decision, frame_indices: Tensor) -> Tensor:
        """Interpolate the T_G actions to T0 frames and return the boxes of the chosen ones, [B, F, 4]."""
        actions = interpolate_actions(decision.actions, self.config.num_frames)
        return self._boxes(_take(actions, frame_indices))

    def draw_boxes(self, frame_indices: Tensor, *, draws: Draws) -> Tensor:
        """Draw P x P boxes uniformly in the frame, one a focus frame or one a clip, [B, F, 4] (Eq. 12)."""
        batch, number = frame_indices.shape
        drawn = 1 if self.config.spatial_policy.scope == "clip" else number
        actions = draws.uniform((batch, drawn, 4))
        fixed = self.config.patches.model_copy(update={"deformable": False})
        boxes = boxes_from_actions(
            actions, fixed, frame_size=self.config.frame_size, patch_size=self.config.patch_size
        )
        return boxes.expand(batch, number, 4).to(frame_indices.device)

    def crop(self, frames: Tensor, boxes: Tensor, frame_indices: Tensor) -> Tensor:
        """Cut the boxes [B, F, 4] out of the chosen frames and resize them to P x P, [B, F, C, P, P]."""
        self._check_frames(frames, (self.config.num_frames,))
        patches = self.resample(
            _take(frames, frame_indices).flatten(0, 1), boxes.flatten(0, 1), self.config.patch_size
        )
        return patches.view(*boxes.shape[:2], *patches.shape[1:])

    def resample(self, images: Tensor, boxes: Tensor, size: int) -> Tensor:
        """Crop with this model's filter settings; see `crop_and_resize`."""
        patches = self.config.patches
        return crop_and_resize(images, boxes, size, antialias=patches.antialias, padding=patches.padding)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Return f_L's pooled features, [B, F, D], of patches [B, F, C, P, P]."""
        maps = self._encode(self.local_encoder, patches.flatten(0, 1))
        return maps.mean((-2, -1)).view(*patches.shape[:2], -1)

    def _encode(self, encoder: Encoder, images: Tensor) -> Tensor:
        maps: Tensor = encoder(images.expand(-1, 3, -1, -1) if self._repeat_gray else images)
        return maps

    def _boxes(self, actions: Tensor) -> Tensor:
        config = self.config
        return boxes_from_actions(
            actions, config.patches, frame_size=config.frame_size, patch_size=config.patch_size
        )

    def _check_frames(self, frames: Tensor, counts: tuple[int, ...]) -> None:
        config = self.config
        side = config.frame_size
        accepted = [(count, config.frame_channels, side, side) for count in counts]
        if tuple(frames.shape[1:]) not in accepted:
            raise ValueError(f"frames are [B, *{tuple(frames.shape[1:])}]; accepted after B: {accepted}")


def _take(frames: Tensor, indices: Tensor) -> Tensor:
    """Return entries [B, F, ...] of frames [B, T, ...] at indices [B, F]."""
    return frames[torch.arange(len(frames), device=frames.device)[:, None], indices]
