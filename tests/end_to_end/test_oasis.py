"""SYNTHETIC scans delivered as OASIS delivers: from the folder to a finished cross-validation with one command."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.analyze import AnalyzeHeader, AnalyzeImage

from neurofocus.tables import read_tsv

Command = Callable[..., int]
Deliver = Callable[[Path, list[tuple[nib.Nifti1Image, bool]]], None]


def sagittal(image: nib.Nifti1Image) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return voxels [front, top, left] as int16, and the voxel size."""
    canonical = nib.as_closest_canonical(image)
    voxels = np.asarray(canonical.dataobj, dtype=np.float64)
    stored = np.round(voxels / voxels.max() * 1000).astype(np.int16)
    x, y, z = canonical.header.get_zooms()[:3]
    return np.flip(stored.transpose(1, 2, 0), axis=2), (float(y), float(z), float(x))


def put_pair(path: Path, image: nib.Nifti1Image, *, nifti: bool = False) -> None:
    path.parent.mkdir(parents=True)
    stored, zooms = sagittal(image)
    if nifti:
        pair = nib.Nifti1Pair(stored, None)
    else:
        pair = AnalyzeImage(stored[..., None], None, AnalyzeHeader(endianness=">"))
        zooms = (*zooms, 1.0)
    pair.header.set_zooms(zooms)
    pair.to_filename(path)


def deliver_oasis1(root: Path, scans: list[tuple[nib.Nifti1Image, bool]]) -> None:
    lines = ["ID,M/F,Hand,Age,Educ,SES,MMSE,CDR,eTIV,nWBV,ASF,Delay"]
    for number, (image, ill) in enumerate(scans, start=1):
        name = f"OAS1_{number:04d}_MR1"
        put_pair(
            root / f"disc{1 + number % 2}/{name}/PROCESSED/MPRAGE/SUBJ_111/{name}_mpr_n4_anon_sbj_111.img",
            image,
        )
        lines.append(f"{name},F,R,{70 + number % 7},2,3,29,{0.5 if ill else 0},1344,0.743,1.306,N/A")
    (root / "oasis_cross-sectional.csv").write_text("\n".join(lines))


def deliver_oasis2(root: Path, scans: list[tuple[nib.Nifti1Image, bool]]) -> None:
    lines = ["Subject ID,MRI ID,Group,Visit,MR Delay,M/F,Hand,Age,EDUC,SES,MMSE,CDR,eTIV,nWBV,ASF"]
    for number, (image, ill) in enumerate(scans, start=1):
        name = f"OAS2_{number:04d}"
        put_pair(root / f"OAS2_RAW_PART1/{name}_MR1/RAW/mpr-1.nifti.img", image, nifti=True)
        group, cdr = ("Demented", "1.0") if ill else ("Nondemented", "0.0")
        lines.append(f"{name},{name}_MR1,{group},1,0,M,R,{70 + number % 7},14,2,27,{cdr},1987,0.696,0.883")
    (root / "oasis_longitudinal_demographics.csv").write_text("\n".join(lines))


def deliver_oasis3(root: Path, scans: list[tuple[nib.Nifti1Image, bool]]) -> None:
    visits = ["OASISID,OASIS_session_label,days_to_visit,age at visit,CDRTOT,dx1"]
    people = ["OASISID,AgeatEntry,GENDER"]
    for number, (image, ill) in enumerate(scans, start=1):
        name = f"OAS3{number:04d}"
        path = root / f"{name}_MR_d0129/anat2/NIFTI/sub-{name}_ses-d0129_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        image.to_filename(path)
        words = "0.5,AD Dementia" if ill else "0,Cognitively normal"
        visits.append(f"{name},{name}_UDSb4_d0000,0,70,{words}")
        people.append(f"{name},{70 + number % 7},{1 + number % 2}")
    (root / "OASIS3_UDSb4_cdr.csv").write_text("\n".join(visits))
    (root / "OASIS3_demographics.csv").write_text("\n".join(people))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cohort", "deliver", "orientation"),
    [
        ("oasis1", deliver_oasis1, "ASL"),
        ("oasis2", deliver_oasis2, "ASL"),
        ("oasis3", deliver_oasis3, "header"),
    ],
)
def test_from_a_delivery_to_a_finished_cross_validation(
    command: Command,
    tiny_data: Path,
    tiny_config: Path,
    tmp_path: Path,
    cohort: str,
    deliver: Deliver,
    orientation: str,
) -> None:
    people = read_tsv(tiny_data / "participants.tsv")
    scans = [
        (nib.load(next((tiny_data / name / "anat").glob("*_T1w.nii.gz"))), diagnosis == "AD")
        for name, diagnosis in zip(people["participant_id"], people["diagnosis"], strict=True)
    ]
    (tmp_path / "data").mkdir()
    deliver(tmp_path / "data", scans)
    out = tmp_path / "run"
    arguments = ["--cohort", cohort, "--data", tmp_path / "data", "--config", tiny_config, "--out", out]
    faster = ["--set", "prepare.registration=none", "--set", "prepare.bias_correction=false"]
    assert command("cv", *arguments, *faster, "--device", "cpu") == 0, sys.stderr
    table = read_tsv(out / "cohort.tsv")
    assert set(table["orientation"]) == {orientation}
    assert sorted(table["label"]) == ["0"] * 8 + ["1"] * 8
    assert len(read_tsv(out / "predictions.tsv")) == 16
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["pooled"]["balanced_accuracy"]["value"] is not None
    assert (out / "bundle" / "bundle.json").is_file()
