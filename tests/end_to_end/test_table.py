"""SYNTHETIC scans listed in a CSV, some of them DICOM series: from the table to a finished cross-validation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.dicom_series import write_dicom

from neurofocus.data.volume import read_volume, write_volume
from neurofocus.tables import read_tsv

Command = Callable[..., int]


@pytest.mark.slow
def test_from_a_table_to_a_finished_cross_validation(
    command: Command, tiny_data: Path, tiny_config: Path, tmp_path: Path
) -> None:
    people = read_tsv(tiny_data / "participants.tsv")
    lines = ["Subject;File;Diagnosis;Age;Gender;Center"]
    for number, (person, diagnosis) in enumerate(
        zip(people["participant_id"], people["diagnosis"], strict=True)
    ):
        volume = read_volume(next((tiny_data / person / "anat").glob("*_T1w.nii.gz")))
        stored = np.round(volume.array / volume.array.max() * 1000).astype(np.int16)
        path = tmp_path / "scans" / (f"{number}" if number < 4 else f"{number}.nii.gz")
        if number < 4:
            write_dicom(path, stored, volume.affine)
        else:
            path.parent.mkdir(exist_ok=True)
            write_volume(path, stored, volume.affine)
        name = "control" if diagnosis == "CN" else diagnosis
        lines.append(
            f"{number:03d};scans/{path.name};{name};{70 + number % 5};{number % 2};centre {number % 3}"
        )
    table = tmp_path / "list.csv"
    table.write_text("\r\n".join(lines), encoding="utf-8-sig")
    out = tmp_path / "run"
    arguments = ["--cohort", "table", "--data", table, "--config", tiny_config, "--out", out]
    faster = ["--set", "prepare.registration=none", "--set", "prepare.bias_correction=false"]
    assert command("cv", *arguments, *faster, "--device", "cpu") == 0
    assert len(read_tsv(out / "predictions.tsv")) == 16
    assert set(read_tsv(out / "cohort.tsv")["label"]) == {"0", "1"}
