"""Exported files: the model's frames, boxes and answers, on ONNX Runtime and OpenVINO, and without PyTorch."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from inference.exit_models import build

from neurofocus.inference.agreement import agrees, compare, write_answers
from neurofocus.inference.graph_files import open_graph
from neurofocus.inference.onnx_export import OPSET, export_graphs, known_answers
from neurofocus.inference.onnx_stages import ExitGraphs, OnnxStages
from neurofocus.schema.export import Agreement

pytestmark = pytest.mark.slow

# In a process of its own: after two runtimes in one process, workers that are forked later crash.
BY_OPENVINO = """
import sys
from pathlib import Path
from neurofocus.inference.agreement import compare, read_answers
from neurofocus.inference.graph_files import open_graph
from neurofocus.inference.onnx_stages import ExitGraphs, OnnxStages
from neurofocus.schema.model import ModelConfig
folder = Path(sys.argv[2])
names = ("glance", "decide", "focus", "classifier")
graphs = ExitGraphs(*(open_graph(folder / f"{name}.onnx", runtime="openvino", threads=1) for name in names))
stages = OnnxStages(graphs, ModelConfig.model_validate_json(sys.argv[1]))
print(compare(stages, read_answers(folder / "answers.npz"), runtime="openvino").model_dump_json())
"""


@pytest.mark.parametrize("name", ["max pooling", "temporal shift", "x3d"])
def test_files_agree_with_the_model(tmp_path: Path, name: str) -> None:
    model = build(name)
    paths = export_graphs(model, tmp_path)
    assert [path.name for path in paths] == ["glance.onnx", "decide.onnx", "focus.onnx", "classifier.onnx"]
    for path in paths:
        stored = onnx.load(path)
        onnx.checker.check_model(stored, full_check=True)
        assert {entry.version for entry in stored.opset_import if entry.domain == ""} == {OPSET}
        assert all(not value.type.tensor_type.shape.dim[0].dim_value for value in stored.graph.input[:1])
        assert not {node.op_type for node in stored.graph.node} & {"BatchNormalization", "Dropout"}
    known = known_answers(model, cases=50, seed=0)
    graphs = ExitGraphs(*(open_graph(path, runtime="onnx", threads=1) for path in paths))
    found = compare(OnnxStages(graphs, model.config), known, runtime="onnx")
    assert agrees(found, model.config), found
    write_answers(tmp_path / "answers.npz", known)
    config = model.config.model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", BY_OPENVINO, config, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert agrees(Agreement.model_validate_json(done.stdout), model.config), done.stdout
