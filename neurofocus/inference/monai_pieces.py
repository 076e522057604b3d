"""What a MONAI bundle's configuration names: the transform from a scan's file to frames, and the fold models as one network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor, nn

from neurofocus.data.dataset import evaluation_frames
from neurofocus.data.frames import frame_grid
from neurofocus.data.preprocess import named_in_template, prepare_case
from neurofocus.data.volume import read_volume
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import PrepareConfig

__all__ = ["FoldEnsemble", "ScanToFramesd"]


class ScanToFramesd(MapTransform):  # type: ignore[misc]  # monai is not typed
    """The file of a scan becomes frames [T0, H, W], prepared as for training.

    Args:
        keys: of the files.
        prepare: settings of ``PrepareConfig``.
        num_frames: T0.
        frame_size: height and width, pixels.
    """

    def __init__(
        self, keys: KeysCollection, prepare: Mapping[str, Any], num_frames: int, frame_size: int
    ) -> None:
        super().__init__(keys)
        self.prepare = PrepareConfig.model_validate(prepare)
        self.num_frames = num_frames
        self.grid = frame_grid(self.prepare, frame_size)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with frames in place of files.

        Raises:
            VolumeError: a scan is not acceptable.
        """
        found = dict(data)
        for key in self.key_iterator(found):
            volume = read_volume(Path(found[key]))
            case = prepare_case(volume, self.prepare, self.grid, in_template=named_in_template(volume.stem))
            found[key] = evaluation_frames(case.frames, self.num_frames)[0][:, 0]
        return found


class FoldEnsemble(nn.Module):
    """The fold models; their probabilities are averaged.

    Args:
        config: settings of ``ModelConfig``.
        folds: how many models.
    """

    def __init__(self, config: Mapping[str, Any], folds: int) -> None:
        super().__init__()
        settings = ModelConfig.model_validate(config)
        self.models = nn.ModuleList(UniAdaFocus(settings) for _ in range(folds))

    def forward(self, frames: Tensor) -> Tensor:
        """Return probabilities [B, K] of gray frames [B, T0, H, W]."""
        stacked = frames.unsqueeze(2)
        return torch.stack([model(stacked).logits[:, -1].softmax(-1) for model in self.models]).mean(0)
