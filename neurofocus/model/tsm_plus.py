"""TSM+: the baseline of table 4. The same two encoders, both on whole frames; no policy (section 5.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import take_frames, uniform_frames
from neurofocus.model.heads import auxiliary_head
from neurofocus.model.outputs import ModelOutput
from neurofocus.model.two_encoders import TwoEncoders
from neurofocus.schema.model import ModelConfig

__all__ = ["SeenFrames", "TsmPlus"]


@dataclass(frozen=True)
class SeenFrames:
    """What both encoders saw.

    Attributes:
        global_features: the spatial mean of f_G's maps, [B, T, D].
        local_features: the spatial mean of f_L's maps, [B, F, D'].
        frame_indices: which of the T0 frames f_L saw, strictly increasing, int64 [B, F].
    """

    global_features: Tensor
    local_features: Tensor
    frame_indices: Tensor


class TsmPlus(TwoEncoders):
    """f_G on T_G whole frames, f_L on T_L uniformly chosen whole frames, one linear classifier on both.

    Attributes:
        classifier: f_C, on the mean of a clip's features.
        global_head: FC_G of Eq. 11, used in training only.
        local_head: FC_L of Eq. 11, used in training only.
        needs_global_head: whether FC_G must learn even without auxiliary supervision.
    """

    kind = "tsm_plus"
    needs_global_head = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.classifier = self._new_classifier()
        self.global_head, self.local_head = (auxiliary_head(width, config) for width in self.feature_channels)

    def forward(self, frames: Tensor, glance_frames: Tensor | None = None) -> ModelOutput:
        """Run the model deterministically; there is one exit step.

        Args:
            frames: T0 frames, [B, T0, C, H, W].
            glance_frames: the T_G frames for f_G, [B, T, C, H, W]; with separate streams they must be given, else
                None takes them from ``frames``.

        Returns:
            Logits [B, 1, K]; boxes are whole frames and frame weights uniform.
        """
        seen = self.encode(frames, frames if glance_frames is None else glance_frames)
        batch, number = seen.frame_indices.shape
        side = float(self.config.frame_size)
        box = torch.tensor([side / 2, side / 2, side, side], device=frames.device)
        glanced = self.config.num_glance_frames
        return ModelOutput(
            logits=self.classifier(seen.global_features, seen.local_features),
            boxes=box.expand(batch, number, 4),
            frame_weights=torch.full((batch, glanced), 1 / glanced, device=frames.device),
            frame_indices=seen.frame_indices,
        )

    def encode(self, frames: Tensor, glance_frames: Tensor, *, draws: Draws | None = None) -> SeenFrames:
        """Return the features of both encoders.

        Args:
            frames: T0 frames, [B, T0, C, H, W].
            glance_frames: T0 or T_G frames; see `TwoEncoders.glance`.
            draws: draws the frames of both encoders; None: the middles of their segments.
        """
        config = self.config
        self._check_frames(frames, (config.num_frames,))
        glance = self.glance(glance_frames, draws=draws)
        indices = uniform_frames(len(frames), config.num_frames, config.num_focus_frames, draws=draws)
        indices = indices.to(frames.device)
        local_features = self.encode_patches(take_frames(frames, indices))
        return SeenFrames(glance.global_features, local_features, indices)
