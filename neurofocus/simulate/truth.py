"""The region where a simulated cohort's disease shows, from the change maps of its subjects."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

from neurofocus.simulate import bids
from neurofocus.simulate.grid import Grid
from neurofocus.simulate.severity import Subject

__all__ = ["write_change_region"]

_SHARE_OF_CHANGE = 0.70
_LARGEST_SHARE_OF_BRAIN = 0.10
_BRAIN_SUBJECTS = 8  # their scans say where the brain is, on average


def write_change_region(root: Path, subjects: Sequence[Subject]) -> None:
    """Write the smallest set of voxels that holds 70 % of the mean change, at most 10 % of the brain.

    The mean runs over the change maps of the diseased. Where nobody is diseased no region is written.
    """
    maps = [root / bids.change_path(subject) for subject in subjects if subject.diseased]
    if not maps:
        return
    mean = np.asarray(nibabel.load(maps[0]).dataobj, np.float32) / len(maps)
    for path in maps[1:]:
        mean += np.asarray(nibabel.load(path).dataobj, np.float32) / len(maps)
    scans = [nibabel.load(root / bids.scan_path(subject)) for subject in subjects[:_BRAIN_SUBJECTS]]
    brain = np.mean([np.asarray(scan.dataobj) > 0 for scan in scans], axis=0) >= 0.5
    ordered = np.sort(np.where(brain, mean, 0.0), axis=None)[::-1]
    reached = int(np.searchsorted(np.cumsum(ordered), _SHARE_OF_CHANGE * ordered.sum()))
    count = max(1, min(reached + 1, int(_LARGEST_SHARE_OF_BRAIN * brain.sum())))
    mask = brain & (mean >= ordered[count - 1])
    share = float(mean[mask].sum() / max(float(mean[brain].sum()), 1e-6))
    text = (
        f"Smallest set of voxels with {share:.0%} of the mean |difference| between the diseased and their healthy "
        f"twins (aim {_SHARE_OF_CHANGE:.0%}, at most {_LARGEST_SHARE_OF_BRAIN:.0%} of the brain); it is "
        f"{mask.sum() / brain.sum():.1%} of the brain."
    )
    affine = scans[0].affine
    origin = (float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3]))
    bids.write_mask(root, mask, Grid(shape=mask.shape, origin=origin, spacing=float(affine[0, 0])), text)
