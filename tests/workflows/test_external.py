"""An external test: its own metrics from all fold models, and no person of the run in it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofocus.errors import BundleError, CohortError, ConfigError
from neurofocus.evaluation.metrics import compute_metrics
from neurofocus.evaluation.summary import scores_of
from neurofocus.evaluation.thresholds import decide
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from neurofocus.tables import read_tsv
from neurofocus.workflows.bundle import load_bundle
from neurofocus.workflows.external import external_test
from neurofocus.workflows.predict import predict

Command = Callable[..., int]


@pytest.fixture(scope="module")
def other_data(eight_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight simulated people of another seed and under other names."""
    root = tmp_path_factory.mktemp("external") / "data"
    root.mkdir()
    shutil.copy(eight_data / "dataset_description.json", root)
    people = read_tsv(eight_data / "participants.tsv")
    for name in people["participant_id"]:
        for scan in (eight_data / name / "anat").glob("*_T1w.nii.gz"):
            new = name.replace("SIM", "EXT")
            (root / new / "anat").mkdir(parents=True)
            shutil.copy(scan, root / new / "anat" / scan.name.replace(name, new))
    people["participant_id"] = people["participant_id"].str.replace("SIM", "EXT")
    people.to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


def other_spec(**changes: object) -> CohortSpec:
    values = {
        "name": "other",
        "title": "other",
        "description": "another hospital",
        "layout": "bids",
        "classes": {"CN": ["CN"], "AD": ["AD"]},
    }
    return CohortSpec.model_validate(values | changes)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture
def trained_on(tiny_cohort: Path) -> list[CohortSpec]:
    return [load_cohort_spec(tiny_cohort)]


def test_all_fold_models_answer_for_every_scan(
    run: Path, trained_on: list[CohortSpec], other_data: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    result = external_test(run, other_spec(), trained_on=trained_on, data=other_data, device="cpu")
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name in before} == before
    table = read_tsv(run / "external-other.tsv", numbers=["prob_CN", "prob_AD", "gflops"])
    assert len(table) == 8
    # Row by row the same as 'predict' says, which averages the fold models too.
    bundle = load_bundle(run / "bundle")
    for row in (0, 5):
        (scan,) = (other_data / table["participant_id"][row] / "anat").glob("*_T1w.nii.gz")
        alone = predict(scan, bundle, out=None)
        assert table["prob_AD"][row] == pytest.approx(alone.probabilities["AD"], abs=1e-6)
        assert table["predicted"][row] == alone.predicted
        assert table["gflops"][row] == pytest.approx(alone.document["gflops"])
    probabilities = table[["prob_CN", "prob_AD"]].to_numpy()
    assert [("CN", "AD")[n] for n in decide(probabilities, bundle.threshold)] == table["predicted"].tolist()
    kept = json.loads((run / "external-other.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(result.metrics))
    expected = compute_metrics(scores_of(table.assign(fold=0), ("CN", "AD")))
    assert kept["pooled"]["balanced_accuracy"]["value"] == pytest.approx(expected["balanced_accuracy"][0])
    assert (kept["cohort"], kept["trained_on"], kept["n_subjects"], kept["fold_models"]) == (
        "other",
        "tiny",
        8,
        2,
    )
    assert kept["synthetic"] is True  # the models' scans were simulated
    assert not {"folds", "mean", "sd"} & kept.keys()
    assert str(other_data) not in (run / "external-other.json").read_text(encoding="utf-8")
    assert result.summary_lines()[0] == "external test on other: 8 people"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"classes": {"AD": ["AD"], "CN": ["CN"]}},
            ConfigError,
            "'other' has the classes AD, CN, the run CN, AD",
        ),
        ({"name": "tiny"}, CohortError, "the models train on 'tiny'"),
        ({"shares_people_with": ["tiny"]}, CohortError, "'tiny' and 'other' share people"),
    ],
)
def test_cohorts_that_are_no_external_test(
    run: Path,
    trained_on: list[CohortSpec],
    other_data: Path,
    changes: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        external_test(run, other_spec(**changes), trained_on=trained_on, data=other_data, device="cpu")
    assert not list(run.glob("external-*"))


def test_a_person_of_the_run_in_another_spelling(
    run: Path, trained_on: list[CohortSpec], other_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(other_data, tmp_path / "data"))
    people = read_tsv(data / "participants.tsv")
    (data / "sub-EXT002").rename(data / "sub-sim02")
    scan = next((data / "sub-sim02" / "anat").iterdir())
    scan.rename(scan.with_name(scan.name.replace("EXT002", "sim02")))
    people["participant_id"] = people["participant_id"].replace("sub-EXT002", "sub-sim02")
    people.to_csv(data / "participants.tsv", sep="\t", index=False)
    with pytest.raises(
        CohortError, match=r"no independent test set\): participant 'sub-sim02' is 'sub-SIM002'"
    ):
        external_test(run, other_spec(), trained_on=trained_on, data=data, device="cpu")


def test_an_oasis_study_against_another_under_any_cohort_name(
    run: Path, trained_on: list[CohortSpec], other_data: Path, tmp_path: Path
) -> None:
    table = run / "cohort.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("sub-SIM001", "OAS1_0001"), encoding="utf-8")
    data = Path(shutil.copytree(other_data, tmp_path / "data"))
    people = data / "participants.tsv"
    people.write_text(people.read_text(encoding="utf-8").replace("EXT002", "OAS30002"), encoding="utf-8")
    (data / "sub-EXT002").rename(data / "sub-OAS30002")
    scan = next((data / "sub-OAS30002" / "anat").iterdir())
    scan.rename(scan.with_name(scan.name.replace("EXT002", "OAS30002")))
    with pytest.raises(CohortError, match="'OAS1_0001' is of OASIS-1, 'sub-OAS30002' of OASIS-3"):
        external_test(run, other_spec(), trained_on=trained_on, data=data, device="cpu")


def test_a_scan_of_the_run_under_another_name(
    run: Path, trained_on: list[CohortSpec], other_data: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(other_data, tmp_path / "data"))
    (scan,) = (data / "sub-EXT003" / "anat").glob("*.nii.gz")
    shutil.copy(next((tiny_data / "sub-SIM005" / "anat").glob("*_T1w.nii.gz")), scan)
    with pytest.raises(CohortError, match=r"the scan of 'sub-EXT003' trained the models under another name"):
        external_test(run, other_spec(), trained_on=trained_on, data=data, device="cpu")
    (run / "checks.json").write_text('{"refusals": []}', encoding="utf-8")
    with pytest.raises(CohortError, match="does not list the run's scans"):
        external_test(run, other_spec(), trained_on=trained_on, data=data, device="cpu")


def test_a_run_that_is_not_finished(trained_on: list[CohortSpec], other_data: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        external_test(tmp_path, other_spec(), trained_on=trained_on, data=other_data, device="cpu")


def test_a_confound_of_the_external_cohort_is_kept(
    run: Path, trained_on: list[CohortSpec], other_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(other_data, tmp_path / "data"))
    people = read_tsv(data / "participants.tsv")
    people["site"] = np.where(people["diagnosis"] == "AD", "A", "B")
    people["age"] = np.where(people["diagnosis"] == "AD", "80", "60")
    people.to_csv(data / "participants.tsv", sep="\t", index=False)
    result = external_test(run, other_spec(), trained_on=trained_on, data=data, device="cpu")
    assert any(text.startswith("confound: ") for text in result.metrics["warnings"])


@pytest.mark.slow
def test_the_command(
    run: Path, tiny_cohort: Path, tiny_config: Path, tiny_data: Path, other_data: Path, tmp_path: Path,
    command: Command, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The run is done: the command tests it and says what it found; --fresh removes the external files too."""
    (tmp_path / "other.yaml").write_text(
        "{name: other, title: other, description: x, layout: bids, classes: {CN: [CN], AD: [AD]}}",
        encoding="utf-8",
    )
    arguments = ["cv", "--cohort", tiny_cohort, "--config", tiny_config, "--data", tiny_data, "--out", run]
    external = ["--test-cohort", tmp_path / "other.yaml", "--test-data", other_data, "--device", "cpu"]
    assert command(*arguments, *external) == 0
    shown = capsys.readouterr().out
    assert "external test on other: 8 people" in shown
    assert (run / "external-other.json").exists()
    assert command(*arguments, *external, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["external"]["cohort"] == "other"
    assert command(*arguments, "--fresh", "--fold", "1", "--set", "train.epochs=1") == 0
    assert not list(run.glob("external-*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--test-cohort", "demo-nul"], "did you mean 'demo-null'?"),
        (["--test-cohort", "tests/tiny/cohort.yaml"], "the models train on 'tiny'; test on another cohort"),
        (["--test-data", "x"], "--test-data x: has a meaning with --test-cohort only"),
        (["--test-cohort", "ppmi", "--test-data", "x"], "'ppmi' has the classes "),
        (["--test-cohort", "bids"], "--test-cohort bids: no data folder; give it with --test-data DIR"),
        (["--test-cohort", "bids", "--test-data", "x"], "--data x: no such folder"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(
    options: list[str], words: str, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Path(__file__).parents[1] / "tiny" / "cohort.yaml"
    changed = [str(tiny) if option.startswith("tests/") else option for option in options]
    assert command("cv", "--cohort", tiny, "--out", tmp_path / "out", *changed) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_not_tested(
    tiny_cohort: Path, tiny_config: Path, tiny_data: Path, other_data: Path, tmp_path: Path,
    command: Command, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = [
        "cv",
        "--cohort",
        tiny_cohort,
        "--config",
        tiny_config,
        "--data",
        tiny_data,
        "--out",
        tmp_path / "out",
    ]
    external = ["--test-cohort", "bids", "--test-data", other_data]
    assert command(*arguments, *external, "--fold", "1", "--set", "train.epochs=1") == 0
    assert "--test-cohort: is tested when all folds are done" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("external-*"))
