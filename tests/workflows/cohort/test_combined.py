"""One cross-validation on two cohorts: tables, folds, warnings and refusals from end to end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofocus.errors import CohortError, ConfigError
from neurofocus.ingest.combine import combine_specs
from neurofocus.schema.load import load_run_config
from neurofocus.tables import read_tsv
from neurofocus.workflows.cohort.combined import CohortData, default_config, find_cohorts, load_cohort_specs
from neurofocus.workflows.cohort.setup import set_up_cohort
from neurofocus.workflows.cohort.source import read_cohort
from neurofocus.workflows.cross_validate import cross_validate, run_config

Command = Callable[..., int]

YAML = """
name: {name}
title: {name}
description: half of the tiny cohort
layout: bids
classes: {{CN: [CN], AD: [AD]}}
config: {config}
shares_people_with: [{shares}]
"""


@pytest.fixture
def halves(tiny_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The tiny SYNTHETIC cohort as two data sets of eight people each."""
    people = read_tsv(tiny_data / "participants.tsv")
    found = []
    for name, rows in (("one", people.iloc[:8]), ("two", people.iloc[8:])):
        root = tmp_path / name
        root.mkdir()
        shutil.copy(tiny_data / "dataset_description.json", root)
        rows.to_csv(root / "participants.tsv", sep="\t", index=False)
        for person in rows["participant_id"]:
            shutil.copytree(tiny_data / person, root / person)
        write_spec(tmp_path, name)
        found.append(root)
    return found[0], found[1]


def write_spec(folder: Path, name: str, *, config: str = "demo", shares: str = "") -> None:
    (folder / f"{name}.yaml").write_text(
        YAML.format(name=name, config=config, shares=shares), encoding="utf-8"
    )


def test_cross_validation_of_two_cohorts(
    halves: tuple[Path, Path],
    tiny_config: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for root in halves:  # a planted confound, to be seen in the report
        people = read_tsv(root / "participants.tsv")
        people["site"] = people["diagnosis"].map({"CN": "A", "AD": "B"})
        people.to_csv(root / "participants.tsv", sep="\t", index=False)
    out = tmp_path / "out"
    both = f"{tmp_path / 'one.yaml'},{tmp_path / 'two.yaml'}"
    arguments = ["cv", "--cohort", both, "--data", halves[0], "--data", halves[1], "--config", tiny_config]
    assert command(*arguments, "--out", out, "--set", "train.epochs=1") == 0
    table = read_tsv(out / "cohort.tsv")
    assert table["cohort"].value_counts().to_dict() == {"one": 8, "two": 8}
    assert all(not path.startswith("/") for path in table["path"])
    assert len(read_tsv(out / "predictions.tsv")) == 16
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["config"]["cohort"] == "one+two"
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["synthetic"] is True
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "Cross-validation of one+two" in report
    assert "one: scans used" in report
    assert "confound: site goes with the label" in report
    assert str(tmp_path) not in report
    assert str(tmp_path) not in (out / "run.json").read_text(encoding="utf-8")


def test_a_label_that_goes_with_the_cohort_is_told(
    halves: tuple[Path, Path], tiny_config: Path, tmp_path: Path
) -> None:
    """All AD from one data set: seven of eight people of each change their diagnosis."""
    for root, label in zip(halves, ("CN", "AD"), strict=True):
        people = read_tsv(root / "participants.tsv")
        people["diagnosis"] = [label] * 7 + [{"CN": "AD", "AD": "CN"}[label]]
        people.to_csv(root / "participants.tsv", sep="\t", index=False)
    specs = load_cohort_specs(f"{tmp_path / 'one.yaml'},{tmp_path / 'two.yaml'}")
    config = load_run_config(tiny_config)
    root, more = find_cohorts(specs, CohortData(halves))
    source = read_cohort(specs[0], root, config, more=more)
    setup = set_up_cohort(combine_specs(specs), root, config, tmp_path / "out", source=source)
    assert setup.spec.name == "one+two"
    assert setup.synthetic
    assert "cohort" in {finding.figures.get("column") for finding in setup.checks.warnings}


def test_cohorts_that_share_people(halves: tuple[Path, Path], tiny_config: Path, tmp_path: Path) -> None:
    write_spec(tmp_path, "two", shares="one")
    config = run_config(f"{tmp_path / 'one.yaml'},{tmp_path / 'two.yaml'}", tiny_config)
    with pytest.raises(CohortError, match="cohorts 'one' and 'two' share people"):
        cross_validate(config, data=CohortData(halves), out=tmp_path / "out", device="cpu")


def test_one_scan_in_both_cohorts(halves: tuple[Path, Path], tiny_config: Path, tmp_path: Path) -> None:
    first, second = (min(root.glob("sub-*/anat/*_T1w.nii.gz")) for root in halves)
    shutil.copy(first, second)
    config = run_config(f"{tmp_path / 'one.yaml'},{tmp_path / 'two.yaml'}", tiny_config)
    with pytest.raises(
        CohortError, match=r"identical voxels under two names: 'sub-SIM001' .* and 'sub-SIM009'"
    ):
        cross_validate(config, data=CohortData(halves), out=tmp_path / "out", device="cpu")


def test_folders_and_names(halves: tuple[Path, Path], tmp_path: Path) -> None:
    specs = load_cohort_specs(f"{tmp_path / 'one.yaml'}, {tmp_path / 'two.yaml'}")
    assert [spec.name for spec in specs] == ["one", "two"]
    root, more = find_cohorts(specs, CohortData(halves))
    assert (root, *more.roots) == halves
    with pytest.raises(CohortError, match=r"--data: 1 folders for 2 cohorts \(one, two\)"):
        find_cohorts(specs, CohortData(halves[:1]))
    with pytest.raises(CohortError, match="cohort 'one': no data folder"):
        find_cohorts(specs, CohortData())
    assert [spec.name for spec in load_cohort_specs("demo,")] == ["demo"]
    for names in ("", ",", "demo,absent"):
        with pytest.raises(ConfigError, match="is not shipped"):
            load_cohort_specs(names)


def test_one_configuration_for_all(halves: tuple[Path, Path], tmp_path: Path) -> None:
    assert default_config(load_cohort_specs("demo,demo-null")) == "demo"
    write_spec(tmp_path, "two", config="mri")
    with pytest.raises(ConfigError, match=r"\(one: demo, two: mri\); choose one with --config"):
        default_config(load_cohort_specs(f"{tmp_path / 'one.yaml'},{tmp_path / 'two.yaml'}"))


def test_two_simulated_cohorts_have_the_same_names(
    tiny_cohort: Path, tmp_path: Path, tiny_data: Path
) -> None:
    """Their people are different, but nothing in the names says so."""
    other = tmp_path / "other.yaml"
    other.write_text(
        tiny_cohort.read_text(encoding="utf-8").replace("name: tiny", "name: other"), encoding="utf-8"
    )
    config = run_config(f"{tiny_cohort},{other}", "demo")
    data = CohortData((tiny_data, tiny_data))
    with pytest.raises(CohortError, match=r"'sub-SIM001' is in cohorts 'tiny' and 'other' \(16 such names\)"):
        cross_validate(config, data=data, out=tmp_path / "out", device="cpu")
    assert np.all([not (tmp_path / "out" / name).exists() for name in ("folds.tsv", "cohort.tsv")])
