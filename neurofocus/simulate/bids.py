"""The texts and tables that make a simulated cohort a BIDS derivative data set."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from neurofocus import __version__
from neurofocus.files import write_bytes, write_json, write_text
from neurofocus.schema.cohort import CohortSpec
from neurofocus.simulate.anatomy import REGIONS
from neurofocus.simulate.grid import Floats, Grid
from neurofocus.simulate.severity import Subject

__all__ = [
    "CHANGE_SCALE",
    "change_path",
    "scan_path",
    "write_change",
    "write_descriptions",
    "write_mask",
    "write_scan",
]

SPACE = "MNI152NLin2009aSym"
WARNING = "SYNTHETIC: simulated disease on an average brain; not clinical evidence."
_TEMPLATE = "ICBM152 2009a nonlinear symmetric template that nilearn ships"
_MNI_CODE = 4
_DATA_OFFSET = 352  # NIfTI-1 in one file: header of 348 bytes and 4 for the absence of extensions
CHANGE_SCALE = 1.0 / 250.0

_COLUMNS = {
    "age": {"Description": f"{WARNING} Simulated age", "Units": "years"},
    "sex": {"Description": f"{WARNING} Simulated sex", "Levels": {"F": "female", "M": "male"}},
    "site": {
        "Description": f"{WARNING} Simulated scanner: contrast, blur, bias field and noise differ slightly"
    },
    "tiv_ml": {"Description": f"{WARNING} Simulated intracranial volume before registration", "Units": "mL"},
    "diagnosis": {
        "Description": f"{WARNING} Label of the simulation",
        "Levels": {
            "CN": "without simulated disease",
            "AD": "with simulated Alzheimer-like atrophy (in demo-null: called so by a coin)",
        },
    },
}
_README = """{title}

SYNTHETIC DATA SET. NOT CLINICAL EVIDENCE.

Nobody was scanned. Every image is the same average brain, the {template}.
neurofocus {version} deformed it and gave it a scanner's contrast, blur, bias field and noise. "AD" means that the
simulation was told to shrink the medial temporal lobe and to widen the ventricles; it is no diagnosis. The
template holds the brain only, so there is no skull, no skin and no air. An accuracy measured here says nothing
about patients: it shows whether a program finds a change of known place and size.

{description}

truth/                        what the simulation knows and a classifier must not see
  severities.tsv              drawn severities and measured volume changes
  bayes.json                  the best accuracy that the drawn severities allow
  sub-*_desc-change_map       |difference| to the same subject without disease, share of white-matter signal
  desc-changeregion_mask      where the mean change is substantial

Recipe: docs/simulation.md of neurofocus. Settings: simulation.json.
"""


def scan_path(subject: Subject) -> Path:
    """Return a subject's scan relative to the data set's root."""
    name = f"{subject.participant_id}_space-{SPACE}_desc-synthetic_T1w.nii.gz"
    return Path(subject.participant_id) / "anat" / name


def change_path(subject: Subject) -> Path:
    """Return a diseased subject's change map relative to the data set's root."""
    return Path("truth") / f"{subject.participant_id}_space-{SPACE}_desc-change_map.nii.gz"


def write_scan(root: Path, subject: Subject, stored: NDArray[np.int16], grid: Grid) -> None:
    """Write a subject's scan and its sidecar."""
    path = root / scan_path(subject)
    _write_image(path, stored, grid, scale=None)
    sidecar = {
        "Description": WARNING,
        "SpatialReference": SPACE,
        "SkullStripped": True,
        "Modality": "MR",
        "Units": "arbitrary",
        "Resolution": f"{grid.spacing:g} mm, simulated",
    }
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)


def write_change(root: Path, subject: Subject, change: Floats, grid: Grid) -> None:
    """Write a change map as 8-bit steps of 0.4 % of the white-matter signal."""
    steps = np.clip(np.rint(change / CHANGE_SCALE), 0, 255).astype(np.uint8)
    _write_image(root / change_path(subject), steps, grid, scale=CHANGE_SCALE)


def write_mask(root: Path, mask: NDArray[np.bool_], grid: Grid, description: str) -> None:
    """Write the cohort's change region and what it means."""
    path = root / "truth" / f"space-{SPACE}_desc-changeregion_mask.nii.gz"
    _write_image(path, mask.astype(np.uint8), grid, scale=None)
    sidecar = {"Description": f"{WARNING} {description}", "SpatialReference": SPACE, "Type": "ROI"}
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)


def write_descriptions(
    root: Path,
    spec: CohortSpec,
    subjects: Sequence[Subject],
    measured: Sequence[Mapping[str, Any]],
) -> None:
    """Write every table and text of the data set except the ceiling."""
    for folder, name in ((root, spec.title), (root / "truth", f"{spec.title}: ground truth")):
        write_json(folder / "dataset_description.json", _dataset_description(name))
    fields = {"title": spec.title, "description": spec.description.strip(), "template": _TEMPLATE}
    write_text(root / "README", _README.format(version=__version__, **fields))
    write_text(root / ".bidsignore", "truth/\nsimulation.json\n")
    rows = [[s.participant_id, f"{s.age:.1f}", s.sex, s.site, f"{s.tiv_ml:.0f}", s.label] for s in subjects]
    write_text(root / "participants.tsv", _table(["participant_id", *_COLUMNS], rows))
    write_json(root / "participants.json", _COLUMNS)
    _write_severities(root, subjects, measured)
    settings = spec.simulation.model_dump(mode="json") if spec.simulation else {}
    write_json(root / "simulation.json", {"warning": WARNING, "version": __version__, "settings": settings})


def _dataset_description(name: str) -> dict[str, Any]:
    title = name if name.startswith("SYNTHETIC") else f"SYNTHETIC {name}"
    return {
        "Name": title,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "Template: ICBM152, copyright McConnell Brain Imaging Centre, free use with its notice. "
        "Simulation: CC0.",
        "GeneratedBy": [{"Name": "neurofocus", "Version": __version__, "Description": WARNING}],
        "SourceDatasets": [{"URL": "https://nist.mni.mcgill.ca/icbm-152-nonlinear-atlases-2009/"}],
    }


def _write_severities(root: Path, subjects: Sequence[Subject], measured: Sequence[Mapping[str, Any]]) -> None:
    parts = ("healthy", "aging", "disease")
    names = [f"{part}_{component}" for part in parts for component in ("temporal", "ventricular")]
    header = ["participant_id", "diagnosis", "diseased", *names]
    header += [f"{region}_percent" for region in REGIONS] + ["smallest_jacobian"]
    rows = []
    for subject, values in zip(subjects, measured, strict=True):
        drawn = [number for part in parts for number in getattr(subject.severity, part)]
        changes = [f"{100 * values['region_changes'][region]:.2f}" for region in REGIONS]
        ids = [subject.participant_id, subject.label, str(int(subject.diseased))]
        rows.append([*ids, *(f"{n:.4f}" for n in drawn), *changes, f"{values['smallest_jacobian']:.3f}"])
    write_text(root / "truth" / "severities.tsv", _table(header, rows))
    columns = {
        name: {"Description": f"{WARNING} Severity in units of the mean published change"} for name in names
    }
    columns |= {
        f"{r}_percent": {"Description": f"{WARNING} Measured volume change against the template"}
        for r in REGIONS
    }
    columns["diseased"] = {
        "Description": f"{WARNING} 1: the anatomy holds simulated disease, whatever the label"
    }
    columns["smallest_jacobian"] = {
        "Description": f"{WARNING} Smallest local volume ratio; positive: no folding"
    }
    write_json(root / "truth" / "severities.json", columns)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in (header, *rows))


def _write_image(path: Path, array: NDArray[Any], grid: Grid, *, scale: float | None) -> None:
    """Write stored values in MNI space; ``scale`` turns them into real ones (none: they are the real ones).

    The bytes are put together here, because nibabel would rescale integers that carry a slope, and its gzip
    header holds the time: the same settings must give the same bytes.
    """
    image = nibabel.Nifti1Image(array, grid.affine)
    image.set_qform(grid.affine, code=_MNI_CODE)
    image.set_sform(grid.affine, code=_MNI_CODE)
    header = image.header
    header.set_xyzt_units("mm")
    header["descrip"] = b"SYNTHETIC neurofocus"
    header.set_slope_inter(1.0 if scale is None else scale, 0.0)
    header.set_data_offset(_DATA_OFFSET)
    raw = header.binaryblock.ljust(_DATA_OFFSET, b"\0") + array.tobytes(order="F")
    write_bytes(path, gzip.compress(raw, compresslevel=4, mtime=0))
