"""Uni-AdaFocus: glance at every frame, decide, focus on what matters, classify (sections 3.1 and 4).

The four stages can be called one by one. Without draws each is deterministic, as at test time; with them,
frames and random boxes are drawn as in training.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from neurofocus.model.classifier import ClipClassifier
from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import draw_frames, quantile_frames, take_frames, uniform_frames
from neurofocus.model.heads import auxiliary_head, fill_heads
from neurofocus.model.outputs import Decision, FocusOutput, GlanceOutput, UniAdaFocusOutput
from neurofocus.model.patches import Cropper, boxes_from_actions, crop_and_resize, interpolate_actions
from neurofocus.model.spatial_policy import SpatialPolicy
from neurofocus.model.temporal_policy import TemporalPolicy
from neurofocus.model.two_encoders import TwoEncoders
from neurofocus.schema.model import ModelConfig

__all__ = ["UniAdaFocus"]


class UniAdaFocus(TwoEncoders):
    """The whole network.

    Attributes:
        classifier: f_C.
        spatial_policy: the branch of pi that places boxes.
        temporal_policy: the branch of pi that weighs frames; None where sampling is uniform.
        global_head: FC_G of Eq. 11, used in training; of clip models also the exit after the glance.
        local_head: FC_L of Eq. 11, used in training only.
        policy_head: FC_Aux of Eq. 14, used in training only.
        cropper: cuts patches and maps; a faster one without gradients may take its place for prediction.
    """

    kind = "uni_adafocus"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.cropper: Cropper = crop_and_resize
        global_channels, local_channels = self.feature_channels
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
        self.classifier = self._new_classifier()
        self.global_head = auxiliary_head(global_channels, config)
        self.local_head = auxiliary_head(local_channels, config)
        self.policy_head = nn.Linear(global_channels, config.num_classes)
        fill_heads(self._heads("global"), self.global_encoder, config.global_encoder)
        fill_heads(self._heads("local"), self.local_encoder, config.local_encoder)

    def forward(self, frames: Tensor, glance_frames: Tensor | None = None) -> UniAdaFocusOutput:
        """Run all four stages deterministically.

        Args:
            frames: the T0 candidates for focus, [B, T0, C, H, W].
            glance_frames: the T_G frames for the glance, [B, T, C, H, W]; with separate streams they must be
                given, else None takes them from ``frames``.
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

    def decide(
        self, glance: GlanceOutput, *, stop_gradient: bool = True, temporal_gradient: bool = False
    ) -> Decision:
        """Place a box on every glance frame and weigh the frames (sections 4.1.2 and 4.2).

        Args:
            glance: the first stage's result.
            stop_gradient: keep the policy's gradient out of f_G (section 3.3.2).
            temporal_gradient: let that of the temporal branch through all the same.
        """
        maps, features = glance.global_maps, glance.global_features
        if stop_gradient:
            maps = maps.detach()
            features = features if temporal_gradient else features.detach()
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
        """Return the logits of every exit step, [B, E, K] (Eq. 3).

        Where an encoder mixes frames there are two, after the glance (none without reuse of global features)
        and after the focus. Average consensus has none of its own after the glance: there it is FC_G's mean.
        """
        logits: Tensor = self.classifier(glance.global_features, focus.local_features)
        if self.exits_by_head:
            return torch.cat([self.global_head(glance.global_features).mean(1, keepdim=True), logits], dim=1)
        return logits

    def classify_glance(self, global_features: Tensor) -> Tensor:
        """Return the logits of the last exit step that needs no focus frame, [B, K]; without reuse there is none."""
        if self.exits_by_head:
            means: Tensor = self.global_head(global_features).mean(1)
            return means
        none = global_features.new_empty(len(global_features), 0, self.local_encoder.out_channels)
        return self.classifier.last_step(global_features, none)

    @property
    def exits_by_head(self) -> bool:
        """Whether FC_G answers after the glance, because f_C is the average of whole clips only."""
        return isinstance(self.classifier, ClipClassifier) and self.config.classifier.reuse_global

    @property
    def num_global_exits(self) -> int:
        """How many of the exit steps, the first ones, need no focus frame."""
        return 1 if self.exits_by_head else self.classifier.num_global_exits

    @property
    def needs_global_head(self) -> bool:
        """Whether FC_G must learn even without auxiliary supervision."""
        return self.exits_by_head or self.temporal_policy is not None

    def select_frames(
        self, decision: Decision, *, draws: Draws | None = None, stratified: bool = False
    ) -> Tensor:
        """Choose the T_L focus frames, strictly increasing, int64 [B, F]; see `frame_sampling`.

        ``stratified`` draws one in each of T_L equal parts of the weights, as the released code does.
        """
        total, wanted = self.config.num_frames, self.config.num_focus_frames
        weights = decision.frame_weights
        if self.temporal_policy is None:
            return uniform_frames(len(weights), total, wanted, draws=draws).to(weights.device)
        if draws is None or stratified:
            return quantile_frames(weights, total, wanted, draws=draws)
        return draw_frames(weights, total, wanted, draws=draws)

    def place_boxes(self, decision: Decision, frame_indices: Tensor) -> Tensor:
        """Interpolate the T_G actions to T0 frames and return the boxes of the chosen ones, [B, F, 4]."""
        actions = interpolate_actions(decision.actions, self.config.num_frames)
        return self._boxes(take_frames(actions, frame_indices))

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
            take_frames(frames, frame_indices).flatten(0, 1), boxes.flatten(0, 1), self.config.patch_size
        )
        return patches.view(*boxes.shape[:2], *patches.shape[1:])

    def resample(self, images: Tensor, boxes: Tensor, size: int) -> Tensor:
        """Crop with this model's filter settings; see `crop_and_resize`."""
        patches = self.config.patches
        return self.cropper(images, boxes, size, antialias=patches.antialias, padding=patches.padding)

    def _heads(self, stage: Literal["global", "local"]) -> dict[str, nn.Module]:
        """Return f_C's head on one encoder's features, where it has a single one, and the auxiliary head."""
        modules = dict(self.named_modules())
        names = (f"classifier.{stage}_classifier", f"{stage}_head")
        return {name: modules[name] for name in names if name in modules}

    def _boxes(self, actions: Tensor) -> Tensor:
        config = self.config
        return boxes_from_actions(
            actions, config.patches, frame_size=config.frame_size, patch_size=config.patch_size
        )
