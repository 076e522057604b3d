"""Batch normalisations that went into the layers before them."""

import pytest
import torch
from inference.exit_models import MODELS, build, videos
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.inference.folding import fold_batch_norms


@pytest.mark.parametrize("name", ["max pooling", "temporal shift", "x3d"])
def test_a_folded_model_answers_as_before(name: str) -> None:
    assert name in MODELS
    model = build(name)
    streams = [None if stream is None else stream[:3] for stream in videos(model)]
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_batch_norms(model, lambda copied: copied(*streams))
    assert any(isinstance(part, _BatchNorm) for part in model.modules())
    assert not any(isinstance(part, _BatchNorm) for part in folded.modules())
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        before, after = model(*streams), folded(*streams)
    assert torch.equal(before.frame_indices, after.frame_indices)
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-4, atol=1e-4)


def test_a_normalisation_after_no_layer_stays() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    net(torch.rand(2, 3, 5, 5))
    folded = fold_batch_norms(net, lambda copied: copied(torch.zeros(1, 3, 5, 5)))
    assert [type(part) for part in folded] == [nn.BatchNorm2d, nn.Conv2d, nn.ReLU, nn.BatchNorm2d]


def test_a_layer_before_two_normalisations_is_refused() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.one, self.two = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = self.layer(images)
            return torch.cat([self.one(maps), self.two(maps)])

    with pytest.raises(ValueError, match="several"):
        fold_batch_norms(Fork().eval(), lambda copied: copied(torch.zeros(1, 3, 5, 5)))
