"""Where a run's cohort comes from, and what its setup leaves in the run folder."""

import errno
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from neurofocus.errors import CohortError, NeurofocusError
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.workflows.cohort import setup as module
from neurofocus.workflows.cohort.setup import find_data, prepare_scans, set_up_cohort


@pytest.fixture(scope="module")
def spec(tiny_cohort: Path) -> CohortSpec:
    return load_cohort_spec(tiny_cohort)


@pytest.fixture(scope="module")
def config(tiny_config: Path) -> RunConfig:
    return load_run_config(tiny_config)


def test_simulated_data_are_made_in_the_cache(spec: CohortSpec, tiny_data: Path, private_cache: Path) -> None:
    assert find_data(spec, None) == tiny_data
    assert private_cache in tiny_data.parents


def test_given_data_win(spec: CohortSpec, tmp_path: Path) -> None:
    assert find_data(spec, tmp_path) == tmp_path


def test_data_that_are_not_there(tmp_path: Path, spec: CohortSpec) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for data, words in (
        (tmp_path / "absent", "no such folder"),
        (tmp_path / "file", "without an ending is no table"),
    ):
        with pytest.raises(CohortError, match=rf"--data .*: .*{words}"):
            find_data(spec, data)
    with pytest.raises(CohortError, match="cohort 'bids': no data folder; give it with --data DIR"):
        find_data(load_cohort_spec("bids"), None)


def test_a_cache_without_permission(spec: CohortSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(module, "ensure_simulated", refuse)
    with pytest.raises(NeurofocusError, match=r"not writable; .*NEUROFOCUS_CACHE"):
        find_data(spec, None)


def test_folds_are_saved_before_training_and_kept(
    spec: CohortSpec, config: RunConfig, tiny_data: Path, tmp_path: Path
) -> None:
    setup = set_up_cohort(spec, tiny_data, config, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checks.json", "cohort.tsv", "folds.tsv"}
    before = (tmp_path / "folds.tsv").read_bytes()
    again = set_up_cohort(spec, tiny_data, config.model_copy(update={"seed": 9}), tmp_path)
    assert (tmp_path / "folds.tsv").read_bytes() == before
    assert again.folds.frame.equals(setup.folds.frame)
    assert setup.table is setup.cohort.table
    assert all(Path(path).is_absolute() for path in setup.table["path"])


def test_folds_edited_into_a_leak(
    spec: CohortSpec, config: RunConfig, tiny_data: Path, tmp_path: Path
) -> None:
    set_up_cohort(spec, tiny_data, config, tmp_path)
    table = read_tsv(tmp_path / "folds.tsv")
    tested = table["role_1"] == "test"
    table.loc[tested, "role_1"] = "train"
    table.to_csv(tmp_path / "folds.tsv", sep="\t", index=False)
    with pytest.raises(CohortError, match="column 'role_1' was changed by hand"):
        set_up_cohort(spec, tiny_data, config, tmp_path)


def test_paths_are_shown_below_the_data_set(
    spec: CohortSpec, config: RunConfig, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tiny_data)
    monkeypatch.chdir(tmp_path)
    for number, root in enumerate((tiny_data, tmp_path / "link", Path("link"))):
        set_up_cohort(spec, root, config, tmp_path / str(number))
        shown = read_tsv(tmp_path / str(number) / "cohort.tsv")["path"][0]
        assert shown.startswith("sub-SIM001/anat/sub-SIM001_")


def test_a_repeated_call_reads_links_to_the_same_file(
    spec: CohortSpec, config: RunConfig, tiny_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    first, second = sorted(data.glob("sub-*/anat/*_T1w.nii.gz"))[:2]
    second.unlink()
    second.symlink_to(first)
    with pytest.raises(CohortError, match="one file is listed twice: 'sub-SIM001'"):
        set_up_cohort(spec, data, config, tmp_path / "out")


def test_warnings_of_the_cohort_are_told(
    spec: CohortSpec,
    config: RunConfig,
    tiny_data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    table = read_tsv(data / "participants.tsv")
    table.loc[0, "age"] = "89+"
    table.to_csv(data / "participants.tsv", sep="\t", index=False)
    with caplog.at_level(logging.WARNING, logger="neurofocus"):
        setup = set_up_cohort(spec, data, config, tmp_path / "out")
    assert "top-coded" in caplog.text
    assert setup.cohort.warnings[0] in caplog.text


def describe(folder: Path, text: str) -> None:
    (folder / "dataset_description.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: None, True),
        (lambda data: (data / "dataset_description.json").unlink(), False),
        (lambda data: describe(data, json.dumps({"Name": "A study"})), False),
        (lambda data: describe(data, json.dumps({"BIDSVersion": "1.10.0"})), False),
        (lambda data: describe(data, "[]"), False),
        (lambda data: describe(data, "{"), False),
    ],
)
def test_whether_scans_are_synthetic(
    config: RunConfig, tiny_data: Path, tmp_path: Path, change: Callable[[Path], object], expected: bool
) -> None:
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    change(data)
    setup = set_up_cohort(load_cohort_spec("bids"), data, config, tmp_path / "out")
    assert setup.synthetic is expected


def test_prepared_scans_come_in_the_tables_order(
    spec: CohortSpec, config: RunConfig, tiny_data: Path, tmp_path: Path
) -> None:
    setup = set_up_cohort(spec, tiny_data, config, tmp_path)
    cases, grid = prepare_scans(setup, config)
    assert len(cases) == len(setup.table)
    assert all(case.frames.shape == (grid.num_frames, 32, 32) for case in cases)
    half = setup.cohort.table.iloc[::-2].reset_index(drop=True)
    reversed_setup = module.CohortSetup(
        spec, tiny_data, module.CohortTable(half, setup.cohort.flow), setup.folds
    )
    again, _ = prepare_scans(reversed_setup, config)
    for case, name in zip(again, half["participant_id"], strict=True):
        row = setup.table.index[setup.table["participant_id"] == name][0]
        assert (case.frames == cases[row].frames).all()
