"""Commands that answer take the fast form of a model; its weights stay where they are."""

import torch
from workflows.video.test_bundle import model_of

from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.workflows.video.quick import quickened


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
