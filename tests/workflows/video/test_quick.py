"""Commands that answer take the fast form of a model; its weights stay where they are."""

import pytest
import torch
from pytest import MonkeyPatch
from workflows.video.test_bundle import model_of

from neurofocus.errors import ConfigError
from neurofocus.inference import hardware
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.workflows.video.quick import in_bfloat16, quickened


def test_the_fast_model_answers_alike() -> None:
    video = model_of("archery", "bowling", "curling")
    fast = quickened(video)
    assert isinstance(video.model, UniAdaFocus)
    assert isinstance(fast.model, UniAdaFocus)
    assert isinstance(fast.model.local_encoder, FastEncoder)
    assert not isinstance(video.model.local_encoder, FastEncoder)
    config = video.config.model
    frames = torch.rand(
        2,
        config.num_frames,
        3,
        config.frame_size,
        config.frame_size,
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        expected, found = video.model(frames), fast.model(frames)
    assert torch.equal(expected.frame_indices, found.frame_indices)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
    assert (fast.classes, fast.source, fast.exits) == (video.classes, video.source, video.exits)


def test_bfloat16_is_for_encoders_and_told_in_results(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    video = model_of("archery", "bowling")
    rough = in_bfloat16(video)
    assert rough.source == video.source | {"precision": "bf16"}
    assert "precision" not in video.source
    fast, exact = quickened(rough).model, quickened(video).model
    assert isinstance(fast, UniAdaFocus) and isinstance(exact, UniAdaFocus)
    kinds = [
        model.local_encoder.dtype for model in (fast, exact) if isinstance(model.local_encoder, FastEncoder)
    ]
    assert kinds == [torch.bfloat16, torch.float32]


def test_bfloat16_is_refused_where_it_is_slow(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(ConfigError, match=r"--precision bf16: .*this CPU.*here that is --precision f32"):
        in_bfloat16(model_of("archery", "bowling"))
