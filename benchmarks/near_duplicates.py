"""How far apart two people and two scans of one person are, by the statistic that warns of near-duplicates.

python benchmarks/near_duplicates.py [FOLDER…]

FOLDER: BIDS data sets (the simulated cohorts in the cache, say). Without any, 80 stand-ins for people are made from
the average whole head that pydeface ships: bent by smooth random fields, turned, moved and scaled, each with a scanner
of its own. Twenty scans of every set are then taken again: other brightness, contrast, bias field and noise, and a
head that moved by a given number of degrees and millimetres.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.data.fingerprint import head_image
from neurofocus.data.fingerprint_cache import fingerprint_all
from neurofocus.data.geometry import voxel_sizes
from neurofocus.data.volume import Volume, read_volume, to_canonical
from neurofocus.ingest.checks.near_duplicates import MIN_CORRELATION, MIN_SPREADS, remainders
from neurofocus.simulate.deformation import exponentiate, random_affine, random_velocity
from neurofocus.simulate.grid import Grid, sample

Floats = NDArray[np.float32]

STANDINS = 80
AGAIN = 20
MOVES = (0.0, 0.5, 1.0, 2.0, 5.0)  # degrees and millimetres, standard deviation an axis
MIRRORED = "mirrored"


def main(folders: list[Path]) -> None:
    for folder in folders:
        paths = [str(path) for path in sorted(folder.glob("sub-*/anat/*_T1w.nii.gz"))]
        with tempfile.TemporaryDirectory() as cache:
            prints = fingerprint_all(dict.fromkeys(paths, "header"), Path(cache)).found
        scans = [to_canonical(read_volume(Path(path))) for path in paths[:AGAIN]]
        report(folder.name, np.stack([prints[path].image for path in paths]), scans)
    if not folders:
        people = standins(whole_head(), np.random.default_rng(0))
        report("pydeface head", np.stack([image_of(scan) for scan in people]), people[:AGAIN])


def report(name: str, images: Floats, scans: list[Volume]) -> None:
    """Print the correlations of different people, then those of the same people scanned again."""
    plain, mirrored = remainders(images)
    pairs = np.triu_indices(len(images), 1)
    values = (plain @ plain.T)[pairs]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    limit = max(MIN_CORRELATION, middle + MIN_SPREADS * spread)
    turned = float((plain @ mirrored.T)[pairs].max())
    print(
        f"{name}: {len(images)} people, {len(values)} pairs: {middle:.2f} ± {spread:.2f}, largest {values.max():.2f}, "
        f"largest mirrored {turned:.2f}, limit {limit:.2f}"
    )
    for move in (*MOVES, MIRRORED):
        rng = np.random.default_rng(1)
        again = np.stack([image_of(scanned_again(scan, move, rng)) for scan in scans])
        both, both_mirrored = remainders(np.concatenate([images, again]))
        mates = both_mirrored if move == MIRRORED else both
        same = (both[: len(scans)] * mates[len(images) :]).sum(axis=1)
        found = int((same >= limit).sum())
        print(
            f"  again, {move}: {same.min():.2f} to {same.max():.2f}, median {np.median(same):.2f}, found {found}/{len(same)}"
        )


def image_of(scan: Volume) -> Floats:
    return head_image(scan.array, voxel_sizes(scan.affine))


def scanned_again(scan: Volume, move: float | str, rng: np.random.Generator) -> Volume:
    """Return the scan of the same head by another scanner (the same voxel grid)."""
    array = scan.array[::-1] if move == MIRRORED else scan.array
    degrees = 0.0 if isinstance(move, str) else move
    size = voxel_sizes(scan.affine)
    matrix = np.diag(size) @ _turn(rng.normal(0, degrees, 3)) @ np.diag(1 / size)
    center = (np.array(array.shape) - 1) / 2
    offset = center - matrix @ center + rng.normal(0, degrees, 3) / size
    moved = ndimage.affine_transform(array, matrix, offset, order=1, output=np.float32)
    return Volume(acquired(moved, rng), scan.affine, scan.stem)


def acquired(array: Floats, rng: np.random.Generator) -> Floats:
    """Return an image with contrast, bias field, Rician noise and gain of its own; an empty background stays."""
    bright = float(np.percentile(array[array > 0], 95))
    curved = (np.clip(array, 0, None) / bright) ** rng.uniform(0.85, 1.2)
    coarse = ndimage.gaussian_filter(rng.standard_normal((6, 6, 6)), 1.0)
    field = ndimage.zoom(coarse, [size / 6 for size in array.shape], order=3)
    field = field[tuple(slice(size) for size in array.shape)]
    field = np.exp(0.3 * (field - field.min()) / (field.max() - field.min()) - 0.15)
    noise = 0.03 * rng.standard_normal((2, *array.shape))
    noisy = np.hypot(curved * field + noise[0], noise[1])
    if (array == 0).mean() > 0.2:  # cut out before
        noisy = np.where(array > 0, noisy, 0)
    return np.asarray(rng.uniform(500, 1500) * noisy, dtype=np.float32)


def whole_head() -> Volume:
    import pydeface

    return to_canonical(read_volume(Path(pydeface.__file__).parent / "data" / "mean_reg2mean.nii.gz"))


def standins(head: Volume, rng: np.random.Generator) -> list[Volume]:
    """Return stand-ins for people on grids of 2 mm with a field of view of their own."""
    low = np.asarray(head.affine[:3, 3])
    high = low + (np.array(head.array.shape) - 1) * voxel_sizes(head.affine)
    source = Grid(
        head.array.shape, (float(low[0]), float(low[1]), float(low[2])), float(voxel_sizes(head.affine)[0])
    )
    found = []
    for _ in range(STANDINS):
        view = Grid.covering(low + rng.uniform(-10, 10, 3), high + rng.uniform(-10, 10, 3), 2.0)
        points = view.points()
        affine = random_affine(rng, degrees=10, shift_mm=10, scale=0.06)
        center = (low + high) / 2
        flat = points.reshape(3, -1) - center[:, None]
        world = (
            (affine[:3, :3] @ flat + affine[:3, 3:] + center[:, None])
            .reshape(points.shape)
            .astype(np.float32)
        )
        coarse = Grid.covering(low - 20, high + 20, 6.0)
        bend = exponentiate(random_velocity(coarse, rng.uniform(15, 25), rng.uniform(4, 8), rng), coarse)
        array = acquired(sample(head.array, source, world + sample(bend, coarse, world)), rng)
        found.append(Volume(array, view.affine, "stand-in"))
    return found


def _turn(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
