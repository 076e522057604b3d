"""Folds by site and from ClinicaDL's splits: what a run makes of them, and what it refuses."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from neurofocus.errors import CohortError, ConfigError, NeurofocusError
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv, write_tsv
from neurofocus.workflows.cohort.setup import find_data, set_up_cohort
from neurofocus.workflows.cohort.source import read_cohort
from neurofocus.workflows.cross_validate import CrossValidationResult, cross_validate, run_config
from neurofocus.workflows.run_setup import request_run, set_up_run

BY_SITE = ("data.scheme=leave_site_out", "data.min_site_people=2")


@pytest.fixture(scope="module")
def spec(tiny_cohort: Path) -> CohortSpec:
    return load_cohort_spec(tiny_cohort)


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny cohort at three sites (by pairs of a healthy and an ill subject): 6, 6 and 4 people."""
    root = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    table = read_tsv(root / "participants.tsv")
    table["site"] = [("Lund", "Lyon", "Oulu")[number // 2 % 3] for number in range(len(table))]
    write_tsv(root / "participants.tsv", table)
    return root


@pytest.fixture
def free(tiny_config: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """The tiny configuration without a number of folds."""
    path = tmp_path / "free.yaml"
    path.write_text(tiny_config.read_text(encoding="utf-8").replace("folds: 2, ", ""), encoding="utf-8")
    return lambda *overrides: load_run_config(path, overrides)


def put_splits(folder: Path, table: pd.DataFrame, count: int) -> Path:
    """Write ClinicaDL's tables of a k-fold of a cohort table: every k-th person of a label is tested together."""
    people = table.drop_duplicates("participant_id").sort_values(["label", "participant_id"])
    people = people.assign(turn=people.groupby("label").cumcount() % count)
    columns = ["participant_id", "session_id", "diagnosis"]
    for number in range(count):
        split = folder / f"split-{number}"
        split.mkdir(parents=True)
        for name, rows in (("train", people["turn"] != number), ("validation", people["turn"] == number)):
            write_tsv(split / f"{name}_baseline.tsv", people.loc[rows, columns])
        write_tsv(split / "train.tsv", people.loc[people["turn"] != number, columns])
    return folder


# Sites.


def test_the_number_of_folds_follows_from_the_sites(
    spec: CohortSpec,
    data: Path,
    tmp_path: Path,
    free: Callable[..., RunConfig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = free(*BY_SITE)
    source = read_cohort(spec, data, config)
    assert config.data.folds == 5
    assert source.config.data.folds == 3
    with caplog.at_level(logging.INFO, logger="neurofocus"):
        setup = set_up_cohort(spec, data, source.config, tmp_path, source=source)
    assert "fold 1 tests 6 people of 1 sites: Lund" in caplog.text
    sites = setup.table.set_index("participant_id")["site"]
    tested = setup.folds.frame.set_index("participant_id")["fold"]
    assert sites.groupby(tested.reindex(sites.index)).unique().map(list).tolist() == [
        ["Lund"],
        ["Lyon"],
        ["Oulu"],
    ]


@pytest.mark.parametrize("folds", [2, 5])
def test_another_number_of_folds_is_a_contradiction(
    spec: CohortSpec, data: Path, free: Callable[..., RunConfig], folds: int
) -> None:
    words = rf"data\.folds={folds} \(--folds\): the sites of the cohort make 3 folds; leave it out, or set it to 3"
    with pytest.raises(ConfigError, match=words):
        read_cohort(spec, data, free(*BY_SITE, f"data.folds={folds}"))
    assert read_cohort(spec, data, free(*BY_SITE, "data.folds=3")).config.data.folds == 3


def test_sites_that_changed_between_two_calls(
    spec: CohortSpec, data: Path, tmp_path: Path, free: Callable[..., RunConfig]
) -> None:
    config = free(*BY_SITE)
    set_up_cohort(spec, data, config, tmp_path)
    folds = read_tsv(tmp_path / "folds.tsv")
    edited = folds.copy()
    edited.loc[edited.index[edited["role_1"] == "validation"][0], "role_1"] = "train"
    write_tsv(tmp_path / "folds.tsv", edited)
    with pytest.raises(CohortError, match=r"folds\.tsv: the sites or splits changed"):
        set_up_cohort(spec, data, config, tmp_path)
    write_tsv(tmp_path / "folds.tsv", folds)
    set_up_cohort(spec, data, config, tmp_path)
    table = read_tsv(data / "participants.tsv")
    table.loc[[0, 1, 2, 3], "site"] = ["Lyon", "Lyon", "Lund", "Lund"]
    write_tsv(data / "participants.tsv", table)
    with pytest.raises(CohortError, match=r"folds\.tsv: the sites or splits changed"):
        set_up_cohort(spec, data, config, tmp_path)


# Splits.


def test_splits_decide_the_folds(
    spec: CohortSpec, data: Path, tmp_path: Path, free: Callable[..., RunConfig]
) -> None:
    folder = put_splits(tmp_path / "of Alice" / "4_fold", load_cohort(spec, data).table, 4)
    source = read_cohort(spec, data, free().model_copy(update={"data": with_splits(free(), folder)}))
    assert source.config.data.folds == 4
    assert source.config.data.splits is not None
    assert source.config.data.splits.startswith("sha256:")
    setup = set_up_cohort(spec, data, source.config, tmp_path, source=source)
    for number in range(1, 5):
        tested = setup.folds.frame[f"role_{number}"] == "test"
        wanted = read_tsv(folder / f"split-{number - 1}" / "validation_baseline.tsv")["participant_id"]
        assert set(setup.folds.frame.loc[tested, "participant_id"]) == set(wanted)
        assert set(setup.folds.frame[f"role_{number}"]) == {"train", "validation", "test"}


def with_splits(config: RunConfig, folder: Path) -> object:
    return config.data.model_copy(update={"splits": str(folder)})


def test_who_is_in_no_split_is_left_out(
    spec: CohortSpec, data: Path, tmp_path: Path, free: Callable[..., RunConfig]
) -> None:
    table = load_cohort(spec, data).table
    folder = put_splits(tmp_path / "splits", table.iloc[4:], 2)
    config = free().model_copy(update={"data": with_splits(free(), folder)})
    source = read_cohort(spec, data, config)
    assert len(source.cohort.table) == len(table) - 4
    assert source.cohort.flow[-2].step == "participant in no split"
    assert source.cohort.flow[-1].count == len(table) - 4
    setup = set_up_cohort(spec, data, source.config, tmp_path, source=source)
    assert len(setup.folds.frame) == len(read_tsv(tmp_path / "cohort.tsv")) == len(table) - 4


def test_splits_with_a_number_of_folds_or_with_sites(
    tiny_cohort: Path, tiny_config: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"data\.scheme=leave_site_out decides the folds too"):
        run_config(str(tiny_cohort), tiny_config, ["data.scheme=leave_site_out"], splits=tmp_path)
    with pytest.raises(ConfigError, match="both decide the folds"):
        run_config(str(tiny_cohort), tiny_config, ["data.scheme=leave_site_out", "data.splits=x"])


def test_a_leak_in_the_splits_starts_no_run(
    tiny_cohort: Path, tiny_config: Path, data: Path, tmp_path: Path
) -> None:
    folder = put_splits(tmp_path / "splits", load_cohort(load_cohort_spec(tiny_cohort), data).table, 2)
    shutil.copy(folder / "split-0/validation_baseline.tsv", folder / "split-0/train.tsv")
    config = run_config(str(tiny_cohort), tiny_config, splits=folder)
    with pytest.raises(CohortError, match=r"split-0: leak: 8 participants are in train"):
        cross_validate(config, data=data, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


# A table instead of a folder.


def test_a_table_of_scans_is_data(
    spec: CohortSpec, tiny_data: Path, tmp_path: Path, tiny_config: Path
) -> None:
    table = load_cohort(spec, tiny_data).table
    write_tsv(tmp_path / "scans.tsv", table)
    real = spec.model_copy(update={"simulation": None})
    root = find_data(real, tmp_path / "scans.tsv")
    setup = set_up_cohort(real, root, load_run_config(tiny_config), tmp_path / "run")
    pd.testing.assert_frame_equal(setup.table, table)
    assert setup.root == tmp_path
    shown = read_tsv(tmp_path / "run/cohort.tsv")["path"]
    assert not shown.str.startswith("/").any()  # below no common folder: the name alone
    with pytest.raises(CohortError, match=r"--data .*none\.csv: no such file"):
        find_data(real, tmp_path / "none.csv")


# Whole runs.


def run(config: RunConfig, out: Path, **options: object) -> CrossValidationResult:
    return cross_validate(config, out=out, device="cpu", **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_one_site_out_at_a_time(
    tiny_cohort: Path, data: Path, tmp_path: Path, free: Callable[..., RunConfig]
) -> None:
    config = free(*BY_SITE, "train.epochs=1").model_copy(update={"cohort": str(tiny_cohort)})
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"--fold 4: accepted are 1 to 3"):
        run(config, out, data=data, fold=4)
    assert not out.exists()
    assert run(config, out, data=data, fold=2).message == "still to be run: fold 1, 3 (of 3 in all)"
    result = run(config, out, data=data)
    assert result.complete
    assert result.metrics is not None
    assert [fold["n_subjects"] for fold in result.metrics["folds"]] == [6, 6, 4]
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["data"]["folds"] == 3
    sites = read_tsv(out / "cohort.tsv").set_index("participant_id")["site"]
    predictions = read_tsv(out / "predictions.tsv")
    pairs = set(zip(predictions["fold"], predictions["participant_id"].map(sites), strict=True))
    assert pairs == {("1", "Lund"), ("2", "Lyon"), ("3", "Oulu")}
    assert len(list((out / "bundle").glob("fold-*.safetensors"))) == 3
    with pytest.raises(ConfigError, match=r"data\.scheme was 'leave_site_out', now 'kfold'"):
        run(free("train.epochs=1").model_copy(update={"cohort": str(tiny_cohort)}), out, data=data)


def test_a_run_on_splits_from_the_command(
    command: Callable[..., int],
    tiny_cohort: Path,
    tiny_config: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = load_cohort_spec(tiny_cohort)
    folder = put_splits(tmp_path / "a=b, [c]: d" / "2_fold", load_cohort(spec, data).table, 2)
    out = tmp_path / "run"
    arguments = ["cv", "--cohort", tiny_cohort, "--config", tiny_config, "--data", data, "--out", out]
    assert command(*arguments, "--splits", folder, "--device", "cpu", "--fold", 1) == 0
    assert command(*arguments, "--splits", folder, "--device", "cpu", "--json") == 0
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["n_subjects"] == 16
    for number in (1, 2):
        tested = read_tsv(out / f"fold-{number}" / "predictions.tsv")["participant_id"]
        wanted = read_tsv(folder / f"split-{number - 1}" / "validation_baseline.tsv")["participant_id"]
        assert set(tested) == set(wanted)
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".tsv", ".html"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8"), path.name
    capsys.readouterr()
    assert command(*arguments, "--device", "cpu") == 2  # the splits belong to the settings of the run
    assert "data.splits was 'sha256:" in capsys.readouterr().err
    other = tmp_path / "other"
    put_splits(other, load_cohort(spec, data).table.iloc[::-1].assign(label=0), 2)
    assert command(*arguments, "--splits", other, "--device", "cpu") == 2
    assert "data.splits was 'sha256:" in capsys.readouterr().err


def test_a_caps_folder(tiny_data: Path, tiny_config: Path, tiny_run: Path, tmp_path: Path) -> None:
    """The tiny scans as Clinica would name them: the same folds and the same predictions as from BIDS."""
    root = tmp_path / "caps"
    table = read_tsv(tiny_data / "participants.tsv")
    for person in table["participant_id"]:
        (scan,) = (tiny_data / person / "anat").glob("*_T1w.nii.gz")
        folder = root / "subjects" / person / "ses-M000" / "t1_linear"
        folder.mkdir(parents=True)
        shutil.copy(scan, folder / f"{person}_ses-M000_space-MNI152NLin2009cSym_res-1x1x1_T1w.nii.gz")
    labels = table.assign(session_id="ses-M000")
    write_tsv(root / "labels.tsv", labels[["participant_id", "session_id", "diagnosis", "age", "sex"]])
    result = run(run_config("caps", tiny_config), tmp_path / "run", data=root)
    assert result.complete
    columns = [name for name in read_tsv(tiny_run / "predictions.tsv").columns if name != "session_id"]
    pd.testing.assert_frame_equal(
        read_tsv(tmp_path / "run/predictions.tsv")[columns], read_tsv(tiny_run / "predictions.tsv")[columns]
    )


def test_later_sessions_of_tested_people_are_not_scored(
    tiny_cohort: Path, tiny_config: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Every person has a second session (the neighbour's scan, bent a little); only first ones are predicted."""
    import nibabel as nib

    spec = load_cohort_spec(tiny_cohort)
    table = load_cohort(spec, tiny_data).table
    rows = table.assign(session_id="ses-m00")
    later = table.assign(session_id="ses-m12", session_order=2, path="")
    for number, path in enumerate(table["path"]):
        image = nib.load(path)
        scan = tmp_path / f"later-{number}.nii.gz"
        nib.Nifti1Image(image.get_fdata() + 1.0, image.affine).to_filename(scan)
        later.loc[number, "path"] = str(scan)
    write_tsv(tmp_path / "scans.tsv", pd.concat([rows, later]))
    definition = tmp_path / "longitudinal.yaml"
    definition.write_text(
        "name: longitudinal\ntitle: x\ndescription: x\nlayout: table\nsession_rule: first_scored\n"
        "classes: {CN: [CN], AD: [AD]}\n",
        encoding="utf-8",
    )
    config = run_config(str(definition), tiny_config, ["train.epochs=1"])
    result = run(config, tmp_path / "run", data=tmp_path / "scans.tsv")
    assert result.metrics is not None
    assert result.metrics["n_scans"] == result.metrics["n_subjects"] == 16
    assert set(read_tsv(tmp_path / "run/predictions.tsv")["session_id"]) == {"ses-m00"}
    folds = read_tsv(tmp_path / "run/folds.tsv")
    assert len(folds) == 32
    assert set(folds.loc[folds["session_id"] == "ses-m12", "role_1"]) == {"train", "unused"}


def test_refusals_are_one_line(tiny_cohort: Path, tiny_config: Path, data: Path, tmp_path: Path) -> None:
    config = run_config(str(tiny_cohort), tiny_config, splits=tmp_path / "none")
    with pytest.raises(NeurofocusError, match=r"--splits .*none: no such folder") as caught:
        run(config, tmp_path / "run", data=data)
    assert "\n" not in str(caught.value)


def test_scans_left_out_by_hand(tiny_cohort: Path, tiny_config: Path, tmp_path: Path) -> None:
    listed = tmp_path / "marked.tsv"
    listed.write_text("participant_id\tsession_id\nsub-SIM003\tn/a\n", encoding="utf-8")
    config = run_config(str(tiny_cohort), tiny_config, exclude=listed)
    run = set_up_run(request_run(config, out=tmp_path / "run"))
    assert len(run.setup.table) == 15
    assert "sub-SIM003" not in set(run.setup.table["participant_id"])
    assert [step.step for step in run.setup.cohort.flow][-2:] == [
        "left out by hand (marked.tsv)",
        "scans used after that",
    ]
    record = (tmp_path / "run" / "run.json").read_text(encoding="utf-8")
    assert '"exclude": "sha256:' in record
    assert str(tmp_path) not in record
    (tmp_path / "run" / "fold-1").mkdir()
    listed.write_text("participant_id\nsub-SIM004\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"started with other settings \(data\.exclude was 'sha256:"):
        set_up_run(request_run(config, out=tmp_path / "run"))
