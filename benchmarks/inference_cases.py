"""Videos without content, of 20 kinds, and a random network that tells the kinds apart (SYNTHETIC).

An untrained network answers every noise alike, and by margins that rounding turns over. So: a kind is a pair of
colours, a stripe pattern and its drift; a video of it is that with noise, and an eighth of the videos are half of another kind.
Batch statistics are taken from such videos, and each head's weights are the kinds' mean features (a classifier by the
nearest mean), so that answers spread over the kinds and sure and unsure ones occur. ``SHARPNESS`` sets how sure.
Encoders may first learn to tell single frames apart, as those that are really used have learned something.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.data.video.augment import normalise
from neurofocus.model.classifier import MaxPoolingClassifier
from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.pretrain import PretrainConfig
from neurofocus.training.pretrain import Stills, pretrain_encoders

KINDS = 20
LESSON = 16
SHARPNESS = 8.0


def pixels(kind: int, seed: int, num_frames: int = 48, side: int = 224) -> Tensor:
    """Return a video of a kind, uint8 [T0, 3, side, side]."""
    look, own = torch.Generator().manual_seed(kind), torch.Generator().manual_seed(1000 + seed)
    first, second = torch.rand(2, 3, 1, 1, generator=look)
    angle, wave, drift = torch.rand(3, generator=look).tolist()
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    along = math.cos(3 * angle) * rows + math.sin(3 * angle) * columns
    time = torch.arange(num_frames)[:, None, None, None]
    start = float(torch.rand(1, generator=own)) * side
    stripes = 0.5 + 0.5 * torch.sin((along + start + 4 * drift * time) * (0.05 + 0.3 * wave))
    noise = 0.2 * torch.randn(num_frames, 3, side // 8, side // 8, generator=own).repeat_interleave(
        8, 2
    ).repeat_interleave(8, 3)
    video = first * stripes + second * (1 - stripes) + noise
    return (video.clamp(0, 1) * 255).to(torch.uint8)


def case(number: int) -> Tensor:
    """Return case ``number``, uint8 [1, T0, 3, H, W]; every eighth begins as another kind."""
    video = pixels(number % KINDS, number)
    if number % 8 == 7:
        half = len(video) // 2
        video[:half] = pixels((number + 7) % KINDS, number)[:half]
    return video[None]


def telling_model(lessons: int = 0) -> UniAdaFocus:
    """Return the ActivityNet network, prepared as the module says.

    Args:
        lessons: steps of 16 frames that the encoders learn from; none: their weights are random.
    """
    torch.manual_seed(0)
    model = UniAdaFocus(load_run_config("activitynet").model)
    if lessons:
        _teach(model, lessons)
    return _prepared(model)


def _teach(model: UniAdaFocus, lessons: int) -> None:
    side, patch = model.config.frame_size, model.config.patch_size
    boxes = torch.tensor([[side / 2, side / 2, patch, patch]]).expand(LESSON, 4)

    def lesson(number: int) -> Iterator[Stills]:
        kinds = torch.randint(KINDS, (LESSON,), generator=torch.Generator().manual_seed(number))
        shown = [
            pixels(kind, 10_000 + LESSON * number + place, 1) for place, kind in enumerate(kinds.tolist())
        ]
        yield Stills(normalise(torch.cat(shown), "imagenet"), kinds, boxes)

    settings = PretrainConfig(epochs=lessons, batch_size=LESSON, learning_rate=1e-3, margin=(1, 1))
    for record in pretrain_encoders(model, lesson, settings, draws=Draws(torch.Generator().manual_seed(0)))[
        -3:
    ]:
        print(
            f"lessons: accuracy of glances {record.global_accuracy:.2f}, of crops {record.local_accuracy:.2f}"
        )


@torch.no_grad()
def _prepared(model: UniAdaFocus) -> UniAdaFocus:
    shown = [normalise(case(1000 + number), "imagenet") for number in range(2 * KINDS)]
    for part in model.modules():
        if isinstance(part, _BatchNorm):
            part.reset_running_stats()
            part.momentum = None  # the average over the passes below
    for start in range(0, 8, 2):
        model.train()(torch.cat(shown[start : start + 2]))
    model.eval()
    outputs = [model(frames) for frames in shown]
    _fit_heads(
        model,
        torch.cat([output.glance.global_features for output in outputs]),
        torch.cat([output.focus.local_features for output in outputs]),
    )
    return model


def _fit_heads(model: UniAdaFocus, glanced: Tensor, focused: Tensor) -> None:
    """Make every head a classifier by the nearest mean of the kinds, from features [N, T, D] and [N, F, D']."""
    classifier = model.classifier
    assert isinstance(classifier, MaxPoolingClassifier)
    running = [
        classifier.global_mlp(glanced).cummax(1).values,
        classifier.local_mlp(focused).cummax(1).values,
    ]
    last = running[0][:, -1:].expand(-1, running[1].shape[1], -1)
    steps = (running[0], torch.cat([running[1], last], -1))
    for heads, features in zip(
        (classifier.global_classifiers, classifier.local_classifiers), steps, strict=True
    ):
        for head, step in zip(heads, features.unbind(1), strict=True):
            means = step.view(-1, KINDS, step.shape[-1]).mean(0)
            means = means - means.mean(0)
            weights, centre = means / means.square().sum(-1).mean() * SHARPNESS, step.mean(0)
            linear = head[1]
            linear.weight.zero_()
            linear.bias.fill_(-20.0)
            linear.weight[:KINDS] = weights
            linear.bias[:KINDS] = -(weights @ centre) - (weights * means).sum(-1) / 2
