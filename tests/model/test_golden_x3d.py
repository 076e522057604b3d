"""X3D-S's recorded outputs, reproduced from a weight file of either layout through encoder and head."""

import pytest
import torch
import torch.nn.functional as F
from model.golden_arrays import RULE, recorded_arrays, recorded_state, relative_error
from torch import Tensor

from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.heads import MlpHead, fill_heads
from neurofocus.schema.model import EncoderConfig


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    """The spatially pooled features [16, 432] and the logits [400]."""
    path = tmp_path_factory.mktemp("golden") / "x3d_s.pyth"
    torch.save({"epoch": 255, "model_state": recorded_state("x3d_s"), "cfg": "X3D"}, path)
    config = EncoderConfig(name="x3d_s", weights=str(path))
    encoder = build_encoder(config, 3).eval()
    head = MlpHead(432, hidden=2048, dropout=0.5, num_classes=400).eval()
    assert fill_heads({"head": head}, encoder, config) == ("head",)
    coarse = torch.from_numpy(RULE["coarse_clip"](16, 160))
    clip = F.interpolate(coarse, size=(16, 160, 160), mode="trilinear", align_corners=False)
    with torch.no_grad():
        features = encoder(clip[0].transpose(0, 1), 16).mean((-2, -1))
        return features, head(features.mean(0))


@pytest.mark.parametrize(("index", "name"), [(0, "pooled_features"), (1, "logits")])
def test_recorded_outputs(seen: tuple[Tensor, Tensor], index: int, name: str) -> None:
    expected = recorded_arrays("x3d_s_16x160")[name][0]
    output = seen[index].t() if index == 0 else seen[index]
    assert relative_error(output, expected) <= 1e-5
    assert expected.std() > 0.05  # something is recorded
