"""An encoder in its fast form."""

from typing import cast

import torch
from torch import Tensor, nn

from neurofocus.inference.fusion import fold, trace_encoder
from neurofocus.inference.packed import pack
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.schema.inference import InferenceSettings

__all__ = ["FastEncoder"]

# More pixels a call leave a CPU's cache, and fewer read the weights more often (docs/performance.md).
_CPU_PIXELS = 8 * 224 * 224
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


class FastEncoder(Encoder):
    """Computes what another encoder computes; stays on its device, and learns no more.

    Args:
        encoder: in evaluation mode; its parts are used up.
        settings: which of the fast forms.
        shape: of the images that it will see most, (C, h, w).
        num_frames: of a clip.
    """

    stem_key = ""
    head_prefixes = ()

    def __init__(
        self, encoder: Encoder, settings: InferenceSettings, *, shape: tuple[int, int, int], num_frames: int
    ) -> None:
        super().__init__()
        self.out_channels, self.stride = encoder.out_channels, encoder.stride
        self.mixes_frames = encoder.mixes_frames
        example = next(encoder.parameters())
        on_cpu = example.device.type == "cpu"
        self.frames_per_call = settings.frames_per_call
        if self.frames_per_call is None and on_cpu:
            self.frames_per_call = max(1, _CPU_PIXELS // (shape[1] * shape[2]))
        self.dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
        self.channels_last = settings.channels_last
        self.network = _network(encoder, settings, on_cpu=on_cpu)
        if settings.packed and on_cpu:
            clips = max(1, (self.frames_per_call or num_frames) // num_frames)
            with torch.no_grad():  # weights are put in order for these sizes
                self(torch.zeros(clips * num_frames, *shape), num_frames)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/stride, w/stride] in float32; see `Encoder.forward`.

        Raises:
            ValueError: gradients of the images are wanted; a packed convolution has none.
        """
        if images.requires_grad and torch.is_grad_enabled():
            raise ValueError("a fast encoder has no gradients; use the model that it was made from")
        if self.frames_per_call is None:
            return self._maps(images, num_frames)
        clip = num_frames if self.mixes_frames else 1
        at_once = max(1, self.frames_per_call // clip) * clip
        found = [self._maps(piece, num_frames) for piece in torch.split(images, at_once)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _maps(self, images: Tensor, num_frames: int) -> Tensor:
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        maps: Tensor = self.network(images.to(self.dtype, memory_format=order), num_frames)
        return maps.float()


def _network(encoder: Encoder, settings: InferenceSettings, *, on_cpu: bool) -> nn.Module:
    network: nn.Module = encoder
    if settings.fold:
        network, parts = trace_encoder(encoder)
        for part in parts:
            fold(part)
    if settings.precision == "bfloat16":
        network = network.bfloat16()
    if settings.channels_last:
        for weights in network.parameters():
            if weights.dim() in _CHANNELS_LAST:
                weights.data = weights.data.contiguous(memory_format=_CHANNELS_LAST[weights.dim()])
    if settings.packed and on_cpu:
        for part in parts:
            pack(part)
    if settings.compile:
        network = cast(nn.Module, torch.compile(network))
    return network
