"""One scan of ``neurofocus prepare``: volume, mask, thumbnail and a record, or the reason why there are none.

The record (``_desc-qc.json``) is written last: where it stands with the right key and the files have its checksums,
the scan is done, whatever was killed meanwhile.
"""

import hashlib
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from neurofocus.data.alignment import ALIGN_VERSION, Alignment, timed
from neurofocus.data.alignment_cache import AlignmentCache, changed, library_versions, lock_file, scan_digest
from neurofocus.data.cases import CaseRequest, case_file, case_key, read_case, write_case
from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PREPARE_VERSION, prepare_case
from neurofocus.data.quality import warn
from neurofocus.data.scan_quality import measure_scan
from neurofocus.data.standard import STANDARD_SETTINGS, STANDARD_VERSION, StandardScan, to_standard
from neurofocus.data.template import load_template
from neurofocus.data.volume import Volume, read_volume, stem_of, to_canonical, write_volume
from neurofocus.data.voxels import shown_name
from neurofocus.errors import VolumeError
from neurofocus.files import sha256_file, write_bytes, write_json
from neurofocus.schema.run import PrepareConfig
from neurofocus.workflows.preparation.files import SPACE, ScanPlace
from neurofocus.workflows.preparation.thumbnail import thumbnail
from neurofocus.workflows.run_record import provenance

__all__ = ["ScanJob", "ScanOutcome", "prepare_scan"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanJob:
    """Everything that decides the outputs of one scan.

    Attributes:
        path: the scan.
        place: where its outputs go.
        in_template: it is in MNI152 space already.
        orientation: where its axes run to if the header does not say; see ``read_volume``.
        prepare: what to do.
        grid: where the frames lie that ``cv`` and ``predict`` use.
        cache: folder of the cache.
    """

    path: Path
    place: ScanPlace
    in_template: bool
    orientation: str
    prepare: PrepareConfig
    grid: FrameGrid
    cache: Path


@dataclass(frozen=True)
class ScanOutcome:
    """What came of a scan.

    Attributes:
        record: the content of its ``_desc-qc.json``; None if it failed.
        reason: why it failed, in one line that names no file; empty otherwise.
        kept: it was done already.
    """

    record: dict[str, Any] | None
    reason: str = ""
    kept: bool = False


def prepare_scan(job: ScanJob) -> ScanOutcome:
    """Prepare one scan, or find that it is done. Also puts its frames into the cache for ``cv``.

    Raises:
        NeurofocusError: what stops all scans: a full disk, a folder without permission, a missing extra.
    """
    try:
        return _prepare(job)
    except VolumeError as error:
        reason = str(error)
        for name in (shown_name(job.path), stem_of(job.path)):
            reason = reason.removeprefix(f"{name}: ")
    except MemoryError:
        reason = "not enough memory; use fewer --jobs"
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        _LOG.exception("%s: unexpected", job.place.participant_id)
        reason = f"a mistake in the program ({type(error).__name__}, see its log); please report it"
    job.place.remove()  # of an older state of the scan
    return ScanOutcome(None, reason)


def _prepare(job: ScanJob) -> ScanOutcome:
    content = scan_digest(job.path, job.orientation)
    key = _key(job, content)
    request = CaseRequest(
        path=job.path,
        prepare=job.prepare,
        grid=job.grid,
        in_template=job.in_template,
        orientation=job.orientation,
    )
    frames_key = case_key(request)
    frames_file = case_file(job.cache, frames_key)
    done = job.place.finished(key)
    if done is not None and read_case(frames_file, mapped=False) is not None:
        return ScanOutcome(done, kept=True)
    seconds: dict[str, float] = {}
    with timed(seconds, "read"):
        volume = read_volume(job.path, job.orientation)
        scan = to_canonical(volume)
    alignment = _alignment(job, volume, content)
    seconds.update({} if alignment is None else alignment.seconds)
    with timed(seconds, "frames"), FileLock(lock_file(job.cache, frames_key)):
        if read_case(frames_file, mapped=False) is None:
            case = prepare_case(
                volume, job.prepare, job.grid, in_template=job.in_template, alignment=alignment
            )
            if scan_digest(job.path, job.orientation) != content:
                raise changed(job.path)
            write_case(frames_file, case)
    if done is not None:
        return ScanOutcome(done, kept=True)
    return ScanOutcome(_write(job, scan, alignment, content=content, key=key, seconds=seconds))


def _alignment(job: ScanJob, volume: Volume, content: tuple[str, ...]) -> Alignment | None:
    if job.in_template:
        return None
    return AlignmentCache(job.cache).get_or_align(job.path, job.prepare, volume=volume, content=content)


def _write(
    job: ScanJob,
    scan: Volume,
    alignment: Alignment | None,
    *,
    content: tuple[str, ...],
    key: str,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Write volume, mask and thumbnail, then the record; return it."""
    with timed(seconds, "resample"):
        standard = to_standard(scan, job.prepare, alignment)
    with timed(seconds, "measure"):
        measures = measure_scan(scan, standard)
    if scan_digest(job.path, job.orientation) != content:
        raise changed(job.path)
    with timed(seconds, "write"):
        files = _write_files(job.place, standard)
    warnings = [*scan.warnings, *warn({name: value for name, value in measures.items() if value is not None})]
    record = {
        "participant_id": job.place.participant_id,
        "session_id": job.place.session_id,
        "key": key,
        "space": SPACE,
        "source": {
            "space": "template" if job.in_template else "native",
            "sha256": hashlib.sha256("".join(content[1:]).encode()).hexdigest(),
            "files": len(content) - 1,
            "shape_ras": list(scan.array.shape),
        },
        "steps": _steps(job),
        "settings": {name: getattr(job.prepare, name) for name in STANDARD_SETTINGS},
        "world_to_template": [
            [round(float(value), 9) for value in row] for row in standard.world_to_template
        ],
        "measures": {
            name: None if value is None else float(f"{value:.6g}") for name, value in measures.items()
        },
        "warnings": warnings,
        "seconds": seconds,
        "peak_memory_mib": _peak_memory(),
        "versions": provenance()["versions"],
        "files": files,
    }
    write_json(job.place.record, record)
    return record


def _write_files(place: ScanPlace, standard: StandardScan) -> dict[str, dict[str, str]]:
    """Write everything but the record; return name and checksum by kind."""
    affine = load_template().affine
    outputs = place.outputs
    place.remove()
    write_volume(outputs["preproc"], standard.array, affine, level=3)
    if standard.brain is None:
        del outputs["mask"]
    else:
        write_volume(outputs["mask"], standard.brain, affine)
    write_bytes(outputs["thumbnail"], thumbnail(standard.array))
    return {kind: {"name": path.name, "sha256": sha256_file(path)} for kind, path in outputs.items()}


def _peak_memory() -> int | None:
    """Return the most memory that this process ever held, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def _steps(job: ScanJob) -> list[str]:
    """Return what is done to this scan, in words."""
    steps = ["axes reordered to RAS, no voxel value changed"]
    if not job.in_template and job.prepare.registration == "affine":
        steps.append(
            "rigid and affine registration to the template (Mattes mutual information, three levels)"
        )
    if not job.in_template and job.prepare.bias_correction:
        steps.append("N4 bias field estimated inside the brain, divided out")
    return [
        *steps,
        "one linear interpolation onto the template's 1 mm grid; intensities in the scan's own units",
    ]


def _key(job: ScanJob, content: tuple[str, ...]) -> str:
    """Return the SHA-256 over everything that decides the files: the scan's bytes, settings, versions."""
    record = {
        "versions": [ALIGN_VERSION, STANDARD_VERSION, PREPARE_VERSION],
        "libraries": library_versions(),
        "scan": content,
        "settings": {name: getattr(job.prepare, name) for name in STANDARD_SETTINGS},
        "in_template": job.in_template,
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
