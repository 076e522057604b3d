"""One clip: the document, its files, where a box lies in the stored frame, and clips that cannot be read."""

import json
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
from data.video.clips import decoded, picture, write_audio, write_folder, write_video
from PIL import Image
from torch import Tensor, nn
from workflows.video.exit_models import CLASSES, model_of, settings_of
from workflows.video.tiny_video import SMALL, small_config

from neurofocus.errors import BundleError, ConfigError, VideoError
from neurofocus.model.build import Model, build_model
from neurofocus.model.cost import measure_cost
from neurofocus.model.outputs import ModelOutput
from neurofocus.schema.early_exit import ExitLadder, ExitPlan, ExitRule
from neurofocus.schema.load import load_run_config
from neurofocus.workflows.runtime import load_for_prediction
from neurofocus.workflows.video import predict as module
from neurofocus.workflows.video.bundle import VideoModel, load_video_model
from neurofocus.workflows.video.exits import ClipExits
from neurofocus.workflows.video.predict import clip_stem, predict_clip
from neurofocus.workflows.video.train import VideoRun

CPU = torch.device("cpu")


class Fixed(nn.Module):
    """Answers the same whatever it sees: frames 1 and 4 of six, one box each."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))
        self.seen: tuple[int, ...] = ()

    def forward(self, frames: Tensor) -> ModelOutput:
        self.seen = tuple(frames.shape)
        return ModelOutput(
            logits=torch.tensor([[[0.0, 0.0, 9.0], [1.0, 3.0, 2.0]]]),
            boxes=torch.tensor([[[10.0, 20.0, 8.0, 12.0], [16.0, 16.0, 32.0, 32.0]]]),
            frame_weights=torch.tensor([[0.5, 0.2, 0.3]]),
            frame_indices=torch.tensor([[1, 4]]),
        )


def fixed(*, synthetic: bool = False) -> VideoModel:
    config = small_config("model.num_classes=3", "video.test_crops=3")
    model = cast(Model, Fixed())
    return VideoModel(model, config, ("cat", "dog", "eel"), {"name": "by hand"}, synthetic)


@pytest.fixture(scope="module")
def bundle(run: VideoRun) -> VideoModel:
    return load_video_model(run.out / "bundle", CPU)


def test_the_document(tmp_path: Path) -> None:
    """36 frames of 48 x 64 are read as 36 x 48, of which 32 x 32 from row 2 and column 8 are seen."""
    path = write_video(tmp_path / "a clip (1).mp4", frames=36)
    video = fixed()
    found = predict_clip(path, video, out=tmp_path / "out", top=2)
    assert cast(Fixed, video.model).seen == (1, 6, 3, 32, 32)  # one crop, whatever the configuration says
    document = found.document
    probabilities = np.exp([1.0, 3.0, 2.0]) / np.exp([1.0, 3.0, 2.0]).sum()
    assert [entry["class"] for entry in document["top"]] == ["dog", "eel"]
    np.testing.assert_allclose([entry["probability"] for entry in document["top"]], probabilities[[1, 2]])
    # The middle frames of six parts are 3, 9, 15, 21, 27, 33; those of pairs, which are glanced at: 9, 21, 33.
    assert [entry["frame"] for entry in document["frames"]] == [9, 27]
    assert [entry["seconds"] for entry in document["frames"]] == [0.36, 1.08]
    assert [entry["frame"] for entry in document["glance"]] == [9, 21, 33]
    np.testing.assert_allclose([entry["weight"] for entry in document["glance"]], [0.5, 0.2, 0.3], atol=1e-7)
    # x: (10 - 6 + 8) / 48 of 64 is 16; y: (20 - 4 + 2) / 36 of 48 is 24; and so on.
    assert document["frames"][0]["box_left_top_right_bottom"] == [16.0, 24.0, 32.0, 34.67]
    assert document["frames"][1]["box_left_top_right_bottom"] == [10.67, 2.67, 53.33, 45.33]
    assert (document["frame_size"], document["num_frames"], document["corrupt_frames"]) == ([48, 64], 36, 0)
    assert document["warnings"] == []
    assert document["model"]["name"] == "by hand"
    assert document["gflops"] == measure_cost(video.config.model).gflops
    assert json.loads(found.files["prediction"].read_text(encoding="utf-8")) == document
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a_clip_1__prediction.json",
        "a_clip_1__focus.mp4",
        "a_clip_1__focus.png",
    }


def test_a_box_of_a_portrait_clip(tmp_path: Path) -> None:
    """64 x 48 stored, 48 x 36 read, seen from row 8 and column 2."""
    path = write_video(tmp_path / "tall.mp4", size=(64, 48))
    document = predict_clip(path, fixed(), out=None).document
    assert document["frame_size"] == [64, 48]
    # x: (10 - 6 + 2) / 36 of 48 is 8; y: (20 - 4 + 8) / 48 of 64 is 32; right (16 + 2) / 36; bottom (24 + 8) / 48.
    assert document["frames"][0]["box_left_top_right_bottom"] == [8.0, 32.0, 24.0, 42.67]


def test_a_box_of_a_rotated_clip(tmp_path: Path) -> None:
    """Stored lying, meant to be seen standing: coordinates are those of the frame as seen."""
    path = write_video(tmp_path / "turned.mp4", size=(48, 64), rotation=90)
    document = predict_clip(path, fixed(), out=tmp_path).document
    assert document["frame_size"] == [64, 48]
    assert document["frames"][0]["box_left_top_right_bottom"] == [8.0, 32.0, 24.0, 42.67]
    shown = decoded(tmp_path / "turned_focus.mp4")[0]
    assert shown.shape[0] > shown.shape[1]


def test_files_of_a_real_model(bundle: VideoModel, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=30)
    found = predict_clip(path, bundle, out=tmp_path / "out")
    assert sum(entry["probability"] for entry in found.document["top"]) == pytest.approx(1)
    assert len(found.document["frames"]) == bundle.config.model.num_focus_frames
    with av.open(str(found.files["movie"])) as container:
        assert container.streams.video[0].frames >= 30
    with Image.open(found.files["sheet"]) as image:
        assert image.width == 2400
    lines = found.summary_lines()
    assert lines[0].startswith("clip: ")
    assert lines[0].endswith(f"({found.document['gflops']:.4g} GFLOPs)")
    assert [line.split()[0] for line in lines[1:]] == ["prediction", "movie", "sheet"]
    again = predict_clip(path, bundle, out=None)
    assert again.document == found.document
    assert again.files == {}


@pytest.mark.parametrize(
    "changes",
    [
        ("streams=separate", "num_glance_frames=4"),
        ("kind=tsm_plus", "classifier.kind=average", "num_frames=4", "num_glance_frames=4"),
    ],
)
def test_other_models(tmp_path: Path, changes: tuple[str, ...]) -> None:
    config = load_run_config("video", [*SMALL, *(f"model.{change}" for change in changes)])
    video = VideoModel(build_model(config.model), config, (), {"name": "other"})
    found = predict_clip(write_video(tmp_path / "clip.mp4"), video, out=tmp_path)
    assert {entry["class"] for entry in found.document["top"]} == {"class 0", "class 1"}
    assert len(found.document["glance"]) == 4
    # Thirty frames in four parts of 7.5: the middle ones.
    assert [entry["frame"] for entry in found.document["glance"]] == [3, 11, 18, 26]


def test_a_clip_of_fewer_frames_than_are_wanted(bundle: VideoModel, tmp_path: Path) -> None:
    found = predict_clip(write_video(tmp_path / "short.mp4", frames=2), bundle, out=tmp_path)
    assert found.document["num_frames"] == 2
    assert {entry["frame"] for entry in found.document["frames"]} <= {0, 1}
    assert all(path.exists() for path in found.files.values())


def test_a_folder_of_frames(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "my.frames", "img_%05d.jpg", [*range(1, 20), *range(25, 42)])
    found = predict_clip(path, fixed(), out=tmp_path / "out")
    assert found.document["clip"] == "my.frames"
    assert [entry["seconds"] for entry in found.document["frames"]] == [None, None]
    assert [entry["frame"] for entry in found.document["frames"]] == [9, 27]
    assert "5 of the numbers 1 to 41 are missing" in found.document["warnings"][0]
    assert found.files["movie"].exists()


def test_simulated_training_is_said_everywhere(tmp_path: Path) -> None:
    found = predict_clip(write_video(tmp_path / "clip.mp4"), fixed(synthetic=True), out=tmp_path)
    assert found.document["synthetic"] is True
    assert found.document["warnings"] == ["SYNTHETIC: the model was trained on simulated videos"]
    assert any("SYNTHETIC" in line for line in found.summary_lines())
    with av.open(str(found.files["movie"])) as container:
        assert "SYNTHETIC" in container.metadata["title"]


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4", frames=60, mux={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = predict_clip(path, fixed(), out=tmp_path / "out")
    assert found.document["num_frames"] < 60
    assert "the file is cut off" in " ".join(found.document["warnings"])
    with pytest.raises(VideoError, match="cut off"):
        predict_clip(path, fixed(), out=tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_damage_is_counted_also_where_only_the_movie_meets_it(tmp_path: Path) -> None:
    """The model sees frames 10, 30, ... 110; a packet of frames 95 to 99 is damaged, which start at a key frame."""
    path = tmp_path / "damaged.mp4"
    images = [np.random.default_rng(number).integers(0, 255, (96, 128, 3), np.uint8) for number in range(120)]
    write_video(path, images=images, size=(96, 128), gop=5)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    start, size = content.find(bytes(packets[97])), packets[97].size
    content[start + size // 3 : start + size // 2] = bytes(size // 2 - size // 3)
    path.write_bytes(bytes(content))
    assert predict_clip(path, fixed(), out=None).document["corrupt_frames"] == 0
    found = predict_clip(path, fixed(), out=tmp_path / "out")
    assert found.document["corrupt_frames"] > 0
    assert "damaged frames met" in found.document["warnings"][-1]
    assert json.loads(found.files["prediction"].read_text(encoding="utf-8")) == found.document


def test_the_movie_is_without_frames_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "clip", "img_%05d.jpg", range(36))
    for number in (5, 6):
        (path / f"img_{number:05d}.jpg").write_bytes(b"no picture")
    found = predict_clip(path, fixed(), out=tmp_path / "out")
    assert found.document["corrupt_frames"] == 2
    assert found.document["warnings"] == [
        "2 damaged pictures met so far, the first is img_00005.jpg",
        "2 frames cannot be decoded; the answer did not need them, the movie is without them",
    ]
    whole = predict_clip(write_folder(tmp_path / "whole", "img_%05d.jpg", range(36)), fixed(), out=tmp_path)
    assert len(decoded(whole.files["movie"])) - len(decoded(found.files["movie"])) == 2
    with pytest.raises(VideoError, match=r"img_00005\.jpg: frame 5 of clip"):
        predict_clip(path, fixed(), out=tmp_path / "out", strict=True)
    assert not list((tmp_path / "out").iterdir())
    (path / "img_00009.jpg").write_bytes(b"")  # the model looks at it
    with pytest.raises(VideoError, match=r"img_00009\.jpg: frame 9 of clip"):
        predict_clip(path, fixed(), out=tmp_path / "out")


def test_clips_that_cannot_be_read(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    write_audio(tmp_path / "sound.mp4")
    (tmp_path / "folder").mkdir()
    for name in ("empty.mp4", "sound.mp4", "folder", "absent.mp4"):
        with pytest.raises(VideoError, match=rf"^{name}: .*; ") as caught:
            predict_clip(tmp_path / name, fixed(), out=tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_no_stale_prediction_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mp4")
    files = predict_clip(path, fixed(), out=tmp_path / "out").files

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_clip_sheet", fails)
    with pytest.raises(KeyboardInterrupt):
        predict_clip(path, fixed(), out=tmp_path / "out")
    assert not any(path.exists() for path in files.values())


def test_bundles_of_scans_and_of_videos_are_told_apart(run: VideoRun, tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match="is a bundle for scans; use 'neurofocus predict'"):
        load_video_model(tiny_bundle, CPU)
    with pytest.raises(
        BundleError, match=r"is a bundle for videos \(folder\); use 'neurofocus video predict'"
    ):
        load_for_prediction(run.out / "bundle", "cpu")


@pytest.mark.parametrize(
    ("name", "stem"), [("a b.mp4", "a_b"), ("v_1.x.webm", "v_1.x"), ("ÄÖ-1.mp4", "ÄÖ-1")]
)
def test_stems(tmp_path: Path, name: str, stem: str) -> None:
    assert clip_stem(tmp_path / name) == stem


def test_pictures_are_of_the_clip(tmp_path: Path) -> None:
    """The movie's first frame, darkened nowhere, is the clip's."""
    path = write_video(tmp_path / "clip.mp4", images=[picture(7) for _ in range(30)])
    found = predict_clip(path, fixed(), out=tmp_path)
    shown = decoded(found.files["movie"])[0]
    assert shown.shape == (360 + 64, 480, 3)
    for bit in range(8):
        x = (2 * bit + 1) * 480 // 16
        assert (shown[90, x].mean() > 128) == bool(7 >> bit & 1)


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory) -> VideoModel:
    """A model of three focus frames by weight, with thresholds at which nobody, or everybody, stops."""
    config = settings_of("frames by weight")
    model = model_of(config)
    costs = measure_cost(config.model).exit_gflops[2:]
    never, always = (-1.0,) * 3, (9.0,) * 3
    plan = ExitPlan(
        criterion="entropy",
        order="weight",
        ladder=ExitLadder(steps=(2, 3, 4, 5), gflops=costs),
        rules=(
            ExitRule(thresholds=never, gflops=costs[3], accuracy=0.75),
            ExitRule(thresholds=(-1.0, 9.0, 9.0), gflops=costs[1], accuracy=0.5),
            ExitRule(thresholds=always, gflops=costs[0], accuracy=0.25),
        ),
    )
    return VideoModel(
        model,
        config,
        CLASSES,
        {"name": "stops"},
        exits=ClipExits(plan=plan, split="validation", solved_on="400 clips", num_clips=400),
    )


def test_a_budget_for_everything_is_no_budget(stopping: VideoModel, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    whole = predict_clip(path, stopping, out=None, top=7).document
    found = predict_clip(path, stopping, out=None, top=7, budget=9.0).document
    stop = found.pop("exits")
    assert (stop["exit_step"], stop["last_step"], stop["focus_frames"]) == (6, 6, 3)
    assert (stop["budget"], stop["gflops_spent"]) == (9.0, whole["gflops"])
    assert stop["expected"] == {
        "gflops": pytest.approx(whole["gflops"]),
        "top1": 0.75,
        "top1_interval": pytest.approx([0.7054, 0.7900], abs=1e-4),
        "from": "400 clips",
    }
    for key in ("top", "frames", "glance"):
        for one, other in zip(whole.pop(key), found.pop(key), strict=True):
            assert one == {
                name: pytest.approx(value, abs=1e-2 if isinstance(value, list) else 1e-6)
                if not isinstance(value, str)
                else value
                for name, value in other.items()
            }
    assert found == whole


def test_a_clip_that_stops_after_one_frame(stopping: VideoModel, tmp_path: Path) -> None:
    """Of the three focus frames the heaviest is looked at; the answer is the model's after it."""
    path = write_video(tmp_path / "clip.mp4", frames=36)
    costs = measure_cost(stopping.config.model).exit_gflops
    whole = predict_clip(path, stopping, out=None).document
    found = predict_clip(path, stopping, out=tmp_path / "out", budget=costs[3], top=1)
    document = found.document
    assert document["gflops"] == pytest.approx(costs[3])
    assert (document["exits"]["exit_step"], document["exits"]["focus_frames"]) == (4, 1)
    (frame,) = document["frames"]
    weights = {entry["frame"]: entry["weight"] for entry in whole["glance"]}
    nearest = {
        entry["frame"]: weights[min(weights, key=lambda number: abs(number - entry["frame"]))]
        for entry in whole["frames"]
    }
    assert frame["frame"] == max(nearest, key=lambda number: (nearest[number], -number))
    assert frame in whole["frames"]
    (line, *_) = found.summary_lines()
    assert line.endswith(
        f"({costs[3]:.4g} GFLOPs of {costs[5]:.4g}, after 1 focus frame; expected accuracy 0.500 (95 % interval 0.451 to 0.549) at "
        f"{costs[3]:.4g} GFLOPs, by 400 clips)"
    )
    assert all(file.exists() for file in found.files.values())


def test_a_glance_that_is_enough(stopping: VideoModel, tmp_path: Path) -> None:
    """No frame is looked at closely nor weighed; the pictures show what was glanced at."""
    path = write_video(tmp_path / "clip.mp4", frames=36)
    costs = measure_cost(stopping.config.model).exit_gflops
    found = predict_clip(path, stopping, out=tmp_path / "out", budget=costs[2])
    document = found.document
    assert document["gflops"] == pytest.approx(costs[2])
    assert document["exits"]["expected"]["top1"] == 0.25
    assert (document["exits"]["exit_step"], document["frames"]) == (3, [])
    assert document["glance"] == [{"frame": number, "weight": None} for number in (9, 21, 33)]
    assert "after the glance" in found.summary_lines()[0]
    movie = decoded(found.files["movie"])
    assert len(movie) == 36  # no frame is held
    with Image.open(found.files["sheet"]) as image:
        assert image.width == 2400
    assert json.loads(found.files["prediction"].read_text(encoding="utf-8")) == document


def test_budgets_that_cannot_be_kept(stopping: VideoModel, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    with pytest.raises(ConfigError, match=r"--budget 1e-06: below the cheapest exit; give "):
        predict_clip(path, stopping, out=tmp_path / "out", budget=1e-6)
    with pytest.raises(ConfigError, match="--budget: by hand holds no exit thresholds"):
        predict_clip(path, fixed(), out=tmp_path / "out", budget=1.0)
    assert not (tmp_path / "out").exists()
