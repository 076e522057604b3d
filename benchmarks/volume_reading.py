"""Time of our checked read (CRC, finite, not constant) over nibabel's plain load, in one run, alternating.

python benchmarks/volume_reading.py [SCAN] [REPEATS]

Without SCAN, noise of 256 x 256 x 176 voxels is written as int16, as .nii and .nii.gz.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from neurofocus.data.volume import read_volume


def main(scans: list[Path], repeats: int) -> None:
    for scan in scans:
        ours: list[float] = []
        plain: list[float] = []
        for _ in range(repeats):
            plain.append(seconds(lambda scan=scan: nib.load(scan).get_fdata(dtype=np.float32)))
            ours.append(seconds(lambda scan=scan: read_volume(scan)))
        ratio = min(ours) / min(plain)
        print(
            f"{scan.name}: nibabel {min(plain):.3f} s, checked {min(ours):.3f} s processor time, "
            f"ratio {ratio:.2f} (best of {repeats})"
        )


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def written(folder: Path) -> list[Path]:
    values = np.random.default_rng(0).normal(300, 80, (256, 256, 176)).astype(np.int16)
    values[:60] = 0
    paths = [folder / "noise.nii", folder / "noise.nii.gz"]
    for path in paths:
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return paths


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        main([Path(given[0])] if given else written(Path(folder)), int(given[1]) if len(given) > 1 else 5)
