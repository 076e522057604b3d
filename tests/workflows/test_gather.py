"""Gathering: what the report shows of single scans, and that gathering again is harmless."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurofocus.files import sha256_file
from neurofocus.model.cost import measure_cost
from neurofocus.schema.run import RunConfig
from neurofocus.workflows import gather as module
from neurofocus.workflows.bundle import load_bundle
from neurofocus.workflows.cohort.setup import CohortSetup, prepare_scans, set_up_cohort
from neurofocus.workflows.cross_validate import run_config
from neurofocus.workflows.folds.record import FoldResult, finished_fold
from neurofocus.workflows.gather import gather
from neurofocus.workflows.report.report import ReportData


@pytest.fixture
def out(tiny_run: Path, tmp_path: Path) -> Path:
    """The run's folder with its folds done and nothing gathered."""
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    for name in ("predictions.tsv", "metrics.json", "report.html"):
        (folder / name).unlink()
    shutil.rmtree(folder / "bundle")
    return folder


@pytest.fixture
def config(tiny_cohort: Path, tiny_config: Path) -> RunConfig:
    return run_config(str(tiny_cohort), tiny_config)


@pytest.fixture
def setup(config: RunConfig, tiny_cohort: Path, tiny_data: Path, out: Path) -> CohortSetup:
    from neurofocus.schema.load import load_cohort_spec

    return set_up_cohort(load_cohort_spec(tiny_cohort), tiny_data, config, out)


def folds_of(out: Path) -> list[FoldResult]:
    results = [finished_fold(out / f"fold-{number}", ("CN", "AD")) for number in (1, 2)]
    return [result for result in results if result is not None]


def collect(out: Path, config: RunConfig, setup: CohortSetup, **changes: Any) -> dict[str, Any]:
    cases, _ = prepare_scans(setup, config)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    given = {"cases": cases, "results": folds_of(out)} | changes
    return gather(out, record, config, setup, cases=given["cases"], results=given["results"])


def collected_report(
    out: Path, config: RunConfig, setup: CohortSetup, monkeypatch: pytest.MonkeyPatch
) -> ReportData:
    """Gather, and return what the report is made of."""
    seen: list[ReportData] = []
    monkeypatch.setattr(module, "write_report", lambda path, data: seen.append(data))
    collect(out, config, setup)
    (data,) = seen
    return data


def test_the_order_of_folds_does_not_matter(
    out: Path, config: RunConfig, setup: CohortSetup, tiny_run: Path
) -> None:
    metrics = collect(out, config, setup, results=folds_of(out))
    assert metrics == json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))
    assert (out / "predictions.tsv").read_bytes() == (tiny_run / "predictions.tsv").read_bytes()
    digest = sha256_file(out / "predictions.tsv")
    collect(out, config, setup, results=folds_of(out)[::-1])
    assert sha256_file(out / "predictions.tsv") == digest


def test_examples_are_test_scans_seen_by_their_own_fold(
    out: Path, config: RunConfig, setup: CohortSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = collected_report(out, config, setup, monkeypatch)
    table = data.predictions.set_index("participant_id")
    assert [example.label for example in data.examples] == ["AD", "AD", "CN", "CN"]
    for example in data.examples:
        row = table.loc[example.participant_id]
        assert example.predicted == row["predicted"]
        assert example.probability == row[f"prob_{example.predicted}"]
        assert example.frames.shape == (config.model.num_focus_frames, 32, 32)
        assert np.asarray(example.boxes).shape == (config.model.num_focus_frames, 4)
        assert example.axis == "y"
        low, high = config.prepare.range_mm
        assert all(low <= position <= high for position in example.positions_mm)
        assert list(example.positions_mm) == sorted(example.positions_mm)
    gflops = measure_cost(config.model.model_copy(update={"num_classes": 2})).gflops
    assert load_bundle(out / "bundle").manifest.gflops_per_model == gflops
    assert set(table["gflops"]) == {gflops}


def test_provenance(
    out: Path, config: RunConfig, setup: CohortSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = collected_report(out, config, setup, monkeypatch).provenance
    assert found["folds_sha256"] == sha256_file(out / "folds.tsv")
    assert found["threads"] == [1]
    assert found["devices"] == ["cpu"]
    assert found["best_epochs"] == [result.validation["best_epoch"] for result in folds_of(out)]
    assert found["seed"] == config.seed
    assert re.fullmatch("[0-9a-f]{64}", found["config_sha256"])
    assert found["versions"]["torch"]


def test_the_bundle_does_not_say_where_first_weights_lay(
    out: Path, config: RunConfig, setup: CohortSetup
) -> None:
    encoder = config.model.local_encoder.model_copy(update={"weights": "/home/jane/w.safetensors"})
    model = config.model.model_copy(update={"local_encoder": encoder})
    collect(out, config.model_copy(update={"model": model}), setup)
    assert "jane" not in (out / "bundle" / "bundle.json").read_text(encoding="utf-8")


def test_warnings_of_scans_reach_the_report(out: Path, config: RunConfig, setup: CohortSetup) -> None:
    import dataclasses

    cases, _ = prepare_scans(setup, config)
    spoiled = [dataclasses.replace(cases[0], warnings=("looks <odd>",)), *cases[1:]]
    collect(out, config, setup, cases=spoiled)
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "sub-SIM001: looks &lt;odd&gt;" in text


def test_float16_bundles(out: Path, config: RunConfig, setup: CohortSetup, tiny_bundle: Path) -> None:
    half = config.model_copy(update={"bundle": config.bundle.model_copy(update={"weights": "float16"})})
    collect(out, half, setup)
    for name in ("fold-1.safetensors", "fold-2.safetensors"):
        assert (out / "bundle" / name).stat().st_size < 0.65 * (tiny_bundle / name).stat().st_size
    load_bundle(out / "bundle")
