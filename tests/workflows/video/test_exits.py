"""Exit thresholds of video models: on which clips they are solved, as at test time, and the file that keeps them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from workflows.video.exit_models import LABELS, model_of, put_ten, settings_of
from workflows.video.tiny_video import data_of, small_config, write_small

from neurofocus.errors import ConfigError, NeurofocusError, VideoError
from neurofocus.model.build import build_model
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.bundle import BundleManifest
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video import exits as module
from neurofocus.workflows.video.bundle import load_video_model
from neurofocus.workflows.video.evaluate import evaluate_videos
from neurofocus.workflows.video.exits import (
    ClipExits,
    exits_after_training,
    for_crops,
    read_exits,
    solve_exits,
    write_exits,
)
from neurofocus.workflows.video.source import VideoData
from neurofocus.workflows.video.train import VideoRun

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> VideoData:
    return put_ten(tmp_path_factory.mktemp("ten"))


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return settings_of("frames", "video.test_crops=3", "exit.num_budgets=5")


@pytest.fixture(scope="module")
def model(config: RunConfig) -> UniAdaFocus:
    return model_of(config)


@pytest.fixture(scope="module")
def solved(model: UniAdaFocus, ten: VideoData, config: RunConfig) -> ClipExits:
    found = solve_exits(model, ten, ten.clips("validation"), config, kind="clips")
    assert found is not None
    return found


def test_what_a_rule_promises_is_what_these_clips_give(
    model: UniAdaFocus, ten: VideoData, config: RunConfig, solved: ClipExits
) -> None:
    """Clip by clip and step by step, on middle crops though three are configured; any of a clip's labels is right."""
    once = config.model_copy(update={"video": config.video.model_copy(update={"test_crops": 1})})
    logits = evaluate_videos(model, ten, "validation", once).logits
    assert logits is not None
    costs = measure_cost(config.model).exit_gflops
    assert solved.plan.ladder.steps == (2, 3, 4, 5)  # the last of three glance steps, and every focus frame
    assert solved.plan.ladder.gflops == pytest.approx(costs[2:])
    assert len(solved.plan.rules) > 2
    for rule in solved.plan.rules:
        hits, spent = [], []
        for clip, labels in zip(logits, LABELS[6:], strict=True):
            for step, threshold in zip((2, 3, 4, 5), (*rule.thresholds, np.inf), strict=True):
                answer = torch.tensor(clip[step]).double().softmax(-1)
                if float(-(answer * answer.log()).sum()) <= threshold:
                    hits.append(int(answer.argmax()) in labels)
                    spent.append(costs[step])
                    break
        assert (rule.accuracy, rule.gflops) == pytest.approx((np.mean(hits), np.mean(spent)))
    assert (solved.solved_on, solved.num_clips) == ("4 clips", 4)


def test_the_order_of_frames_is_that_of_the_configuration(
    model: UniAdaFocus, ten: VideoData, config: RunConfig, solved: ClipExits
) -> None:
    weighed = config.model_copy(update={"exit": config.exit.model_copy(update={"order": "weight"})})
    found = solve_exits(model, ten, ten.clips("validation"), weighed, kind="clips")
    assert found is not None
    assert found.plan.order == "weight"
    assert found.plan.rules != solved.plan.rules
    for place in (0, -1):  # all frames, or none: their order does not matter
        assert found.plan.rules[place].accuracy == solved.plan.rules[place].accuracy
        assert found.plan.rules[place].thresholds[0] == solved.plan.rules[place].thresholds[0]


def test_of_very_many_clips_a_seeded_part_is_taken(
    model: UniAdaFocus, ten: VideoData, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_CLIPS", 3)
    found = [
        solve_exits(model, ten, ten.clips("validation"), config, kind="clips of some kind") for _ in range(2)
    ]
    assert found[0] == found[1]
    assert found[0] is not None
    assert (found[0].solved_on, found[0].num_clips) == ("3 of 4 clips of some kind", 3)
    assert {round(3 * rule.accuracy, 6) for rule in found[0].plan.rules} <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    "changes",
    [
        (
            "model.kind=tsm_plus",
            "model.classifier.kind=average",
            "model.num_frames=4",
            "model.num_glance_frames=4",
        ),
        (
            "model.global_encoder.name=resnet18",
            "model.local_encoder.name=resnet18",
            "model.global_encoder.temporal_shift=true",
            "model.local_encoder.temporal_shift=true",
            "model.classifier.kind=average",
            "model.classifier.reuse_global=false",
            "model.spatial_policy.scope=clip",
        ),
    ],
)
def test_a_model_that_answers_once_has_no_exits(ten: VideoData, changes: tuple[str, ...]) -> None:
    config = small_config("model.num_classes=7", *changes)
    assert solve_exits(build_model(config.model), ten, ten.clips("validation"), config, kind="clips") is None


def test_answers_that_are_not_finite(ten: VideoData, config: RunConfig) -> None:
    broken = model_of(config)
    torch.nn.init.constant_(next(broken.classifier.parameters()), float("nan"))
    with pytest.raises(NeurofocusError, match="answers to clips are not finite"):
        solve_exits(broken, ten, ten.clips("validation"), config, kind="clips")


def test_a_run_keeps_them_in_its_bundle(run: VideoRun) -> None:
    path = run.out / "bundle/bundle.json"
    manifest = BundleManifest.model_validate_json(path.read_text(encoding="utf-8"))
    said = "4 clips of the validation split"  # the test split is scored
    assert manifest.provenance["exits"] == {"split": "validation", "solved_on": said, "num_clips": 4}
    video = load_video_model(run.out / "bundle", CPU)
    assert (
        video.exits
        == run.evaluation.exits
        == ClipExits(plan=manifest.folds[0].exits, split="validation", solved_on=said, num_clips=4)
    )
    assert run.evaluation.metrics["exits"]["solved_on"] == said


ROWS = [
    *((f"t{place}", (place % 2,), "train") for place in range(6)),
    *((f"v{place}", (place % 2,), "validation") for place in range(4)),
]


@pytest.fixture(scope="module")
def without_test(tmp_path_factory: pytest.TempPathFactory) -> VideoData:
    """Training clips are there; the scored validation clips cannot be opened."""
    root = tmp_path_factory.mktemp("without-test")
    for name, _, split in ROWS:
        if split == "train":
            write_small(root / f"{name}.mp4")
    return data_of(ROWS, root=root)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "6 training clips without augmentation; the model has learned on them, so expect less of others"),
        (0.34, "2 training clips that were held out"),
    ],
)
def test_training_clips_where_no_others_are_free(without_test: VideoData, share: float, said: str) -> None:
    assert without_test.scored_split == "validation"
    config = small_config(f"video.validation_fraction={share}", "exit.every=1")
    model = model_of(config)
    found = exits_after_training(model, without_test, config)
    assert found is not None
    assert (found.solved_on, found.split) == (said, "train")
    # No interval for clips that the model has learned on.
    assert (found.expected(found.plan.rules[0])["top1_interval"] is None) == (share == 0)
    with pytest.raises(VideoError, match="clip 'v0' cannot be used"):
        evaluate_videos(model, without_test, "validation", config)


def test_training_clips_are_not_augmented(without_test: VideoData) -> None:
    """Scored as a test split, the same clips give what the rules promise."""
    config = small_config("exit.every=1")
    model = model_of(config)
    found = exits_after_training(model, without_test, config)
    assert found is not None
    scored = evaluate_videos(model, without_test, "train", config, exits=found)
    for rule, result in zip(found.plan.rules, scored.metrics["exits"]["conditional"], strict=True):
        assert result["gflops"] == pytest.approx(rule.gflops)
        assert result["top1"]["value"] == pytest.approx(rule.accuracy)


def test_crops_multiply_costs_and_nothing_else(solved: ClipExits) -> None:
    three = for_crops(solved, 3)
    assert three.plan.ladder.gflops == pytest.approx([3 * cost for cost in solved.plan.ladder.gflops])
    for rule, one in zip(three.plan.rules, solved.plan.rules, strict=True):
        assert rule.gflops == pytest.approx(3 * one.gflops)
        assert (rule.thresholds, rule.accuracy) == (one.thresholds, one.accuracy)
    assert for_crops(solved, 1) == solved


def test_a_file_of_thresholds(
    model: UniAdaFocus, config: RunConfig, solved: ClipExits, tmp_path: Path
) -> None:
    path = tmp_path / "deep/exits.json"
    write_exits(path, solved, model)
    assert read_exits(path, model) == solved
    other = model_of(config)
    torch.nn.init.zeros_(next(other.classifier.parameters()))
    with pytest.raises(ConfigError, match=r"--exits .*exits\.json: was solved for other weights; solve it"):
        read_exits(path, other)
    for content in ("{}", "no json", path.read_text(encoding="utf-8").replace('"entropy"', '"other"')):
        (tmp_path / "wrong.json").write_text(content, encoding="utf-8")
        with pytest.raises(
            ConfigError, match=r"--exits .*wrong\.json: .*; give exits\.json of 'video evaluate"
        ):
            read_exits(tmp_path / "wrong.json", model)
    with pytest.raises(ConfigError, match=r"--exits .*absent: no readable file; give exits\.json"):
        read_exits(tmp_path / "absent", model)
