"""The released TSM architecture's recorded outputs, reproduced through the checkpoint converter, and its names."""

from typing import Any

import numpy as np
import pytest
import torch
from model.golden_arrays import recorded_arrays, recorded_frames, recorded_state, relative_error

from neurofocus.model.checkpoints import load_released, to_released
from neurofocus.model.outputs import UniAdaFocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> UniAdaFocus:
    state = recorded_state("sthsth_tsm", "module.")
    path = tmp_path_factory.mktemp("golden") / "sthv1_p96_8and8.pth.tar"
    torch.save({"epoch": 49, "arch": "TSM", "state_dict": state, "best_prec1": np.float64(47.5)}, path)
    changes = ["model.num_frames=24", "model.num_focus_frames=8", "model.patch_size=96"]
    model = load_released(path, load_run_config("sthv1", changes).model)
    path.unlink()
    return model


@pytest.fixture(scope="module")
def output(model: UniAdaFocus) -> UniAdaFocusOutput:
    with torch.no_grad():
        result: UniAdaFocusOutput = model(recorded_frames(24, 8), glance_frames=recorded_frames(8, 7))
    return result


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return recorded_arrays("sthsth_tsm_8f8_p96")


def test_the_policy(output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    actions = output.decision.actions
    assert torch.equal(actions, actions[:, :1].expand_as(actions))  # one box a video
    assert relative_error(actions[:, 0], golden["actions"]) <= 1e-4
    assert relative_error(output.frame_weights, golden["frame_weights"]) <= 1e-4
    flat = (output.frame_indices + 24 * torch.arange(2)[:, None]).flatten()
    assert torch.equal(flat, golden["frame_indices_flat"])


def test_logits(model: UniAdaFocus, output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    """Exit 0 is the auxiliary head of f_G, exit 1 the sum of both new heads."""
    assert output.logits.shape == (2, 2, 174)
    assert relative_error(output.logits[:, 0], golden["global_logits"]) <= 1e-4
    assert relative_error(output.logits[:, 1], golden["logits"]) <= 1e-4
    with torch.no_grad():
        local = model.local_head(output.focus.local_features).mean(1)
    assert relative_error(local, golden["local_logits"]) <= 1e-4


def test_round_trip_of_every_name(model: UniAdaFocus) -> None:
    released, expected = to_released(model), recorded_state("sthsth_tsm")
    assert set(released) == set(expected)
    assert len(released) == 672
    assert all(torch.equal(tensor, expected[name]) for name, tensor in released.items())
