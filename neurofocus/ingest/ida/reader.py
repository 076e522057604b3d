"""ADNI and PPMI as LONI IDA delivers them: folders joined with image tables (or XML) on the image identifier."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.label import label_progression, label_visits
from neurofocus.ingest.delivered import table_elsewhere
from neurofocus.ingest.flow import FlowStep, flow_step
from neurofocus.ingest.ida.scans import describe_images
from neurofocus.ingest.ida.sidecars import read_sidecars
from neurofocus.ingest.ida.tables import IMAGE_VALUES, ImageTable, read_image_table
from neurofocus.ingest.ida.tree import IdaTree, walk_ida
from neurofocus.ingest.labels import class_of
from neurofocus.ingest.ppmi.label import label_status
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["label_group", "read_ida"]

Labeller = Callable[[FoundScans, Path, CohortSpec], FoundScans]


def read_ida(root: Path, spec: CohortSpec) -> FoundScans:
    """Read a LONI IDA delivery.

    Beside the columns of ``SCAN_COLUMNS`` the frame has ``subject`` (the archive's identifier), ``group`` and
    ``group_source`` (the enrolment group as delivered), and ``acq_date`` (ISO).

    Args:
        root: a folder with one or several downloads and their tables, in it or one folder below.
        spec: the cohort definition; ``tables.images`` says how image tables look.

    Raises:
        CohortError: if there are no images, nothing says what they are, or tables contradict each other.
    """
    label = _LABELLERS.get(spec.label_rule)
    if label is None:
        raise CohortError(
            f"cohort {spec.name!r}: label_rule {spec.label_rule!r} is not for layout 'ida'; "
            f"use one of {', '.join(sorted(_LABELLERS))} in the cohort definition"
        )
    tree = walk_ida(root)
    if not tree.images:
        _refuse_without_images(root, tree)
    table = read_image_table(root, spec)
    on_disk = {image.image_id for image in tree.images}
    sidecars, warnings = read_sidecars({key: path for key, path in tree.sidecars.items() if key in on_disk})
    if table is None and not sidecars:
        _refuse_without_tables(root, tree, spec, warnings)
    rows = _no_rows() if table is None else table.frame
    known = [image for image in tree.images if image.image_id in rows.index or image.image_id in sidecars]
    source = "XML sidecars" if table is None else table.source
    if not known:
        raise CohortError(
            f"{source}: lists none of the {len(tree.images)} images in the folder (folder: "
            f"I{tree.images[0].image_id}, …; table: I{rows.index[0] if len(rows) else '-'}, …); "
            "download the table of the same collection"
        )
    frame = describe_images(known, rows, sidecars, spec)
    notes = (*(() if table is None else table.warnings), *warnings, *_date_warnings(frame, source))
    steps = _steps(tree, table, frame, spec)
    return label(FoundScans(frame, source, steps, notes), root, spec)


def label_group(found: FoundScans, root: Path, spec: CohortSpec) -> FoundScans:
    """Label scans by the enrolment group that the image table gives, and warn that it is no diagnosis."""
    frame = found.frame.assign(diagnosis=found.frame["group"], diagnosis_source=found.frame["group_source"])
    warning = f"{found.source}: labels are the groups in which people were enrolled; who changed later keeps the first label"
    return FoundScans(frame, found.source, found.steps, (*found.warnings, warning))


_LABELLERS: dict[str, Labeller] = {
    "column": label_group,
    "progression": label_progression,
    "status": label_status,
    "visit": label_visits,
}


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=[*IMAGE_VALUES, *(f"{name}_source" for name in IMAGE_VALUES)], dtype=object)


def _steps(
    tree: IdaTree, table: ImageTable | None, frame: pd.DataFrame, spec: CohortSpec
) -> tuple[FlowStep, ...]:
    """Return what was listed, found and joined; losses on disk are of unknown group."""

    def shown(groups: pd.Series) -> list[str]:
        return [class_of(value, spec) or value for value in groups]

    def lost(step: str, count: int) -> FlowStep:
        return flow_step(step, [MISSING] * count, kind="dropped")

    steps = []
    if table is not None:
        absent = ~table.frame.index.isin([image.image_id for image in tree.images])
        steps += [
            flow_step("images listed in tables", shown(table.frame["group"])),
            flow_step("listed but not downloaded", shown(table.frame["group"][absent]), kind="dropped"),
        ]
    unknown = len(tree.images) - len(frame)
    return (
        *steps,
        lost("image files outside the folder layout, or of several images in one folder", tree.unplaced),
        lost("series folders without a NIfTI or DICOM file", tree.empty),
        lost("folders and links that cannot be read", tree.unreadable),
        lost("further files of an image that was already found", tree.repeated),
        flow_step("images found", [*shown(frame["group"]), *[MISSING] * unknown]),
        lost("in no image table and without XML", unknown),
    )


def _date_warnings(frame: pd.DataFrame, source: str) -> tuple[str, ...]:
    """Warn of tables and folders that date a scan differently: one of them was mixed up."""
    other = (frame["acq_date"] != MISSING) & (frame["acq_date"] != frame["acq_time"])
    if not other.any():
        return ()
    first = frame["image_id"][other].iloc[0]
    text = (
        f"{source}: {int(other.sum())} images ({first}, …) have another acquisition date than their folders; "
        "the folders' dates are used"
    )
    return (text,)


def _refuse_without_images(root: Path, tree: IdaTree) -> None:
    seen = (
        f"{tree.unplaced} image files elsewhere, {tree.empty} series folders without a NIfTI or DICOM file, "
        f"{tree.unreadable} folders or links that cannot be read"
    )
    raise CohortError(
        f"{root}: no image SUBJECT/DESCRIPTION/YYYY-MM-DD_HH_MM_SS.0/I… (or S…)/FILE at any depth ({seen}); "
        "unpack the downloads of the archive and keep their folders"
    )


def _refuse_without_tables(root: Path, tree: IdaTree, spec: CohortSpec, warnings: tuple[str, ...]) -> None:
    table = spec.tables["images"]
    wanted = ", ".join(f"{name} ({' or '.join(table.columns[name])})" for name in table.required)
    other = "open the collection at ida.loni.usc.edu, choose Download, CSV, and put the file beside the image folders"
    raise CohortError(
        f"{root}: {len(tree.images)} images, but no image table ({' or '.join(table.files)} with columns {wanted}, in "
        f"this folder or one below) and no XML that can be used{''.join(f' ({text})' for text in warnings)}; "
        f"{table_elsewhere(root, table) or other}"
    )
