"""Writes the digits data set to disk once: seeded, in parallel, safe against crashes and concurrent callers."""

import hashlib
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from neurofocus.files import locked, mendable, write_json
from neurofocus.movies import movie_encoder, write_movie
from neurofocus.processes import require_main_guard, run_in_workers
from neurofocus.simulate.digits.glyphs import Floats
from neurofocus.simulate.digits.recipe import PARTS, DigitsConfig, Part, Stream, generator
from neurofocus.simulate.digits.render import noise_bank, render
from neurofocus.simulate.digits.scene import draw_scenes
from neurofocus.simulate.digits.truth import (
    FRAMES_A_SECOND,
    WARNING,
    FileTruth,
    file_truth,
    video_path,
    write_descriptions,
)

__all__ = ["GENERATOR_VERSION", "digits_folder", "ensure_digits"]

_LOGGER = logging.getLogger("neurofocus.simulate")
GENERATOR_VERSION = "1"  # part of the folder's name: raise it whenever the pixels change
_JOBS = 2
_CHUNK = 40  # files between two notes


@dataclass(frozen=True)
class _Chunk:
    """Some files of a part, by index, and where they go."""

    staging: Path
    work: Path
    part: Part
    indices: range

    @property
    def note(self) -> Path:
        return self.work / f"{self.part}-{self.indices.start:06d}.json"


def digits_folder(config: DigitsConfig, cache_folder: Path) -> Path:
    """Return where a data set lives: one folder for each distinct setting and generator version."""
    settings = {"version": GENERATOR_VERSION, "digits": config.model_dump(mode="json")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return cache_folder / "simulated" / f"digits-{digest[:12]}"


def ensure_digits(config: DigitsConfig, cache_folder: Path, *, jobs: int = _JOBS) -> Path:
    """Return the folder of a digits data set, generating it at the first call.

    It holds ``train``, ``validation``, ``test`` and ``stills``, each a folder a class of MP4 files, and ``truth``.
    The folder appears whole or not at all. An interrupted call leaves finished files in a hidden folder beside it,
    and the next call continues there; a second caller waits for the first.

    Args:
        config: how many videos, how large, which seed.
        cache_folder: keeps generated data sets.
        jobs: processes.

    Raises:
        CohortError: if a worker process was killed.
        VideoError: if PyAV cannot encode.
        NeurofocusError: if the disk is full or not writable.
    """
    root = digits_folder(config, cache_folder)
    if root.exists():
        return root
    require_main_guard("makes the digits")
    with locked(root.parent / f".{root.name}.lock"):
        if not root.exists():
            _build(config, root, jobs)
    return root


def _build(config: DigitsConfig, root: Path, jobs: int) -> None:
    """Make ``root`` appear; whatever an earlier call finished is kept."""
    staging, work = root.parent / f".{root.name}.building", root.parent / f".{root.name}.work"
    for partial in staging.rglob(".*.nf-partial.*"):
        partial.unlink(missing_ok=True)
    chunks = [
        _Chunk(staging, work, part, range(start, min(start + _CHUNK, config.count(part))))
        for part in PARTS
        for start in range(0, config.count(part), _CHUNK)
    ]
    missing = [chunk for chunk in chunks if not chunk.note.exists()]
    if missing:
        files = sum(len(chunk.indices) for chunk in missing)
        _LOGGER.info("composing %d SYNTHETIC digit videos into %s", files, root)
        _render_all(config, missing, jobs)
    truths: dict[Part, list[FileTruth]] = {part: [] for part in PARTS}
    for chunk in chunks:
        notes = json.loads(chunk.note.read_text(encoding="utf-8"))["files"]
        truths[chunk.part] += [FileTruth.model_validate(note) for note in notes]
    write_descriptions(staging, config, truths)
    with mendable(root):
        staging.rename(root)
        shutil.rmtree(work)


def _render_all(config: DigitsConfig, chunks: list[_Chunk], jobs: int) -> None:
    from tqdm import tqdm

    killed = (
        f"{chunks[0].staging}: a worker process ended abruptly; if it said nothing above, memory was most likely "
        f"short (each needs about 0.4 GB). Run the same command again: finished videos are kept"
    )
    calls = [(config, chunk) for chunk in chunks]
    finished = run_in_workers(_render_chunk, calls, jobs=jobs, killed=killed)
    quiet = not sys.stderr.isatty()
    total = sum(len(chunk.indices) for chunk in chunks)
    with tqdm(total=total, desc="digits (SYNTHETIC)", unit="video", disable=quiet) as bar:
        for _, number in finished:
            bar.update(number)


def _render_chunk(config: DigitsConfig, chunk: _Chunk) -> int:
    """Write some videos, then the note that says they are there; return how many."""
    bank, encoder = _bank(config), movie_encoder()
    truths = []
    for index in chunk.indices:
        scenes = draw_scenes(config, chunk.part, index)
        rng = generator(config.seed, Stream.NOISE, PARTS.index(chunk.part), index)
        frames = np.concatenate([render(config, scene, bank, rng) for scene in scenes])
        path = video_path(chunk.part, scenes[0].digit, index)
        write_movie(chunk.staging / path, frames, fps=FRAMES_A_SECOND, title=WARNING, encoder=encoder)
        truths.append(file_truth(path, scenes).model_dump(mode="json"))
    write_json(chunk.note, {"files": truths})
    return len(truths)


@cache
def _bank(config: DigitsConfig) -> Floats:
    return noise_bank(config)
