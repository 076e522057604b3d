"""What both kinds of model share: two encoders, and the glance at T_G frames (section 3.1)."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from neurofocus.model.classifier import Classifier, ClassifierSizes, build_classifier
from neurofocus.model.draws import Draws
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.frame_sampling import glance_frame_indices, take_frames
from neurofocus.model.outputs import GlanceOutput
from neurofocus.schema.model import ModelConfig

__all__ = ["TwoEncoders"]


class TwoEncoders(nn.Module):
    """The encoders, and what goes into them.

    Attributes:
        config: the settings it was built from.
        global_encoder: f_G.
        local_encoder: f_L.
    """

    kind: ClassVar[str]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.kind != self.kind:
            raise ValueError(f"{type(self).__name__} is no {config.kind}; use build_model")
        self.config = config
        self._repeat_gray = config.frame_channels == 1 and config.gray_input == "repeat"
        in_channels = 3 if self._repeat_gray else config.frame_channels
        self.global_encoder = build_encoder(config.global_encoder, in_channels)
        self.local_encoder = build_encoder(config.local_encoder, in_channels)

    @property
    def feature_channels(self) -> tuple[int, int]:
        """Feature channels of f_G and f_L."""
        return self.global_encoder.out_channels, self.local_encoder.out_channels

    def glance(self, frames: Tensor, *, draws: Draws | None = None) -> GlanceOutput:
        """Look at T_G frames with f_G (Eq. 1).

        Args:
            frames: all T0 frames, or exactly the T_G to look at, [B, T0 or T, C, H, W].
            draws: draws one frame of each group; None: the group's middle.
        """
        frames = self.glance_frames(frames, draws=draws)
        maps = self.global_maps(frames.flatten(0, 1), frames.shape[1])
        maps = maps.view(*frames.shape[:2], *maps.shape[1:])
        return GlanceOutput(global_maps=maps, global_features=maps.mean((-2, -1)))

    def glance_frames(self, frames: Tensor, *, draws: Draws | None = None) -> Tensor:
        """Return the T_G frames to look at, [B, T, C, H, W]; see `glance`."""
        config = self.config
        accepted = (config.num_frames, config.num_glance_frames)
        self._check_frames(frames, accepted[1:] if config.streams == "separate" else accepted)
        if frames.shape[1] == config.num_glance_frames:
            return frames
        indices = glance_frame_indices(len(frames), config.num_frames, config.num_glance_frames, draws=draws)
        return take_frames(frames, indices.to(frames.device))

    def global_maps(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return f_G's maps, [N, D, h, w], of whole frames [N, C, H, W]; shrunk to the glance's size unless they have it.

        Args:
            images: the frames of clip after clip.
            num_frames: of a clip.
        """
        config = self.config
        if config.glance_size is not None and config.glance_size != images.shape[-1]:
            images = functional.interpolate(
                images, size=config.glance_size, mode="bilinear", antialias=config.patches.antialias
            )
        return self._encode(self.global_encoder, images, num_frames)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Return f_L's pooled features, [B, F, D], of patches [B, F, C, P, P]."""
        maps = self._encode(self.local_encoder, patches.flatten(0, 1), patches.shape[1])
        return maps.mean((-2, -1)).view(*patches.shape[:2], -1)

    def _new_classifier(self) -> Classifier:
        config = self.config
        sizes = ClassifierSizes(
            in_channels=self.feature_channels,
            num_frames=(config.num_glance_frames, config.num_focus_frames),
            num_classes=config.num_classes,
        )
        return build_classifier(config.classifier, sizes, of_clips=config.classifies_clips)

    def _encode(self, encoder: Encoder, images: Tensor, num_frames: int) -> Tensor:
        shown = images.expand(-1, 3, -1, -1) if self._repeat_gray else images
        maps: Tensor = encoder(shown, num_frames)
        return maps

    def _check_frames(self, frames: Tensor, counts: tuple[int, ...]) -> None:
        config = self.config
        side = config.frame_size
        accepted = [(count, config.frame_channels, side, side) for count in counts]
        if tuple(frames.shape[1:]) not in accepted:
            raise ValueError(f"frames are [B, *{tuple(frames.shape[1:])}]; accepted after B: {accepted}")
