"""One fold to be trained: everything that decides its numbers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.data.augment import Augmenter
from neurofocus.data.dataset import FrameDataset
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.run_record import config_hash

__all__ = ["FoldJob", "Role"]

Role = Literal["train", "validation", "test"]
_COLUMNS = ["participant_id", "session_id", "label", "role"]


@dataclass(frozen=True)
class FoldJob:
    """Everything that decides a fold's numbers.

    Attributes:
        config: of the whole run.
        fold: counted from 1.
        classes: their names; a label is a position in it.
        cases: one row a scan: participant_id, session_id, label (int), role (train, validation or test).
        frames: per row all frames of the scan, [T, H, W].
        grid_affine: (frame, row, column) index -> template world mm [4, 4]; see ``data.frames.FrameGrid``.
    """

    config: RunConfig
    fold: int
    classes: tuple[str, ...]
    cases: pd.DataFrame
    frames: Sequence[npt.NDArray[np.float32]]
    grid_affine: npt.NDArray[np.float64]

    def identity(self) -> dict[str, Any]:
        """Return digests of the settings and of the scans (who, which role, every pixel)."""
        digest = hashlib.sha256(json.dumps(list(self.classes)).encode())
        digest.update(self.cases[_COLUMNS].to_csv(index=False).encode())
        digest.update(np.ascontiguousarray(self.grid_affine, dtype=np.float64).data)
        for frames in self.frames:
            digest.update(str(frames.shape).encode())
            digest.update(np.ascontiguousarray(frames, dtype=np.float32).data)
        return {"fold": self.fold, "settings": config_hash(self.config), "scans": digest.hexdigest()}

    def rows(self, role: Role) -> npt.NDArray[np.int64]:
        """Return the positions of the cases with a role."""
        return np.flatnonzero((self.cases["role"] == role).to_numpy())

    def dataset(self, role: Role) -> FrameDataset:
        """Return the cases of a role; those of ``train`` are drawn and augmented."""
        rows = self.rows(role)
        labels = self.cases["label"].to_numpy()
        training = role == "train"
        return FrameDataset(
            [self.frames[row] for row in rows],
            [int(labels[row]) for row in rows],
            self.config.model.num_frames,
            augmenter=Augmenter(self.config.augment, self.grid_affine) if training else None,
            stream=(self.config.seed, self.fold) if training else None,
        )
