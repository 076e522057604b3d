"""A bundle as ONNX files: what lies there, what is refused, and that another interpreter without PyTorch can run it."""

import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference.exit_models import COUNT, build, complete, near, planned, videos
from pytest import MonkeyPatch

from neurofocus.early_exit.compare import exit_steps
from neurofocus.errors import BundleError, ConfigError, NeurofocusError
from neurofocus.files import sha256_file, write_json
from neurofocus.inference.check_export import check_export
from neurofocus.inference.graph_files import open_graphs, read_export
from neurofocus.inference.onnx_export import export_graphs
from neurofocus.model.build import build_model
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.export import Agreement, ExportFile, ExportManifest
from neurofocus.schema.load import load_run_config
from neurofocus.workflows import export as module
from neurofocus.workflows.bundle import pack_weights, read_bundle, save_bundle
from neurofocus.workflows.export import export_onnx

# What an environment for exports need not have.
WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "monai", "ignite", "filelock", "pandas", "omegaconf", "onnx", "sklearn"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Without())
"""
STOP_EARLY = """
import json
from pathlib import Path
import numpy as np
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.graph_files import open_graphs, read_export
from neurofocus.inference.onnx_stages import CaseArrays, OnnxStages

folder, cases, number = Path(sys.argv[1]), np.load(sys.argv[2])["frames"], int(sys.argv[3])
manifest = read_export(folder)
plan = manifest.bundle.folds[0].exits
graphs = open_graphs(folder, manifest, 0, runtime="onnx", threads=1)
stages = OnnxStages(graphs, manifest.bundle.config.model, order=plan.order)
cases = [CaseArrays(frames[None]) for frames in cases]
answers = run_with_exits(stages, cases, plan, plan.rules[number], batch_size=5)
print(json.dumps([[each.index, each.step, each.probabilities.tolist()] for each in answers]))
"""
CHECK = """
from neurofocus.cli.main import main
code = main(["check-export", *sys.argv[1:]])
assert "torch" not in sys.modules
sys.exit(code)
"""


def without_torch(script: str, *arguments: object) -> str:
    """Run a script in an interpreter that has no PyTorch; return what it prints."""
    given = [sys.executable, "-c", WITHOUT + script, *map(str, arguments)]
    return subprocess.run(given, check=True, capture_output=True, text=True).stdout


def put_bundle(folder: Path, name: str = "max pooling", **changes: Any) -> Path:
    """A bundle of videos with one of the tiny models of the tests of exits, and its thresholds."""
    model = build(name)
    plan = planned(model, complete(model, "time"), "time")
    config = load_run_config("video").model_copy(update={"dataset": "folder", "model": model.config})
    manifest = BundleManifest(
        name="tiny",
        created="2026-01-01T00:00:00+00:00",
        synthetic=True,
        intended_use="none",
        classes=("a", "b", "c"),
        config=config,
        folds=(FoldEntry(file="fold-1.safetensors", sha256="0" * 64, exits=plan),),
        gflops_per_model=0.5,
        metrics={},
        provenance={"exits": {"split": "validation", "solved_on": "16 clips"}},
    ).model_copy(update=changes)
    save_bundle(folder, manifest, [pack_weights(model.state_dict(), "float32")])
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportManifest, list[str]]:
    root = tmp_path_factory.mktemp("export")
    lines: list[str] = []
    manifest = export_onnx(put_bundle(root / "bundle"), root / "out", cases=50, tell=lines.append)
    return root / "out", manifest, lines


@pytest.mark.slow
def test_what_lies_there(exported: tuple[Path, ExportManifest, list[str]]) -> None:
    folder, manifest, lines = exported
    assert read_export(folder) == manifest
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    names = ("glance.onnx", "decide.onnx", "focus.onnx", "classifier.onnx", "answers.npz")
    assert files == {"export.json"} | {f"fold-1/{name}" for name in names}
    entry = manifest.folds[0]
    for file in (entry.glance, entry.decide, entry.focus, entry.classifier, entry.answers):
        assert sha256_file(folder / file.file) == file.sha256
    assert entry.agreement.cases == 50
    assert entry.agreement.equal_frames == 1
    assert entry.agreement.probability_difference < 1e-4
    assert len(lines) == 1
    assert "100.0% of 50 cases with equal frames" in lines[0]
    assert manifest.bundle == read_bundle(folder.parent / "bundle")[0]
    assert manifest.preprocessing["glance_frames"] == [1, 4, 7, 10]
    assert manifest.preprocessing["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.slow
def test_exits_without_pytorch(exported: tuple[Path, ExportManifest, list[str]], tmp_path: Path) -> None:
    folder, manifest, _ = exported
    model = build("max pooling")
    probabilities = complete(model, "time")
    plan = manifest.bundle.folds[0].exits
    assert plan is not None
    number = len(plan.rules) // 2
    np.savez(tmp_path / "cases.npz", frames=videos(model)[0].numpy())
    answers = json.loads(without_torch(STOP_EARLY, folder, tmp_path / "cases.npz", number))
    rule = plan.rules[number]
    expected, tied = exit_steps(probabilities, plan, rule), near(probabilities, plan, rule)
    assert len(set(expected.tolist())) > 1
    assert sorted(index for index, _, _ in answers) == list(range(COUNT))
    for index, step, found in answers:
        assert step == expected[index] or tied[index]
        assert found == pytest.approx(probabilities[index, step], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_the_check_runs_without_pytorch(
    exported: tuple[Path, ExportManifest, list[str]], runtime: str
) -> None:
    (found,) = json.loads(without_torch(CHECK, exported[0], "--runtime", runtime, "--json"))
    assert (found["runtime"], found["cases"], found["equal_frames"]) == (runtime, 50, 1)
    assert found["probability_difference"] < 1e-4


@pytest.mark.slow
def test_the_check_notices_other_graphs(
    exported: tuple[Path, ExportManifest, list[str]], tmp_path: Path
) -> None:
    """An honest manifest over another model's graphs: only the answers tell."""
    folder, manifest, _ = exported
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(folder, copy)
    other.mkdir()
    changed = deepcopy(build("max pooling"))
    changed.classifier.local_mlp.layers[0].weight.data *= 1.1
    export_graphs(changed, other)
    shutil.copy(other / "focus.onnx", copy / "fold-1" / "focus.onnx")
    focus = ExportFile(file="fold-1/focus.onnx", sha256=sha256_file(other / "focus.onnx"))
    entry = manifest.folds[0].model_copy(update={"focus": focus})
    write_json(copy / "export.json", manifest.model_copy(update={"folds": (entry,)}).model_dump(mode="json"))
    with pytest.raises(NeurofocusError, match="does not answer as its model did"):
        check_export(copy, "onnx")


@pytest.mark.slow
def test_damaged_files_are_refused(exported: tuple[Path, ExportManifest, list[str]], tmp_path: Path) -> None:
    folder, manifest, _ = exported
    copy = tmp_path / "copy"
    (copy / "fold-1").mkdir(parents=True)
    for path in (folder / "fold-1").iterdir():
        (copy / "fold-1" / path.name).write_bytes(path.read_bytes())
    open_graphs(copy, manifest, 0, runtime="onnx")
    with (copy / "fold-1" / "focus.onnx").open("r+b") as stream:
        stream.write(b"\0")
    with pytest.raises(BundleError, match=r"focus\.onnx: damaged"):
        open_graphs(copy, manifest, 0, runtime="onnx")
    (copy / "fold-1" / "focus.onnx").unlink()
    with pytest.raises(BundleError, match=r"focus\.onnx: missing"):
        open_graphs(copy, manifest, 0, runtime="onnx")
    with pytest.raises(ConfigError, match="bf16"):
        open_graphs(folder, manifest, 0, runtime="onnx", precision="bf16")


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not an export"):
        read_export(tmp_path)
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(BundleError, match="with this version"):
        read_export(tmp_path)


def test_files_that_do_not_agree_are_not_left(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    found = Agreement(runtime="onnx", cases=50, equal_frames=0.98, box_difference=0, probability_difference=0)
    monkeypatch.setattr(module, "export_graphs", lambda model, folder: ())
    monkeypatch.setattr(module, "ExitGraphs", lambda *graphs: None)
    bundle = put_bundle(tmp_path / "bundle")
    for wrong in (
        found,
        found.model_copy(update={"equal_frames": 1.0, "probability_difference": 2e-4}),
        found.model_copy(update={"equal_frames": 1.0, "box_difference": 0.5}),
    ):
        monkeypatch.setattr(module, "compare", lambda *_, wrong=wrong, **__: wrong)
        with pytest.raises(NeurofocusError, match=r"do not agree with the model .*nothing was written"):
            export_onnx(bundle, tmp_path / "out", cases=1)
        assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="already there"):
        export_onnx(tmp_path / "bundle", tmp_path)


def test_the_baseline_is_refused(tmp_path: Path) -> None:
    config = load_run_config("tsm-plus", ["model.num_classes=3"])
    small = config.model.model_copy(
        update={
            "global_encoder": config.model.global_encoder.model_copy(
                update={"name": "resnet18", "width": 0.1}
            ),
            "local_encoder": config.model.local_encoder.model_copy(update={"name": "resnet18", "width": 0.1}),
        }
    )
    model = build_model(small)
    whole = config.model_copy(update={"model": small, "dataset": "folder"})
    put_bundle(tmp_path / "first")
    manifest, _ = read_bundle(tmp_path / "first")
    weights = [pack_weights(model.state_dict(), "float32")]
    save_bundle(tmp_path / "bundle", manifest.model_copy(update={"config": whole}), weights)
    with pytest.raises(BundleError, match="baseline tsm_plus"):
        export_onnx(tmp_path / "bundle", tmp_path / "out")
    assert not (tmp_path / "out").exists()
