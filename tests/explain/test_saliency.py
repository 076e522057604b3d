from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurofocus.data.frames import FrameGrid, frame_grid, sample_frame_indices
from neurofocus.explain.attribution import Look, attribute
from neurofocus.explain.saliency import CaseSaliency, SaliencyOptions, case_saliency
from neurofocus.model.draws import Draws
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.outputs import FocusOutput
from neurofocus.model.patches import crop_and_resize, crop_matrices
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig, PatchConfig
from neurofocus.schema.run import ObjectiveConfig, PrepareConfig
from neurofocus.training.losses import training_loss

_SIZE, _T0, _PATCH = 64, 8, 32


def _config(**changes: object) -> ModelConfig:
    values: dict[str, object] = {
        "frame_size": _SIZE,
        "frame_channels": 1,
        "gray_input": "average",
        "num_frames": _T0,
        "num_glance_frames": 4,
        "num_focus_frames": 4,
        "patch_size": _PATCH,
        "global_encoder": {"name": "compact", "width": 0.25},
        "local_encoder": {"name": "compact", "width": 0.25},
        "classifier": {"hidden": 16},
        "spatial_policy": {"channels": 8},
        "temporal_policy": {"channels": 8},
    }
    return ModelConfig.model_validate(values | changes)


def _model(seed: int = 0, **changes: object) -> UniAdaFocus:
    torch.manual_seed(seed)
    return UniAdaFocus(_config(**changes)).eval()


def _grid() -> FrameGrid:
    """24 frames: three for each of the eight that a model sees."""
    return frame_grid(PrepareConfig(range_mm=(-46.0, 0.0), pixel_mm=2.8), _SIZE)


def _positions() -> np.ndarray:
    return sample_frame_indices(_grid().num_frames, _T0, None)


def _frames(seed: int = 0) -> Tensor:
    return torch.randn(1, _T0, 1, _SIZE, _SIZE, generator=torch.Generator().manual_seed(seed))


def _explain(
    models: list[UniAdaFocus], frames: Tensor, *, target: int = 1, **options: object
) -> CaseSaliency:
    chosen = SaliencyOptions(**({"smoothing_mm": 0.0, "steps": 2} | options))
    return case_saliency(models, frames, _positions(), _grid(), target=target, options=chosen)


def _in_box(box: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Pixels [H, W] whose centres lie in a box, give or take the width of the crop's filter."""
    x, y, height, width = box
    centers = np.arange(_SIZE) + 0.5
    rows = np.abs(centers - y) <= height / 2 + margin * max(1, height / _PATCH)
    cols = np.abs(centers - x) <= width / 2 + margin * max(1, width / _PATCH)
    return rows[:, None] & cols[None, :]


@settings(max_examples=40)
@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.sampled_from([8, 16, 24]),
    st.sampled_from([(True, "border"), (False, "border"), (False, "zeros")]),
)
def test_backward_through_the_crop_is_its_adjoint(
    action: list[float], size: int, filters: tuple[bool, str]
) -> None:
    """<C x, y> = <x, C^T y>, with C^T the same two matrices transposed; what y holds stays inside the box."""
    antialias, padding = filters
    patches = PatchConfig.model_validate({"antialias": antialias, "padding": padding})
    height, width = (4 + 28 * value for value in action[2:])
    y, x = (value * (32 - side) + side / 2 for value, side in zip(action[:2], (height, width), strict=True))
    boxes = torch.tensor([[x, y, height, width]])
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 32, 32, generator=generator, requires_grad=True)
    patch = torch.rand(1, 1, size, size, generator=generator)
    cropped = crop_and_resize(image, boxes, size, antialias=antialias, padding=patches.padding)
    (back,) = torch.autograd.grad((cropped * patch).sum(), image)
    rows, cols = crop_matrices(boxes, 32, size, antialias=antialias, padding=patches.padding)
    torch.testing.assert_close(back, rows.transpose(1, 2) @ patch @ cols, rtol=1e-4, atol=1e-5)
    forward, backward = (cropped * patch).sum().item(), (image * back).sum().item()
    assert forward == pytest.approx(backward, rel=1e-4)
    if padding == "border":
        assert float(back.sum()) == pytest.approx(float(patch.sum()), rel=1e-4)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.slow
def test_contributions_add_up_to_the_evidence(num_classes: int) -> None:
    """Completeness: their sum is the evidence of the case less that of frames of zeros, boxes held fixed."""
    model, frames = _model(num_classes=num_classes), _frames()
    found = attribute(model, frames, 1, steps=200)

    def evidence(given: Tensor) -> float:
        with torch.no_grad():
            focus = model(frames).focus
            patches = model.crop(given, focus.boxes, focus.frame_indices)
            looked = FocusOutput(focus.frame_indices, focus.boxes, patches, model.encode_patches(patches))
            logits = model.classify(model.glance(given), looked)[0, -1]
        others = [float(logits[k]) for k in range(num_classes) if k != 1]
        return float(logits[1]) - sum(others) / len(others)

    gained = evidence(frames) - evidence(frames * 0)
    assert abs(gained) > 1e-3
    assert (found.glance + found.focus).sum() == pytest.approx(gained, rel=0.03)


def test_focus_contributions_stay_in_the_boxes_and_glance_ones_on_glance_frames() -> None:
    for seed in range(3):
        model = _model(seed)
        found = attribute(model, _frames(seed), 1, steps=1)
        for frame in range(_T0):
            outside = np.ones((_SIZE, _SIZE), dtype=bool)
            for box in found.boxes[found.frame_indices == frame]:
                outside &= ~_in_box(box)
            assert not found.focus[frame][outside].any()
        assert found.focus.any()
        # T_G = 4 of T0 = 8: at test time the middle of every group is looked at.
        used = np.flatnonzero(np.abs(found.glance).sum(axis=(1, 2)))
        assert set(used) <= {1, 3, 5, 7}
        assert len(used) >= 2


def test_what_was_looked_at_is_what_the_model_answers_with() -> None:
    model, frames = _model(), _frames()
    output = model(frames)
    result = _explain([model], frames)
    seen = result.per_model[0]
    np.testing.assert_allclose(seen.probabilities, output.step_probs[0, -1].detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(seen.boxes, output.boxes[0].detach().numpy(), rtol=1e-5)
    indices = output.frame_indices[0].numpy()
    np.testing.assert_array_equal(seen.frames, _positions()[indices])
    np.testing.assert_allclose(
        seen.weights, 4 * output.frame_weights[0].detach().numpy()[indices // 2], rtol=1e-5
    )
    found = attribute(model, frames, 1, steps=2)
    total = np.abs(found.focus).sum() + np.abs(found.glance).sum()
    assert result.focus_share == pytest.approx(np.abs(found.focus).sum() / total)
    assert 0 < result.focus_share < 1
    assert seen.relevance.shape == (4,)


def test_the_volume_is_scaled_and_covers_the_grid() -> None:
    for smoothing in (0.0, 4.0):
        result = _explain([_model(seed) for seed in range(3)], _frames(), smoothing_mm=smoothing)
        assert result.volume.shape == (24, _SIZE, _SIZE)
        assert result.volume.dtype == np.float32
        assert result.volume.min() == 0
        assert result.volume.max() == 1


def test_the_focus_part_is_confined_to_the_neighbourhood_of_the_focus_frames() -> None:
    result = _explain([_model()], _frames(), part="focus")
    allowed = np.zeros(result.volume.shape, dtype=bool)
    for frame, box in zip(result.per_model[0].frames, result.per_model[0].boxes, strict=True):
        allowed[max(frame - 5, 0) : frame + 6] |= _in_box(box)
    assert result.volume.any()
    assert not result.volume[~allowed].any()


class _Bright(Encoder):
    """Answers to bright pixels and to nothing else; its maps are as fine as its input."""

    stem_key = ""
    head_prefixes = ()
    out_channels = 1

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        return (images - 3.0).relu()


class _BrightestFrame(nn.Module):
    """Evidence for class 1 is the largest local feature over the focus frames; the glance does not count."""

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        best = local_features[..., 0].amax(dim=1) + 0 * global_features.sum(dim=(1, 2))
        return torch.stack([-best, best], dim=-1)[:, None]


def _bright_model() -> UniAdaFocus:
    model = _model(temporal_policy={"dynamic": False}, patches={"min_fraction": 0.9, "max_fraction": 1.0})
    model.local_encoder = _Bright()
    model.classifier = _BrightestFrame()
    return model.eval()


def test_only_the_pixels_that_matter_light_up() -> None:
    model = _bright_model()
    seen = _explain([model], _frames()).per_model[0]
    focus = int(seen.frames[2])
    frames = _frames() * 0
    frames[0, focus // 3, 0, 40:48, 12:20] = 10.0
    result = _explain([model], frames)
    around = np.zeros(result.volume.shape, dtype=bool)
    around[focus - 5 : focus + 6, 38:50, 10:22] = True
    assert result.volume[around].sum() / result.volume.sum() > 0.999
    peak = np.unravel_index(int(result.volume.argmax()), result.volume.shape)
    assert peak[0] == focus
    assert 40 <= peak[1] < 48
    assert 12 <= peak[2] < 20
    np.testing.assert_allclose(result.per_model[0].relevance, [0, 0, 1, 0], atol=1e-6)
    assert result.focus_share == pytest.approx(1)
    # Evidence against a class is not evidence for it.
    assert not _explain([model], frames, target=0).volume.any()


def test_saliency_fades_linearly_over_one_glance_spacing() -> None:
    """A glance frame stands for two of the model's frames, so for six of the grid's."""
    model = _bright_model()
    focus = int(_explain([model], _frames()).per_model[0].frames[2])
    frames = _frames() * 0
    frames[0, focus // 3, 0, 24:40, 24:40] = 10.0
    along = _explain([model], frames).volume.max(axis=(1, 2))
    expected = np.clip(1 - np.abs(np.arange(24) - focus) / 6, 0, None)
    np.testing.assert_allclose(along, expected, atol=1e-6)


def _toy(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise with stripes at rows 36..52, columns 8..24 of all frames; they lie in class 1 and stand in class 0."""
    frames = torch.randn(count, _T0, 1, _SIZE, _SIZE, generator=generator)
    labels = torch.arange(count) % 2
    stripes = (torch.arange(16) // 2 % 2 * 3.0 - 1.5)[:, None] * torch.ones(16)
    frames[labels == 1, :, 0, 36:52, 8:24] += stripes
    frames[labels == 0, :, 0, 36:52, 8:24] += stripes.T
    return frames, labels


_TOY = {"classifier": {"hidden": 16, "dropout": 0.0}}


@pytest.fixture(scope="module")
def trained() -> UniAdaFocus:
    model = _model(1, **_TOY).train()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    objective = ObjectiveConfig(num_mc_samples=8)
    for _ in range(60):
        frames, labels = _toy(8, generator)
        loss = training_loss(
            model, frames, labels, objective=objective, class_weights=None, draws=Draws(generator)
        )
        optimizer.zero_grad()
        loss.total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def _share_at_the_cause(result: CaseSaliency) -> float:
    return float(result.volume[:, 34:54, 6:26].sum() / result.volume.sum())


@pytest.mark.slow
def test_training_moves_the_saliency_to_the_cause(trained: UniAdaFocus) -> None:
    frames, labels = _toy(12, torch.Generator().manual_seed(5))
    with torch.no_grad():
        probabilities = trained(frames).step_probs[:, -1, 1]
    assert ((probabilities > 0.5) == (labels == 1)).float().mean() >= 0.9
    untrained = _model(1, **_TOY)
    pairs = [(frames[i : i + 1], int(labels[i])) for i in range(12)]
    learned = [_explain([trained], case, target=label, smoothing_mm=3.5) for case, label in pairs]
    random = [_explain([untrained], case, target=label, smoothing_mm=3.5) for case, label in pairs]
    chance = 20 * 20 / (_SIZE * _SIZE)
    assert np.mean([_share_at_the_cause(result) for result in learned]) > 3 * chance
    assert np.mean([_share_at_the_cause(r) for r in learned]) > 2 * np.mean(
        [_share_at_the_cause(r) for r in random]
    )
    # The map belongs to the weights: an untrained model's map does not resemble it (Adebayo et al. 2018).
    alike = [
        np.corrcoef(a.volume.ravel(), b.volume.ravel())[0, 1] for a, b in zip(learned, random, strict=True)
    ]
    assert np.mean(alike) < 0.5


def test_covering_the_peak_costs_more_evidence_than_covering_elsewhere(trained: UniAdaFocus) -> None:
    frames, labels = _toy(8, torch.Generator().manual_seed(6))
    at_peak, away = [], []
    for case, label in zip(frames[:, None], labels.tolist(), strict=True):
        volume = _explain([trained], case, target=label, smoothing_mm=3.5).volume
        _, row, col = np.unravel_index(int(volume.argmax()), volume.shape)
        top, left = int(np.clip(row - 8, 0, 48)), int(np.clip(col - 8, 0, 48))
        covered, elsewhere = case.clone(), case.clone()
        covered[..., top : top + 16, left : left + 16] = 0
        elsewhere[..., 48 - top : 64 - top, 48 - left : 64 - left] = 0
        with torch.no_grad():
            values = [trained(x).logits[0, -1].diff().item() for x in (case, covered, elsewhere)]
        sign = 1 if label == 1 else -1
        at_peak.append(sign * (values[0] - values[1]))
        away.append(sign * (values[0] - values[2]))
    assert np.mean(at_peak) > 1
    assert np.mean(at_peak) > 3 * np.mean(away)


def test_the_ensemble_cancels_what_its_models_disagree_on() -> None:
    models, frames = [_model(0), _model(1)], _frames()
    volume = _explain(models, frames).volume
    np.testing.assert_allclose(_explain(models[::-1], frames).volume, volume, atol=1e-6)
    np.testing.assert_allclose(
        _explain([models[0]] * 3, frames).volume, _explain(models[:1], frames).volume, atol=1e-6
    )
    # The same model for and against a class: everything cancels.
    opposite = _model(0)
    with torch.no_grad():
        for parameter in opposite.classifier.parameters():
            if parameter.shape[0] == 2:
                parameter.copy_(parameter.flip(0))
    both = _explain([models[0], opposite], frames)
    assert both.per_model[0].probabilities == pytest.approx(both.per_model[1].probabilities[::-1], rel=1e-5)
    alone = attribute(models[0], frames, 1, steps=2)
    against = attribute(opposite, frames, 1, steps=2)
    np.testing.assert_allclose(alone.glance, -against.glance, atol=1e-6)
    np.testing.assert_allclose(alone.focus, -against.focus, atol=1e-6)


def test_nothing_of_the_model_changes() -> None:
    model, frames = _model(), _frames()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = _explain([model], frames)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    np.testing.assert_array_equal(first.volume, _explain([model], frames).volume)
    with torch.no_grad():
        np.testing.assert_array_equal(first.volume, _explain([model], frames).volume)


def test_the_representative_model_is_the_one_nearest_to_the_mean() -> None:
    models = [_model(seed) for seed in range(4)]
    result = _explain(models, _frames())
    values = [model.probabilities[1] for model in result.per_model]
    nearest = min(range(4), key=lambda i: abs(values[i] - np.mean(values)))
    assert result.representative() is result.per_model[nearest]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"models": []}, "at least one model"),
        (lambda a: a | {"models": [_model().train()]}, "evaluation mode"),
        (lambda a: a | {"frames": _frames()[..., :32]}, "must be"),
        (lambda a: a | {"positions": [0, 1, 2]}, "increasing"),
        (lambda a: a | {"positions": [0, 1, 2, 3, 4, 5, 6, 6]}, "increasing"),
        (lambda a: a | {"positions": [0, 1, 2, 3, 4, 5, 6, 24]}, "leave the grid"),
    ],
)
def test_wrong_calls_are_refused(
    change: Callable[[dict[str, object]], dict[str, object]], message: str
) -> None:
    call = change({"models": [_model()], "frames": _frames(), "positions": list(range(_T0))})
    with pytest.raises(ValueError, match=message):
        case_saliency(
            cast(list[UniAdaFocus], call["models"]),
            cast(Tensor, call["frames"]),
            cast(list[int], call["positions"]),
            _grid(),
            target=1,
        )


def test_at_least_one_step_is_needed() -> None:
    with pytest.raises(ValueError, match="steps"):
        attribute(_model(), _frames(), 1, steps=0)


def test_the_evidence_does_not_depend_on_a_shift_of_all_logits() -> None:
    model, frames = _model(num_classes=3), _frames()
    before = _explain([model], frames, target=2).volume
    with torch.no_grad():
        for name, parameter in model.classifier.named_parameters():
            if parameter.shape == (3,) and name.endswith("bias"):
                parameter += 5.0
    np.testing.assert_allclose(_explain([model], frames, target=2).volume, before, atol=1e-5)


@pytest.mark.parametrize("order", ["time", "weight"])
@pytest.mark.parametrize("seen", [1, 3])
def test_an_early_answer_is_explained_by_what_was_seen(order: Literal["time", "weight"], seen: int) -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        output = model(frames)
    indices = output.frame_indices[0].numpy()
    weights = output.frame_weights[0].numpy()[indices // 2]
    first = np.arange(seen) if order == "time" else np.sort(np.argsort(-weights, kind="stable")[:seen])
    found = attribute(model, frames, 1, steps=2, look=Look(seen, order))
    np.testing.assert_array_equal(found.frame_indices, indices[first])
    assert set(np.flatnonzero(np.abs(found.focus).sum(axis=(1, 2)))) <= set(indices[first])
    assert found.focus.any()
    patches = output.focus.local_features[:, first]
    with torch.no_grad():
        expected = model.classifier(output.glance.global_features, patches)[0, -1].softmax(-1)
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-5)
    result = _explain([model], frames, looks=(Look(seen, order),))
    assert result.per_model[0].relevance.shape == (seen,)


def test_an_answer_after_the_glance_has_no_focus() -> None:
    model, frames = _model(), _frames()
    found = attribute(model, frames, 1, steps=2, look=Look(0, "time"))
    with torch.no_grad():
        expected = model(frames).step_probs[0, 3]  # T_G = 4 glance steps
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-5)
    assert not found.focus.any() and found.glance.any()
    assert found.boxes.shape == (0, 4)
    assert found.density == pytest.approx(np.ones(_T0))
    result = _explain([model], frames, looks=(Look(0, "time"),))
    assert result.focus_share == 0
    assert result.volume.max() == 1


def test_looking_to_the_end_is_the_default() -> None:
    model, frames = _model(), _frames()
    for order in ("time", "weight"):
        found = _explain([model], frames, looks=(Look(4, order),))
        assert np.array_equal(found.volume, _explain([model], frames).volume)


def test_every_model_needs_its_look() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _explain([_model(0), _model(1)], _frames(), looks=(Look(4, "time"),))
