"""Exported files: the model's frames, boxes and answers, on ONNX Runtime and OpenVINO, and without PyTorch."""

from pathlib import Path

import onnx
import pytest
from inference.exit_models import build

from neurofocus.inference.agreement import agrees, compare
from neurofocus.inference.graph_files import open_graph
from neurofocus.inference.onnx_export import OPSET, export_graphs, known_answers
from neurofocus.inference.onnx_stages import ExitGraphs, OnnxStages

pytestmark = pytest.mark.slow


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
    for runtime in ("onnx", "openvino"):
        graphs = ExitGraphs(*(open_graph(path, runtime=runtime, threads=1) for path in paths))
        found = compare(OnnxStages(graphs, model.config), known, runtime=runtime)
        assert agrees(found, model.config), found
