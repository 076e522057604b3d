"""The checks on real files: a clean cohort passes silently, planted leaks and confounds are told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofocus.data.volume import read_volume, write_volume
from neurofocus.errors import CohortError
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.tables import read_tsv, write_tsv
from neurofocus.workflows.cohort import setup as cohort_setup
from neurofocus.workflows.cohort.check import check_cohort_file
from neurofocus.workflows.cohort.scan import scan_cohort


@pytest.fixture
def spec(tiny_cohort: Path) -> CohortSpec:
    return load_cohort_spec(tiny_cohort)


@pytest.fixture
def listed(spec: CohortSpec, tiny_data: Path, tmp_path: Path) -> Path:
    """The table of the tiny cohort, its scans copied beside it."""
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    scan_cohort(spec, data, tmp_path / "scans.tsv")
    return tmp_path / "scans.tsv"


def rewrite(listed: Path, row: int, voxels: Callable[[np.ndarray], np.ndarray], name: str) -> None:
    """Replace a row's scan by changed voxels of the first row's."""
    table = read_tsv(listed)
    first = read_volume(Path(table["path"][0]))
    path = listed.parent / name
    write_volume(path, voxels(first.array), first.affine)
    table.loc[row, "path"] = name
    write_tsv(listed, table)


@pytest.mark.parametrize("with_spec", [True, False])
def test_the_tiny_cohort_passes_silently(listed: Path, spec: CohortSpec, with_spec: bool) -> None:
    checked = check_cohort_file(listed, spec if with_spec else None)
    assert checked.report.clean
    assert checked.classes == (("CN", "AD") if with_spec else ("AD", "CN"))
    assert checked.summary_lines() == ["16 scans of 16 participants: no leak and no confound found"]
    assert checked.as_json() == {"scans": 16, "participants": 16, "refusals": [], "warnings": []}


def test_studies_that_share_people_under_other_names(listed: Path) -> None:
    table = read_tsv(listed)
    table.loc[[0, 1], "participant_id"] = ["OAS1_0001", "sub-OAS30001"]
    write_tsv(listed, table)
    with pytest.raises(CohortError, match="'OAS1_0001' is of OASIS-1, 'sub-OAS30001' of OASIS-3"):
        check_cohort_file(listed)


def test_identical_voxels_in_another_format(listed: Path) -> None:
    rewrite(listed, 5, lambda voxels: voxels, "again.nii")
    first = nib.load(read_tsv(listed)["path"][0])
    nib.Nifti1Image(np.asarray(first.dataobj, dtype=np.float64), first.affine).to_filename(
        listed.parent / "again.nii"
    )
    report = check_cohort_file(listed).report
    assert [finding.kind for finding in report.refusals] == ["wrong split"]
    assert "identical voxels under two names" in report.refusals[0].text
    assert "(again.nii)" in report.refusals[0].text
    with pytest.raises(CohortError, match="identical voxels"):
        report.refuse()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_same_scan_processed_twice(listed: Path, mirrored: bool) -> None:
    rng = np.random.default_rng(0)

    def process(voxels: np.ndarray) -> np.ndarray:
        slope = np.linspace(0.9, 1.1, voxels.shape[1], dtype=np.float32)[:, None]
        noisy = voxels * slope + 20 * rng.standard_normal(voxels.shape) * (voxels > 0)
        return np.asarray(noisy[::-1] if mirrored else noisy, dtype=np.float32)

    rewrite(listed, 5, process, "processed.nii.gz")
    report = check_cohort_file(listed).report
    assert not report.refusals
    alike = [finding for finding in report.warnings if finding.kind == "near-duplicate"]
    (pair,) = alike[0].figures["pairs"]
    table = read_tsv(listed)
    assert pair["participants"] == [table["participant_id"][0], table["participant_id"][5]]
    assert pair["mirrored"] is mirrored
    assert "nii" not in alike[0].text  # file names may hold dates


def test_a_label_stored_in_another_way_is_told_first(listed: Path) -> None:
    """All AD scans are float32 .nii files of other axes: format, axis order and number type tell the label."""
    table = read_tsv(listed)
    for row in table.index[table["label"] == "AD"]:
        scan = read_volume(Path(table["path"][row]))
        turned = scan.affine @ np.array(
            [[-1, 0, 0, scan.array.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        table.loc[row, "path"] = f"{row}.nii"
        nib.Nifti1Image(scan.array[::-1], turned).to_filename(listed.parent / f"{row}.nii")
    table["site"] = np.where(table["label"] == "AD", "A", "B")
    write_tsv(listed, table)
    report = check_cohort_file(listed).report
    assert not report.refusals
    assert [(finding.kind, finding.figures["column"]) for finding in report.warnings] == [
        ("tied to the label", "axes"),
        ("tied to the label", "file_format"),
        ("confound", "site"),
        ("confound", "number_type"),
    ]
    assert "'LAS' only AD (8 of 8)" in report.warnings[0].text


@pytest.mark.parametrize("labels", [("0", "1"), ("CN", "AD")])
def test_labels_are_names_or_indices(listed: Path, spec: CohortSpec, labels: tuple[str, str]) -> None:
    table = read_tsv(listed)
    table["label"] = table["label"].map({"CN": labels[0], "AD": labels[1]})
    table = table[["participant_id", "path", "label"]]
    write_tsv(listed, table)
    checked = check_cohort_file(listed, spec)
    assert checked.table["label"].tolist() == [
        {"0": 0, "1": 1, "CN": 0, "AD": 1}[value] for value in table["label"]
    ]
    assert checked.report.clean


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.drop(columns="label"),
            r"no column 'label'; it has .*as 'neurofocus cohort scan' writes them",
        ),
        (lambda t: t.rename(columns={"path": "paths"}), r"no column 'path'; did you mean 'paths'\?"),
        (lambda t: t.iloc[:0], r"no scans, only a header"),
        (lambda t: t.assign(label=["n/a", *t["label"][1:]]), r"row 2 has no label"),
        (
            lambda t: t.assign(label=["MCI", *t["label"][1:]]),
            r"'label' holds 'MCI' \(1 such rows\); .*CN \(0\), AD \(1\)",
        ),
        (
            lambda t: t.assign(path=["x/a.nii", "b.nii", *t["path"][2:]]),
            r"2 of 16 files are not there \(a.nii, b.nii\)",
        ),
    ],
)
def test_tables_that_cannot_be_used(listed: Path, spec: CohortSpec, change: Callable, words: str) -> None:
    write_tsv(listed, change(read_tsv(listed)))
    with pytest.raises(CohortError, match=rf"scans\.tsv: .*{words}"):
        check_cohort_file(listed, spec)


def test_all_unreadable_scans_are_named_at_once(listed: Path) -> None:
    table = read_tsv(listed)
    for path in table["path"][:7]:
        Path(path).write_bytes(b"\x1f\x8b" + bytes(40))
    with pytest.raises(CohortError) as caught:
        check_cohort_file(listed)
    text = str(caught.value)
    assert text.startswith("7 of 16 scans cannot be read (sub-SIM001: sub-SIM001_space")
    assert text.count("compressed data") == 5
    assert "; and 2 more)" in text
    assert str(listed.parent) not in text


def test_a_clean_run_is_recorded_as_such(
    listed: Path, spec: CohortSpec, tiny_config: Path, tmp_path: Path
) -> None:
    """A run makes the same checks: what is found goes into checks.json and into the log."""
    config = load_run_config(tiny_config)
    setup = cohort_setup.set_up_cohort(spec, listed.parent / "data", config, tmp_path / "out")
    assert setup.checks.clean
    kept = json.loads((tmp_path / "out" / "checks.json").read_text(encoding="utf-8"))
    assert kept["refusals"] == kept["warnings"] == []
    assert len(set(kept["voxels"])) == 16


def test_a_confound_of_a_run_is_kept_and_told(
    listed: Path, spec: CohortSpec, tiny_config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    people = read_tsv(listed.parent / "data" / "participants.tsv")
    people["site"] = np.where(people["diagnosis"] == "AD", "A", "B")
    people.to_csv(listed.parent / "data" / "participants.tsv", sep="\t", index=False)
    setup = cohort_setup.set_up_cohort(
        spec, listed.parent / "data", load_run_config(tiny_config), tmp_path / "out"
    )
    (finding,) = setup.checks.warnings
    assert finding.figures["column"] == "site"
    assert finding.text in caplog.text
    assert "Cramér's V 1.00" in (tmp_path / "out" / "checks.json").read_text(encoding="utf-8")


def test_a_leak_stops_a_run_before_anything_is_written(
    listed: Path, spec: CohortSpec, tiny_config: Path, tmp_path: Path
) -> None:
    data = listed.parent / "data"
    first, second = sorted(data.glob("sub-*/anat/*_T1w.nii.gz"))[:2]
    second.write_bytes(first.read_bytes())
    (tmp_path / "out").mkdir()
    with pytest.raises(CohortError, match=r"leak \(wrong split\): identical voxels"):
        cohort_setup.set_up_cohort(spec, data, load_run_config(tiny_config), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_nothing_is_fitted_on_other_scans(
    spec: CohortSpec, tiny_data: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late split cannot happen in preparation: a scan's frames do not depend on who else is in the cohort."""
    config = load_run_config(tiny_config)
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "one"))
    setup = cohort_setup.set_up_cohort(spec, tiny_data, config, tmp_path / "out")
    everyone, _ = cohort_setup.prepare_scans(setup, config)
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "two"))
    for row in (0, 7):
        alone = cohort_setup.CohortTable(setup.table.iloc[[row]].reset_index(drop=True), ())
        (case,), _ = cohort_setup.prepare_scans(
            cohort_setup.CohortSetup(spec, tiny_data, alone, setup.folds), config
        )
        assert (case.frames == everyone[row].frames).all()
        assert case.quality == everyone[row].quality
