"""SYNTHETIC scans delivered as LONI IDA delivers: from the folder to a finished cross-validation with one command."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ingest.ida_delivery import IdaDelivery, Scan
from scipy.ndimage import zoom

from neurofocus.tables import read_tsv

Command = Callable[..., int]
DAYS = {"bl": "2006-03-01", "m12": "2007-03-01", "m36": "2009-03-02"}
# ADNI-1 writes 1, 2, 3 for CN, MCI, AD in DXCURREN, ADNI-3 in DIAGNOSIS.
CODES = {"CN": "1", "MCI": "2", "AD": "3"}


def put(delivery: IdaDelivery, scan: Scan, source: Path, *, finer: int = 1) -> None:
    """Deliver a simulated scan in the place of the miniature's voxels; ``finer`` divides its voxel size."""
    path = delivery.put(scan, leaf="S" if scan.image % 2 else "I", form="nii.gz" if finer > 1 else "nii")
    image = nib.load(source)
    assert isinstance(image, nib.Nifti1Image)
    if finer > 1:
        affine = image.affine @ np.diag([1 / finer, 1 / finer, 1 / finer, 1])
        voxels = zoom(np.asarray(image.dataobj, dtype=np.float32), finer, order=0)
        image = nib.Nifti1Image(np.round(voxels / voxels.max() * 1000).astype(np.int16), affine)
    image.to_filename(path)


def sources(data: Path) -> list[Path]:
    return sorted(data.glob("sub-*/anat/*_T1w.nii.gz"))


def deliver_adni(root: Path, data: Path, courses: list[dict[str, str]]) -> None:
    """One baseline scan a person; the enrolment group of everybody is MCI, and DXSUM holds the course."""
    delivery = IdaDelivery(root, below="ADNI1/ADNI")
    scans, rows = [], []
    for number, (source, course) in enumerate(zip(sources(data), courses, strict=True), start=1):
        subject = f"{number % 5 + 1:03d}_S_{number:04d}"
        scan = Scan(
            subject, 40000 + number, group="MCI", visit="bl", day=DAYS["bl"], age=f"{70 + number % 7}"
        )
        put(delivery, scan, source)
        scans.append(scan)
        for visit, diagnosis in course.items():
            modern = number % 2 == 0
            coded = ["", CODES[diagnosis]] if modern else [CODES[diagnosis], ""]
            rows.append([str(number), subject, visit, visit, DAYS[visit], *coded])
    delivery.collection(scans, bom=True, end="\r\n")
    header = ["RID", "PTID", "VISCODE", "VISCODE2", "EXAMDATE", "DXCURREN", "DIAGNOSIS"]
    delivery.table("DXSUM_PDXCONV_ADNIALL_12Oct2024.csv", header, rows)


def deliver_ppmi(root: Path, data: Path, courses: list[dict[str, str]]) -> None:
    delivery = IdaDelivery(root, project="PPMI")
    scans, rows = [], []
    for number, (source, course) in enumerate(zip(sources(data), courses, strict=True), start=1):
        ill = course["bl"] == "AD"
        scan = Scan(
            str(3000 + number),
            290000 + number,
            description="MPRAGE GRAPPA",
            group="Prodromal",  # corrected by the status table
            visit="Baseline",
            kind="Original",
            age=f"{60 + number % 9}",
        )
        put(delivery, scan, source, finer=4)
        scans.append(scan)
        name = "Parkinson's Disease" if ill else "Healthy Control"
        rows.append([scan.subject, "1" if ill else "2", name, "Enrolled", "60.5"])
    delivery.search(scans, sep=";")
    header = ["PATNO", "COHORT", "COHORT_DEFINITION", "ENROLL_STATUS", "ENROLL_AGE"]
    delivery.table("Participant_Status_12Mar2024.csv", header, rows)


TWO = [{"bl": "CN"}, {"bl": "AD"}] * 8
MCI = [{"bl": "MCI", "m12": "MCI", "m36": "MCI"}, {"bl": "MCI", "m12": "AD", "m36": "AD"}] * 8
THREE = [{"bl": diagnosis} for diagnosis in (*["CN"] * 6, *["MCI"] * 5, *["AD"] * 5)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cohort", "deliver", "courses", "labels"),
    [
        ("adni", deliver_adni, TWO, {"CN": 8, "AD": 8}),
        ("adni-mci", deliver_adni, MCI, {"sMCI": 8, "pMCI": 8}),
        ("adni-3class", deliver_adni, THREE, {"CN": 6, "MCI": 5, "AD": 5}),
        ("ppmi", deliver_ppmi, TWO, {"HC": 8, "PD": 8}),
    ],
)
def test_from_a_delivery_to_a_finished_cross_validation(
    command: Command,
    tiny_data: Path,
    tiny_config: Path,
    tmp_path: Path,
    cohort: str,
    deliver: Callable[[Path, Path, list[dict[str, str]]], None],
    courses: list[dict[str, str]],
    labels: dict[str, int],
) -> None:
    deliver(tmp_path / "data", tiny_data, courses)
    out = tmp_path / "run"
    arguments = ["--cohort", cohort, "--data", tmp_path / "data", "--config", tiny_config, "--out", out]
    faster = ["--set", "prepare.registration=none", "--set", "prepare.bias_correction=false"]
    assert command("cv", *arguments, *faster, "--device", "cpu") == 0
    predictions = read_tsv(out / "predictions.tsv")
    assert predictions["label"].value_counts().to_dict() == labels
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["pooled"]["balanced_accuracy"]["value"] is not None
    assert (out / "bundle" / "bundle.json").is_file()
    written = (out / "cohort.tsv").read_text(encoding="utf-8") + (out / "report.html").read_text(
        encoding="utf-8"
    )
    assert not any(day in written or day.replace("-", "") in written for day in DAYS.values())
    assert str(tmp_path) not in written
