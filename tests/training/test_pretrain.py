"""Encoders learn on stills; the rest of the model is left alone."""

from collections.abc import Iterator

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import EncoderConfig, ModelConfig, PatchConfig
from neurofocus.schema.pretrain import PretrainConfig
from neurofocus.training.pretrain import Stills, _crop_boxes, _losses, pretrain_encoders

CONFIG = ModelConfig(
    num_classes=2,
    frame_size=64,
    glance_size=32,
    num_frames=4,
    num_glance_frames=4,
    num_focus_frames=2,
    patch_size=32,
    global_encoder=EncoderConfig(name="compact", width=0.25),
    local_encoder=EncoderConfig(name="compact", width=0.25),
    patches=PatchConfig(min_fraction=0.25, max_fraction=0.5),
    auxiliary_dropout=0.0,
)


def _stills(epoch: int) -> Iterator[Stills]:
    """Squares with a horizontal or a vertical bar, anywhere on noise."""
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(12):
        images = 0.3 * torch.randn(32, 3, 64, 64, generator=generator)
        labels = torch.randint(2, (32,), generator=generator)
        corner = torch.randint(0, 48, (32, 2), generator=generator)
        for image, label, (x, y) in zip(images, labels, corner.tolist(), strict=True):
            square = torch.zeros(16, 16)
            square[6:10] = 2.0
            image[:, y : y + 16, x : x + 16] += square if label else square.T
        boxes = torch.cat([corner + 8.0, torch.full((32, 2), 16.0)], dim=1)
        yield Stills(images, labels, boxes)


def _pretrained(seed: int = 0) -> tuple[UniAdaFocus, list[float]]:
    torch.manual_seed(seed)
    model = UniAdaFocus(CONFIG)
    draws = Draws(torch.Generator().manual_seed(seed))
    records = pretrain_encoders(model, _stills, PretrainConfig(epochs=3), draws=draws)
    return model, [record.local_accuracy for record in records]


def test_both_encoders_learn_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    before = UniAdaFocus(CONFIG).state_dict()
    torch.manual_seed(0)
    model = UniAdaFocus(CONFIG)
    draws = Draws(torch.Generator().manual_seed(0))
    records = pretrain_encoders(model, _stills, PretrainConfig(epochs=3), draws=draws)
    assert len(records) == 3
    assert records[-1].local_accuracy > 0.9 and records[-1].global_accuracy > 0.75
    assert records[-1].local_loss < records[0].local_loss
    learned = ("global_encoder", "local_encoder", "global_head", "local_head", "policy_head")
    for name, tensor in model.state_dict().items():
        changed = not torch.equal(tensor, before[name])
        assert changed == name.startswith(learned), name


def test_both_encoders_see_what_they_see_later() -> None:
    """Gray stills repeated to three channels; shrunk without a low-pass where the model's filters have none."""
    changes = {
        "frame_channels": 1,
        "patches": PatchConfig(min_fraction=0.5, max_fraction=0.5, antialias=False),
    }
    torch.manual_seed(0)
    model = UniAdaFocus(CONFIG.model_copy(update=changes)).eval()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 1, 64, 64, generator=generator)
    stills = Stills(images, torch.tensor([0, 1]), torch.tensor([[16.0, 48.0, 32.0, 32.0]] * 2))
    with torch.no_grad():
        total, values = _losses(model, stills, PretrainConfig(margin=(1.0, 1.0)), Draws(generator))
        colour = images.expand(-1, 3, -1, -1)
        small = functional.interpolate(colour, 32, mode="bilinear", antialias=False)
        patches = colour[:, :, 32:, :32]
        expected = [
            functional.cross_entropy(head(encoder(seen).mean((2, 3))), stills.labels).item()
            for encoder, head, seen in (
                (model.global_encoder, model.global_head, small),
                (model.local_encoder, model.local_head, patches),
            )
        ]
        inside = model.global_encoder(small)[:, :, 2:, :2].mean((2, 3))  # the same box on the 4 x 4 map
        expected.append(functional.cross_entropy(model.policy_head(inside), stills.labels).item())
    assert values[:2].tolist() == pytest.approx(expected[:2], rel=1e-5)
    assert total.item() == pytest.approx(sum(expected), rel=1e-5)


def test_the_first_epoch_learns_at_the_full_rate() -> None:
    torch.manual_seed(0)
    model = UniAdaFocus(CONFIG)
    bias = list(model.global_head.parameters())[-1]
    before = bias.detach().clone()
    still = next(iter(_stills(0)))
    config = PretrainConfig(epochs=1, learning_rate=0.5)
    pretrain_encoders(model, lambda epoch: [still], config, draws=Draws(torch.Generator().manual_seed(0)))
    # Adam's first step is the learning rate, up or down.
    torch.testing.assert_close((bias.detach() - before).abs(), torch.full((2,), 0.5), atol=0.01, rtol=0)


def test_the_same_draws_give_the_same_weights() -> None:
    (first, _), (second, _) = _pretrained(), _pretrained()
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name], rtol=0, atol=0)


def test_crops_hold_the_object_and_stay_inside() -> None:
    model = UniAdaFocus(CONFIG)
    generator = torch.Generator().manual_seed(1)
    sizes = 6 + 20 * torch.rand(500, 2, generator=generator)
    centers = sizes.flip(1) / 2 + torch.rand(500, 2, generator=generator) * (64 - sizes.flip(1))
    objects = torch.cat([centers, sizes], dim=1)
    boxes = _crop_boxes(model, objects, (1.0, 2.5), Draws(generator))
    assert (boxes[:, 2] == boxes[:, 3]).all()
    assert boxes[:, 2].min() >= 16 and boxes[:, 2].max() <= 32
    for box, limit in ((boxes, torch.tensor([0.0, 64.0])), (objects, None)):
        low, high = box[:, :2] - box[:, [3, 2]] / 2, box[:, :2] + box[:, [3, 2]] / 2
        if limit is not None:
            assert (low >= -1e-4).all() and (high <= 64 + 1e-4).all()
            edges = (low, high)
        else:
            assert (low >= edges[0] - 1e-3).all() and (high <= edges[1] + 1e-3).all()


def test_a_margin_below_the_object_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"margin \(0\.5, 2\.0\)"):
        PretrainConfig(margin=(0.5, 2.0))
