"""Conditional exits from files to answers: digits in miniature, trained, with thresholds from validation.

For every rule and several batch sizes, running with exits gives what complete answers give after the fact, clip by clip.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from neurofocus.data.loaders import evaluation_loader
from neurofocus.early_exit.compare import exit_steps
from neurofocus.early_exit.criteria import uncertainty
from neurofocus.evaluation.video.scores import softmax
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.simulate.digits.recipe import DigitsConfig
from neurofocus.workflows.exit_run import ladder_ways, loaded_cases, run_ways
from neurofocus.workflows.video import digits as module
from neurofocus.workflows.video.bundle import VideoModel, load_video_model
from neurofocus.workflows.video.score import ExitRequest, score_model
from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import VideoRun, fitted, train_videos

CPU = torch.device("cpu")
MODELS = {
    "frames": (),
    "frames by weight": ("exit.order=weight",),
    "temporal shift": (
        "model.streams=separate",
        "model.glance_size=null",
        "model.spatial_policy.scope=clip",
        "model.classifier.kind=average",
        *(
            f"model.{encoder}_encoder.{setting}"
            for encoder in ("global", "local")
            for setting in ("name=resnet18", "width=0.25", "temporal_shift=true")
        ),
    ),
}
SHORT = ("train.epochs=2", "pretrain.epochs=2", "train.tensorboard=false")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoData]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROFOCUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        small = DigitsConfig(train=80, validation=60, test=60, stills=40)
        patch.setattr(module, "DigitsConfig", lambda: small)
        yield find_videos("digits", None)


@pytest.fixture(scope="module", params=MODELS)
def trained(
    few: VideoData, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[VideoRun, VideoModel]:
    config = fitted(load_run_config("digits", [*SHORT, *MODELS[request.param]]), few)
    run = train_videos(config, few, tmp_path_factory.mktemp("run"), device=CPU)
    return run, load_video_model(run.out / "bundle", CPU)


@pytest.mark.slow
def test_running_with_exits_gives_what_complete_answers_give(
    few: VideoData, trained: tuple[VideoRun, VideoModel]
) -> None:
    run, video = trained
    assert isinstance(video.model, UniAdaFocus)
    assert video.exits is not None
    assert video.exits.solved_on == "60 clips of the validation split"
    assert run.evaluation.logits is not None
    plan = video.exits.plan
    probabilities = softmax(run.evaluation.logits.astype(np.float64))
    ways = ladder_ways(plan, plan.rules)
    dataset = few.dataset(few.clips("test"), video.config)
    assert [clip.name for clip in dataset.clips] == run.evaluation.predictions["clip_id"].tolist()
    seen: set[int] = set()
    for batch in (1, 7, 100):
        found = run_ways(video.model, loaded_cases(evaluation_loader(dataset, 8)), ways, batch_size=batch)
        for way, result in zip(ways, found, strict=True):
            unsure = uncertainty(probabilities[:, way.plan.ladder.steps[:-1]], plan.criterion)
            tied = (np.abs(unsure - np.array(way.rule.thresholds)) < 1e-5).any(1)
            assert tied.sum() <= 1
            expected = exit_steps(probabilities, way.plan, way.rule)
            assert (result.steps == expected)[~tied].all()
            answers = probabilities[np.arange(60), result.steps]
            np.testing.assert_allclose(result.probabilities, answers, atol=1e-5)
            seen |= set(result.steps.tolist())
    assert seen == set(plan.ladder.steps)


@pytest.mark.slow
def test_an_evaluation_within_a_budget(few: VideoData, trained: tuple[VideoRun, VideoModel]) -> None:
    run, video = trained
    assert video.exits is not None
    rules = run.evaluation.metrics["exits"]["conditional"]
    middle = len(rules) // 2
    budget = video.exits.plan.rules[middle].gflops
    found = score_model(video, few, request=ExitRequest(budget=budget, timed=True))
    assert found.metrics["synthetic"]
    assert found.metrics["mean_gflops"] == pytest.approx(rules[middle]["gflops"], rel=0.02)
    assert found.metrics["pooled"]["top1"]["value"] == pytest.approx(
        rules[middle]["top1"]["value"], abs=1 / 60 + 1e-9
    )
    end = found.metrics["exits"]["to_the_end"]["top1"]["value"]
    assert end == pytest.approx(run.evaluation.metrics["pooled"]["top1"]["value"], abs=1 / 60 + 1e-9)
    assert found.metrics["exits"]["seconds"]["within_budget"] > 0
