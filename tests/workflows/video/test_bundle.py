"""What answers for a clip: a bundle or a released checkpoint, and that its classes are the data's."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from ingest.video.deliveries import put_text
from workflows.video.tiny_video import RELEASED, data_of, write_small

from neurofocus.errors import BundleError, ConfigError, VideoError
from neurofocus.model.build import build_model
from neurofocus.model.checkpoints import to_released
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.bundle import VideoModel, load_video_model
from neurofocus.workflows.video.score import score_model
from neurofocus.workflows.video.source import VideoData
from neurofocus.workflows.video.train import VideoRun

CPU = torch.device("cpu")
NAMES = ("bowling", "archery", "zumba")
ROWS = [("a", (0,), "train"), ("b", (1,), "train"), ("v", (2,), "validation"), ("w", (0,), "validation")]


def released_config(*changes: str) -> RunConfig:
    """The released architecture's names, narrow."""
    return load_run_config("activitynet", [*RELEASED, *changes])


@pytest.fixture(scope="module")
def model() -> UniAdaFocus:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        built = build_model(released_config("model.num_classes=3").model)
    assert isinstance(built, UniAdaFocus)
    return built.eval()


@pytest.fixture(scope="module")
def checkpoint(model: UniAdaFocus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("released") / "activitynet.pth.tar"
    torch.save({"epoch": 50, "state_dict": {f"module.{k}": v for k, v in to_released(model).items()}}, path)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("four")
    for name, _, _ in ROWS:
        write_small(root / f"{name}.mp4")
    return root


def test_a_released_checkpoint(model: UniAdaFocus, checkpoint: Path, clips: Path, tmp_path: Path) -> None:
    file = put_text(tmp_path / "classInd.txt", *NAMES)
    video = load_video_model(checkpoint, CPU, config=released_config(), classes=file)
    assert video.classes == NAMES
    assert video.config.model.num_classes == 3  # of 200 configured
    assert not video.model.training
    found = score_model(video, data_of(ROWS, classes=NAMES, root=clips))
    direct = VideoModel(model, released_config("model.num_classes=3"), NAMES, {"name": "direct"})
    expected = score_model(direct, data_of(ROWS, classes=NAMES, root=clips))
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert found.metrics.pop("model") == {"name": checkpoint.name}
    assert expected.metrics.pop("model") == {"name": "direct"}
    assert found.metrics == expected.metrics


def test_a_checkpoint_needs_its_configuration(checkpoint: Path, run: VideoRun, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not hold its configuration; add --config NAME"):
        load_video_model(checkpoint, CPU)
    with pytest.raises(
        ConfigError, match=r"a bundle holds its configuration and classes; leave out --config"
    ):
        load_video_model(run.out / "bundle", CPU, config=released_config())
    with pytest.raises(ConfigError, match=r"leave out --config, --set and --classes"):
        load_video_model(run.out / "bundle", CPU, classes=tmp_path / "classInd.txt")


def test_models_that_are_not_there_or_another(checkpoint: Path, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"--model .*absent: no such file or folder"):
        load_video_model(tmp_path / "absent", CPU)
    with pytest.raises(BundleError, match=r"not a bundle \(no readable bundle\.json\)"):
        load_video_model(clips, CPU)
    with pytest.raises(BundleError, match=r"set model\.num_classes=3 \(configured: 200\)"):
        load_video_model(checkpoint, CPU, config=released_config())
    with pytest.raises(BundleError, match="the configured encoders mix frames"):
        load_video_model(checkpoint, CPU, config=load_run_config("sthv1"))


def model_of(*classes: str, number: int = 3) -> VideoModel:
    config = released_config(f"model.num_classes={number}")
    return VideoModel(build_model(config.model).eval(), config, classes, {"name": "theirs.pth.tar"})


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (
            NAMES,
            ("archery", "bowling", "zumba"),
            r"2 of 3 classes have another index \(first: 'archery' is 0",
        ),
        (
            NAMES,
            ("bowling", "archery", "curling"),
            r"only in the data: 'curling'; only in the checkpoint: 'zumba'",
        ),
        (NAMES, (), r"comparing the order of classes needs class names, .*--list classes=FILE"),
    ],
)
def test_other_classes_are_refused(
    clips: Path, theirs: tuple[str, ...], ours: tuple[str, ...], message: str
) -> None:
    data = data_of(ROWS, classes=ours or NAMES, root=clips)
    data = VideoData(data.spec, _named(data, ours), data.root, {}, False)
    with pytest.raises(VideoError, match=message):
        score_model(model_of(*theirs), data)


def _named(data: VideoData, classes: tuple[str, ...]) -> object:
    from dataclasses import replace

    return replace(data.table, classes=classes)


def test_another_number_of_classes(clips: Path) -> None:
    with pytest.raises(
        VideoError, match=r"has 3 classes, the model theirs\.pth\.tar has 5; give the data set"
    ):
        score_model(model_of(number=5), data_of(ROWS, classes=NAMES, root=clips))


@pytest.mark.parametrize("theirs", [(), ("0", "1", "2")])
@pytest.mark.parametrize("named", [False, True])
def test_a_model_that_names_no_classes(
    clips: Path, caplog: pytest.LogCaptureFixture, theirs: tuple[str, ...], named: bool
) -> None:
    """Nothing can be compared: said where the data have names, since then another order is likely."""
    data = data_of(ROWS, classes=NAMES, root=clips)
    data = VideoData(data.spec, _named(data, NAMES if named else ()), data.root, {}, False)
    with caplog.at_level(logging.WARNING, "neurofocus.workflows"):
        found = score_model(model_of(*theirs), data)
    assert found.metrics["classes"] == (list(NAMES) if named else ["0", "1", "2"])
    told = [line for line in caplog.messages if "theirs.pth.tar does not name its classes" in line]
    assert len(told) == named


def test_classes_whose_names_are_numbers(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in digits: the same names on both sides leave nothing to warn about."""
    numbers = ("0", "1", "2")
    with caplog.at_level(logging.WARNING, "neurofocus.workflows"):
        score_model(model_of(*numbers), data_of(ROWS, classes=numbers, root=clips))
    assert not [line for line in caplog.messages if "does not name its classes" in line]


def test_names_may_differ_in_case_and_signs(clips: Path) -> None:
    data = data_of(ROWS, classes=("Bowling", "[archery]", "zumba"), root=clips)
    assert score_model(model_of(*NAMES), data).metrics["n_videos"] == 2


def test_splits(clips: Path) -> None:
    data = data_of(ROWS, classes=NAMES, root=clips)
    assert score_model(model_of(*NAMES), data).metrics["split"] == "validation"
    assert score_model(model_of(*NAMES), data, split="train").metrics["n_videos"] == 2
    with pytest.raises(ConfigError, match="--split 'val': accepted are train, validation, test"):
        score_model(model_of(*NAMES), data, split="val")
    three = score_model(model_of(*NAMES), data, crops=3)
    assert three.logits.shape[1] == 3
