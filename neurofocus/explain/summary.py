"""What the overlay and the viewer show of one case, gathered once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import apply_affine
from neurofocus.data.volume import Volume
from neurofocus.explain.saliency import CaseSaliency

__all__ = ["CaseSummary", "ExplainedCase"]


@dataclass(frozen=True)
class CaseSummary:
    """The answer for one case, in words and numbers.

    Attributes:
        title: the case's name as shown (the scan's stem).
        predicted: the ensemble's class.
        probabilities: class -> probability, in class order.
        explained: the class that the saliency explains (usually ``predicted``).
        gflops: 1e9 multiply-adds spent on the case.
        model: provenance, label -> text.
        warnings: of reading, preparing and predicting.
        synthetic: whether model or case come from simulated data; everything then says SYNTHETIC.
        intended_use: one sentence.
    """

    title: str
    predicted: str
    probabilities: Mapping[str, float]
    explained: str
    gflops: float
    model: Mapping[str, str]
    warnings: tuple[str, ...]
    synthetic: bool
    intended_use: str


@dataclass(frozen=True)
class ExplainedCase:
    """One case with its scan, its frames and its saliency on both grids.

    Attributes:
        summary: the answer.
        scan: as read, on its own grid.
        scan_saliency: float32 [X, Y, Z] on the scan's grid, in 0..1.
        frames: float32 [T, H, W] all prepared frames of the case.
        grid: the frame grid.
        saliency: on the frame grid, with what each fold model looked at.
    """

    summary: CaseSummary
    scan: Volume
    scan_saliency: NDArray[np.float32]
    frames: NDArray[np.float32]
    grid: FrameGrid
    saliency: CaseSaliency

    def peak_mm(self) -> NDArray[np.float64]:
        """Return where the saliency is largest in scan world mm [3]; the scan's middle if it is zero."""
        shape = self.scan_saliency.shape
        index = (np.array(shape) - 1) / 2
        if self.scan_saliency.max() > 0:
            index = np.array(np.unravel_index(int(np.argmax(self.scan_saliency)), shape), dtype=np.float64)
        return apply_affine(self.scan.affine, index)
