"""X3D's heads: by hand, and filled from published weights or left random."""

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from neurofocus.errors import BundleError
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.x3d import X3D
from neurofocus.model.heads import MlpHead, auxiliary_head, fill_heads
from neurofocus.schema.model import EncoderConfig, ModelConfig

_WIDTH = 0.25
_HIDDEN, _CLASSES = 6, 5


def config(path: Path | None) -> EncoderConfig:
    return EncoderConfig(name="x3d_s", width=_WIDTH, weights=None if path is None else str(path))


def head(num_classes: int = _CLASSES) -> MlpHead:
    return MlpHead(108, hidden=_HIDDEN, dropout=0.5, num_classes=num_classes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    state = X3D(variant="s", width=_WIDTH).state_dict() | {
        "head.lin_5.weight": torch.randn(_HIDDEN, 108, 1, 1, 1),
        "head.projection.weight": torch.randn(_CLASSES, _HIDDEN),
        "head.projection.bias": torch.randn(_CLASSES),
    }
    torch.save({"model_state": state}, tmp_path / "x3d.pyth")
    return tmp_path / "x3d.pyth"


def test_by_hand() -> None:
    torch.manual_seed(0)
    module = head().eval()
    features = torch.randn(2, 3, 108)
    hidden = (features @ module.lin_5.weight.T).clamp(min=0)
    torch.testing.assert_close(module(features), hidden @ module.projection.weight.T + module.projection.bias)
    assert module.lin_5.bias is None
    assert head().train().dropout.p == 0.5


def test_filled_from_the_file_of_the_encoder(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = build_encoder(config(path), 3)
    heads = {"classifier.global_classifier": head(), "global_head": head(), "other": nn.Linear(2, 2)}
    with caplog.at_level(logging.INFO, logger="neurofocus"):
        assert fill_heads(heads, encoder, config(path)) == ("classifier.global_classifier", "global_head")
    state = torch.load(path)["model_state"]
    for name in ("classifier.global_classifier", "global_head"):
        filled = heads[name].state_dict()
        assert torch.equal(filled["lin_5.weight"], state["head.lin_5.weight"].flatten(1))
        assert torch.equal(filled["projection.bias"], state["head.projection.bias"])
    assert "classifier.global_classifier, global_head: filled from the head in x3d.pyth" in caplog.text


def test_heads_of_other_classes_stay_random(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = head(num_classes=7)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert fill_heads({"global_head": module}, build_encoder(config(path), 3), config(path)) == ()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert "global_head: stays random" in caplog.text
    assert "projection.weight (5, 6) instead of (7, 6)" in caplog.text


def test_without_weights_there_is_nothing_to_fill() -> None:
    encoder = X3D(variant="s", width=_WIDTH)
    assert fill_heads({"global_head": head()}, encoder, config(None)) == ()


def test_linear_heads_need_no_file(tmp_path: Path) -> None:
    encoder = X3D(variant="s", width=_WIDTH)
    absent = config(tmp_path / "absent.pyth")
    assert fill_heads({"global_head": nn.Linear(108, 5)}, encoder, absent) == ()
    with pytest.raises(BundleError, match="no such file"):
        fill_heads({"global_head": head()}, encoder, absent)


def test_auxiliary_heads_are_linear_unless_they_are_given_a_width() -> None:
    linear = auxiliary_head(8, ModelConfig(num_classes=4))
    assert [tuple(p.shape) for p in linear.parameters()] == [(4, 8), (4,)]
    hidden = auxiliary_head(8, ModelConfig(num_classes=4, auxiliary_hidden=6, auxiliary_dropout=0.5))
    assert [tuple(p.shape) for p in hidden.parameters()] == [(6, 8), (4, 6), (4,)]
