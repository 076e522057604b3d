"""What preparation costs and how well it registers: `python benchmarks/preparation.py [--draws 20] [--scans 8]`.

1. Seconds by stage on the average whole head that pydeface ships (one process, one thread).
2. Registration error: the head under known random motions (rotation up to 15 degrees, shift up to 20 mm, scale up to
   10 % an axis, shear up to 0.05), interpolated onto another grid; distance between where the recovered and the true
   transform put landmarks every 8 mm of the template's brain, against the registration of the head that was not moved.
3. Throughput: `neurofocus prepare --jobs 2` on native scans (moved heads and SYNTHETIC brains with another bias field
   and noise): scans an hour of wall time, processor seconds a scan, peak memory of a worker.

Prints JSON. Wall times mean something on an idle machine only; the load is printed too.
"""

import argparse
import importlib.util
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofocus.data.alignment import align
from neurofocus.data.geometry import apply_affine, corners, inverse
from neurofocus.data.template import load_template
from neurofocus.data.volume import Volume, read_volume, to_canonical, write_volume
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import PrepareConfig
from neurofocus.workflows.preparation.prepare import prepare_cohort_files

LANDMARK_STEP = 8
COHORT = """
name: preparation-benchmark
title: Heads in many poses
description: For benchmarks/preparation.py.
layout: bids
label_column: diagnosis
classes: {A: [a], B: [b]}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    head = read_head()
    report: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()}
    if arguments.draws:
        report["registration_error_mm"] = registration_error(head, arguments.draws)
    if arguments.scans:
        report["throughput"] = throughput(head, arguments.scans, arguments.jobs)
    print(json.dumps({**report, "load_after": os.getloadavg()}, indent=2))


def read_head() -> Volume:
    spec = importlib.util.find_spec("pydeface")
    assert spec is not None and spec.origin is not None, "pip install pydeface: it ships the head"
    return to_canonical(read_volume(Path(spec.origin).parent / "data" / "mean_reg2mean.nii.gz"))


def random_motion(seed: int) -> NDArray[np.float64]:
    """World mm to world mm."""
    rng = np.random.default_rng(seed)
    axis, way = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = rng.uniform(-0.05, 0.05, 3)
    rotation = Rotation.from_rotvec(np.radians(15.0 * rng.uniform(0.2, 1.0)) * axis).as_matrix()
    motion = np.eye(4)
    motion[:3, :3] = rotation @ shear @ np.diag(rng.uniform(0.9, 1.1, 3))
    motion[:3, 3] = 20.0 * rng.uniform(0.2, 1.0) * way
    return motion


def moved(head: Volume, motion: NDArray[np.float64]) -> Volume:
    """The head where the motion takes it, interpolated onto an axis-parallel 1 mm grid."""
    affine = motion @ head.affine
    ends = apply_affine(affine, corners(head.array.shape))
    grid = np.eye(4)
    grid[:3, 3] = ends.min(axis=0)
    shape = tuple(int(size) for size in np.ceil(np.ptp(ends, axis=0)) + 1)
    matrix = inverse(affine) @ grid
    array = ndimage.affine_transform(
        head.array, matrix[:3, :3], offset=matrix[:3, 3], output_shape=shape, output=np.float32, order=1
    )
    return Volume(np.asfortranarray(array), grid, "moved")


def registration_error(head: Volume, draws: int) -> dict[str, Any]:
    template = load_template()
    found = np.argwhere(template.mask[::LANDMARK_STEP, ::LANDMARK_STEP, ::LANDMARK_STEP])
    points = apply_affine(template.affine, found.astype(np.float64) * LANDMARK_STEP)
    started = time.process_time()
    reference = align(head, PrepareConfig())
    stages = {"processor_seconds": round(time.process_time() - started, 2), **reference.seconds}
    errors, seconds = [], []
    for seed in range(draws):
        motion = random_motion(seed)
        scan = moved(head, motion)
        started = time.process_time()
        result = align(scan, PrepareConfig())
        seconds.append(time.process_time() - started)
        there = apply_affine(result.world_to_template @ motion @ inverse(reference.world_to_template), points)
        errors.append(np.linalg.norm(there - points, axis=1))
    means = [float(values.mean()) for values in errors]
    return {
        "draws": draws,
        "landmarks": len(points),
        "mean": round(float(np.mean(means)), 3),
        "worst_draw_mean": round(max(means), 3),
        "p95_of_draw_means": round(float(np.percentile(means, 95)), 3),
        "p95_of_all_landmarks": round(float(np.percentile(np.concatenate(errors), 95)), 3),
        "largest_landmark": round(float(max(values.max() for values in errors)), 3),
        "alignment_processor_seconds": round(float(np.mean(seconds)), 2),
        "unmoved_head": stages,
    }


def native_brain(seed: int) -> Volume:
    """The template's brain as a SYNTHETIC native scan: smaller, moved, shaded and noisy, at 1 mm."""
    template = load_template()
    scale = np.diag([0.88, 0.86, 0.87, 1.0])
    scan = moved(Volume(template.array, scale @ template.affine, "brain"), random_motion(1000 + seed))
    rng = np.random.default_rng(seed)
    shade = ndimage.zoom(rng.normal(0.0, 0.15, (4, 4, 4)), np.array(scan.array.shape) / 4.0, order=3)
    noisy = scan.array * np.exp(shade[tuple(slice(0, size) for size in scan.array.shape)])
    real, imaginary = rng.normal(0.0, 0.03, (2, *noisy.shape))
    return Volume(np.asarray(800.0 * np.hypot(noisy + real, imaginary), np.float32), scan.affine, "brain")


def throughput(head: Volume, scans: int, jobs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["NEUROFOCUS_CACHE"] = str(work / "cache")
        (work / "cohort.yaml").write_text(COHORT, encoding="utf-8")
        rows = ["participant_id\tdiagnosis"]
        for number in range(scans):
            scan = native_brain(number) if number % 2 else moved(head, random_motion(number))
            who = f"sub-{number:03d}"
            write_volume(work / "data" / who / "anat" / f"{who}_T1w.nii.gz", scan.array, scan.affine, level=1)
            rows.append(f"{who}\t{'ab'[number % 2]}")
        (work / "data" / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        config = load_run_config("mri").model_copy(update={"cohort": str(work / "cohort.yaml")})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        result = prepare_cohort_files(config, data=work / "data", out=work / "out", jobs=jobs)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        records = [json.loads(path.read_text()) for path in sorted((work / "out").rglob("*desc-qc.json"))]
        started = time.perf_counter()
        prepare_cohort_files(config, data=work / "data", out=work / "out", jobs=jobs)
        again = time.perf_counter() - started
    stages = sorted({stage for record in records for stage in record["seconds"]})
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "scans": scans,
        "prepared": result.prepared,
        "jobs": jobs,
        "wall_seconds": round(wall, 1),
        "scans_an_hour": round(3600 * scans / wall),
        "processor_seconds_a_scan": round(processor / scans, 2),
        "peak_memory_of_a_worker_mib": round(after.ru_maxrss / 1024),
        "seconds_by_stage": {
            stage: round(float(np.median([record["seconds"].get(stage, 0.0) for record in records])), 2)
            for stage in stages
        },
        "second_call_wall_seconds": round(again, 1),
    }


if __name__ == "__main__":
    main()
