"""`neurofocus prepare` on miniature cohorts: what is done, what fails, what is made again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofocus.data.template import load_template
from neurofocus.data.volume import write_volume
from neurofocus.errors import CohortError, ConfigError, NeurofocusError
from neurofocus.files import sha256_file
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.workflows.preparation import prepare as module
from neurofocus.workflows.preparation.files import ScanPlace
from neurofocus.workflows.preparation.prepare import PreparationResult, prepare_cohort_files

SPACE = "space-MNI152NLin2009aSym"
# participant -> what is wrong with the file
BROKEN = {"sub-02": "cut", "sub-03": "empty", "sub-05": "text", "sub-08": "elsewhere"}
COHORT = """
name: mini
title: Miniature scans
description: Coarse copies of the template with noise.
layout: bids
label_column: diagnosis
classes: {CN: [CN], AD: [AD]}
config: mri
"""


def write_scan(path: Path, seed: int) -> None:
    """A coarse template with some noise, in template space as its name says."""
    template = load_template()
    array = template.array[::6, ::6, ::6]
    noise = 0.03 * np.random.default_rng(seed).standard_normal(array.shape).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, array + noise, template.affine @ np.diag([6.0, 6, 6, 1]))


def scan_of(data: Path, name: str) -> Path:
    return data / name / "anat" / f"{name}_space-MNI152NLin2009aSym_T1w.nii.gz"


def spoil(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a scan")
    else:  # far away from the brain
        image = nib.load(path)
        affine = image.affine.copy()
        affine[:3, 3] += 900
        write_volume(path, np.asarray(image.dataobj, dtype=np.float32), affine)


def make_cohort(folder: Path, subjects: int, broken: dict[str, str]) -> Path:
    folder.mkdir()
    rows = ["participant_id\tdiagnosis\tage\tsex"]
    for number in range(1, subjects + 1):
        name = f"sub-{number:02d}"
        write_scan(scan_of(folder, name), number)
        rows.append(f"{name}\t{'AD' if number % 2 else 'CN'}\t{60 + number % 20}\tF")
    for name, how in broken.items():
        spoil(scan_of(folder, name), how)
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "dataset_description.json").write_text(
        json.dumps({"Name": "mini", "BIDSVersion": "1.10.0"}), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="session")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("definition") / "mini.yaml"
    path.write_text(COHORT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def config(definition: Path, tiny_config: Path) -> RunConfig:
    return load_run_config(tiny_config).model_copy(update={"cohort": str(definition)})


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("eight") / "data", 8, BROKEN)


@pytest.fixture(scope="module")
def done(big: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> PreparationResult:
    return prepare_cohort_files(config, data=big, out=tmp_path_factory.mktemp("out") / "derived", jobs=1)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_cohort(tmp_path / "data", 3, {})


def record_of(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ScanPlace(out, name, "n/a").record.read_text(encoding="utf-8"))
    return found


def times(out: Path) -> dict[str, int]:
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("sub-*") if path.is_file()
    }


def test_four_of_eight_fail_and_are_explained(done: PreparationResult) -> None:
    assert (done.prepared, done.kept) == (4, 0)
    failures = read_tsv(done.out / "failures.tsv").set_index("participant_id")
    assert sorted(failures.index) == sorted(BROKEN)
    assert list(failures["label"]) == ["CN", "AD", "AD", "CN"]
    assert failures["reason"]["sub-02"].startswith("the data end before the header's size")
    assert failures["reason"]["sub-03"].startswith("an empty file")
    assert failures["reason"]["sub-05"].startswith("not gzip-compressed")
    assert re.match("only [0-9]+ pixels|hardly any brain", failures["reason"]["sub-08"])
    assert not failures["reason"].str.contains("sub-|/").any(), "no file names or folders in reasons"


def test_the_summary_counts_by_label(done: PreparationResult) -> None:
    lines = done.summary_lines()
    assert lines[0] == "prepared    4 of 8 scans (0 were done before)"
    assert lines[1] == "failed      4 by label: CN 2 of 4, AD 2 of 4"
    assert lines[3].startswith("  sub-03 AD: an empty file")
    json.dumps(done.document(), allow_nan=False)


def test_each_scan_is_a_bids_derivative(done: PreparationResult) -> None:
    folder = done.out / "sub-01" / "anat"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        f"sub-01_{SPACE}_desc-preproc_T1w.nii.gz",
        f"sub-01_{SPACE}_desc-brain_mask.nii.gz",
        f"sub-01_{SPACE}_desc-qc.json",
    }
    template = load_template()
    scan = nib.load(folder / f"sub-01_{SPACE}_desc-preproc_T1w.nii.gz")
    mask = nib.load(folder / f"sub-01_{SPACE}_desc-brain_mask.nii.gz")
    assert scan.shape == mask.shape == template.array.shape
    np.testing.assert_allclose(scan.affine, template.affine)
    assert mask.get_data_dtype() == np.uint8
    assert (np.asarray(mask.dataobj) > 0).sum() > 0.99 * template.mask.sum()
    brain = np.asarray(scan.dataobj)[template.mask]
    assert np.corrcoef(brain, template.array[template.mask])[0, 1] > 0.7
    description = json.loads((done.out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "neurofocus prepare"


def test_the_record_says_what_was_done(done: PreparationResult) -> None:
    record = record_of(done.out, "sub-01")
    assert record["settings"] == {"registration": "affine", "bias_correction": True, "brain_mask": "template"}
    assert {"read", "frames", "resample", "measure", "write"} <= set(record["seconds"])
    assert record["versions"]["SimpleITK".lower()]
    for kind, file in record["files"].items():
        assert sha256_file(ScanPlace(done.out, "sub-01", "n/a").outputs[kind]) == file["sha256"]
    assert record["measures"]["affine_determinant"] == 1.0
    assert record["measures"]["template_ncc"] > 0.7


def test_nothing_names_a_person_or_a_folder(done: PreparationResult, big: Path) -> None:
    texts = [path for path in done.out.rglob("*") if path.suffix in (".json", ".tsv", ".html")]
    assert len(texts) > 4
    for path in texts:
        content = path.read_text(encoding="utf-8")
        assert str(big) not in content
        assert str(done.out.parent) not in content
        assert not re.search(r"\b(age|sex)\b", content), path.name


def test_a_second_call_does_nothing(done: PreparationResult, big: Path, config: RunConfig) -> None:
    before = times(done.out)
    again = prepare_cohort_files(config, data=big, out=done.out, jobs=1)
    assert (again.prepared, again.kept) == (4, 4)
    assert times(done.out) == before
    assert again.quality.equals(done.quality)


@pytest.mark.slow
def test_cv_finds_the_frames(
    small: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurofocus.data import cache
    from neurofocus.data.frames import frame_grid

    prepare_cohort_files(config, data=small, out=tmp_path / "out", jobs=1)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("prepared again")

    monkeypatch.setattr(cache, "prepare_case", never)
    grid = frame_grid(config.prepare, config.model.frame_size)
    folder = module.cache_dir() / "prepared"
    case = cache.CaseCache(folder).get_or_prepare(scan_of(small, "sub-01"), config.prepare, grid, True)
    assert case.frames.shape == grid.shape
    assert not case.frames.flags.writeable


def change_file(small: Path, out: Path, config: RunConfig) -> RunConfig:
    write_scan(scan_of(small, "sub-02"), 77)
    return config


def change_output(small: Path, out: Path, config: RunConfig) -> RunConfig:
    path = ScanPlace(out, "sub-02", "n/a").outputs["preproc"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return config


def remove_output(small: Path, out: Path, config: RunConfig) -> RunConfig:
    ScanPlace(out, "sub-02", "n/a").outputs["thumbnail"].unlink()
    return config


@pytest.mark.slow
@pytest.mark.parametrize("change", [change_file, change_output, remove_output])
def test_only_what_changed_is_made_again(
    small: Path, config: RunConfig, tmp_path: Path, change: Callable[[Path, Path, RunConfig], RunConfig]
) -> None:
    out = tmp_path / "out"
    prepare_cohort_files(config, data=small, out=out, jobs=1)
    before = times(out)
    again = prepare_cohort_files(change(small, out, config), data=small, out=out, jobs=1)
    assert (again.prepared, again.kept) == (3, 2)
    touched = {path.split("/")[0] for path, time in times(out).items() if before.get(path) != time}
    assert touched == {"sub-02"}


@pytest.mark.slow
def test_a_changed_setting_makes_all_again_and_another_grid_none(
    small: Path, config: RunConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare_cohort_files(config, data=small, out=out, jobs=1)
    other = config.prepare.model_copy(update={"axis": "axial"})
    assert (
        prepare_cohort_files(config.model_copy(update={"prepare": other}), data=small, out=out, jobs=1).kept
        == 3
    )
    none = config.prepare.model_copy(update={"brain_mask": "none"})
    again = prepare_cohort_files(config.model_copy(update={"prepare": none}), data=small, out=out, jobs=1)
    assert again.kept == 0
    assert not list(out.rglob("*desc-brain_mask.nii.gz"))


@pytest.mark.slow
def test_outputs_of_scans_that_left_or_broke_are_removed(
    small: Path, config: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    prepare_cohort_files(config, data=small, out=out, jobs=1)
    shutil.rmtree(small / "sub-01")
    spoil(scan_of(small, "sub-02"), "text")
    again = prepare_cohort_files(config, data=small, out=out, jobs=1)
    assert (again.prepared, again.kept, len(again.failures)) == (1, 1, 1)
    assert {path.name.split("_")[0] for path in out.rglob("sub-*") if path.is_file()} == {"sub-03"}
    assert "outputs of 1 scans that are no longer in the cohort were removed (sub-01)" in caplog.text


def test_nothing_prepared_is_an_error(tmp_path: Path, config: RunConfig) -> None:
    data = make_cohort(tmp_path / "data", 2, {"sub-01": "text", "sub-02": "empty"})
    with pytest.raises(CohortError, match=r"none of 2 scans can be prepared \(sub-01: not gzip"):
        prepare_cohort_files(config, data=data, out=tmp_path / "out", jobs=1)
    assert len(read_tsv(tmp_path / "out" / "failures.tsv")) == 2


def test_folders_of_others_are_refused(
    small: Path, done: PreparationResult, config: RunConfig, definition: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is the cohort's own folder"):
        prepare_cohort_files(config, data=small, out=small, jobs=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"holds files but no dataset_description\.json"):
        prepare_cohort_files(config, data=small, out=tmp_path / "full", jobs=1)
    shutil.copytree(small, tmp_path / "raw")
    with pytest.raises(ConfigError, match="did not make; choose another folder"):
        prepare_cohort_files(config, data=small, out=tmp_path / "raw", jobs=1)
    other = tmp_path / "other.yaml"
    other.write_text(definition.read_text().replace("name: mini", "name: other"), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds the scans of cohort mini, not of cohort other"):
        prepare_cohort_files(
            config.model_copy(update={"cohort": str(other)}), data=small, out=done.out, jobs=1
        )


def test_a_mistake_in_the_program_does_not_stop_the_others(
    small: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurofocus.workflows.preparation import scan as scans

    real = scans.measure_scan

    def fail(scan: Any, standard: Any) -> dict[str, float | None]:
        if scan.stem.startswith("sub-02"):
            raise ZeroDivisionError
        return real(scan, standard)

    monkeypatch.setattr(scans, "measure_scan", fail)
    result = prepare_cohort_files(config, data=small, out=tmp_path / "out", jobs=1)
    assert result.prepared == 2
    assert "a mistake in the program (ZeroDivisionError" in result.failures["reason"][0]


def test_a_full_disk_stops_everything(
    small: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurofocus.workflows.preparation import scan as scans

    def full(*_: object) -> None:
        raise NeurofocusError("x: the disk is full")

    monkeypatch.setattr(scans, "write_bytes", full)
    with pytest.raises(NeurofocusError, match="the disk is full"):
        prepare_cohort_files(config, data=small, out=tmp_path / "out", jobs=1)
