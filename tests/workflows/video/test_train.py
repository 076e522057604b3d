"""A training on videos: what it leaves, that it continues with the same bytes, who chooses, and what it refuses."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from sklearn.metrics import average_precision_score
from workflows.video.tiny_video import SMALL, data_of, small_config, write_small

from neurofocus.errors import ConfigError, NeurofocusError, VideoError
from neurofocus.files import sha256_file
from neurofocus.schema.bundle import BundleManifest
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.training import engine
from neurofocus.training.checkpoint import read_checkpoint
from neurofocus.workflows.video import train as module
from neurofocus.workflows.video.bundle import load_video_model
from neurofocus.workflows.video.score import score_model
from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import VideoRun, fitted, train_videos

CPU = torch.device("cpu")
SAME = (
    "history.tsv",
    "predictions.tsv",
    "logits.npz",
    "metrics.json",
    "curve.csv",
    "curve.png",
    "bundle/fold-1.safetensors",
)
ONE_EPOCH = "train.epochs=1"


def digests(out: Path) -> dict[str, str]:
    return {name: sha256_file(out / name) for name in SAME}


def train(config: RunConfig, data: VideoData, out: Path, *, fresh: bool = False) -> VideoRun:
    return train_videos(fitted(config, data), data, out, fresh=fresh, device=CPU)


@pytest.fixture
def copy(tmp_path: Path, run: VideoRun) -> Path:
    """A run folder that a test may change."""
    return Path(shutil.copytree(run.out, tmp_path / "copy"))


def test_what_a_run_leaves(run: VideoRun, data: VideoData) -> None:
    names = {path.relative_to(run.out).as_posix() for path in run.out.rglob("*") if path.is_file()}
    assert names - {".lock"} == {*SAME, "run.json", "last.safetensors", "bundle/bundle.json"}
    history = read_tsv(run.out / "history.tsv", integers=["epoch"])
    assert history["epoch"].tolist() == [1, 2]
    assert {"loss_total", "loss_size", "policy_box_size", "policy_weight_entropy"} <= set(history.columns)
    assert run.files.keys() == {"predictions", "logits", "curve table", "curve", "metrics", "bundle"}
    assert all(path.exists() for path in run.files.values())
    metrics = json.loads((run.out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == run.evaluation.metrics
    assert (metrics["dataset"], metrics["split"], metrics["n_videos"]) == ("folder", "test", 2)
    assert (metrics["judged_by"], metrics["loss_profile"], metrics["list_format"]) == (
        "top1",
        "paper",
        "folders",
    )
    assert metrics["classes"] == ["cat", "dog"]
    table = read_tsv(run.out / "predictions.tsv", numbers=["probability", "gflops"])
    assert table["clip_id"].tolist() == ["test/cat/1", "test/dog/1"]
    assert table["labels"].tolist() == ["cat", "dog"]


def test_the_bundle_gives_the_same_predictions(run: VideoRun, data: VideoData) -> None:
    manifest = BundleManifest.model_validate_json(
        (run.out / "bundle/bundle.json").read_text(encoding="utf-8")
    )
    assert (manifest.name, manifest.classes, manifest.synthetic) == ("folder", ("cat", "dog"), False)
    assert manifest.config.dataset == "folder"
    assert manifest.metrics["pooled"] == run.evaluation.metrics["pooled"]
    assert manifest.provenance["clips_sha256"] == data.digest()
    with torch.random.fork_rng():
        torch.manual_seed(123)  # of no influence
        found = score_model(load_video_model(run.out / "bundle", CPU), data)
    np.testing.assert_allclose(found.logits, run.evaluation.logits, atol=1e-6)
    pd.testing.assert_frame_equal(found.predictions, run.evaluation.predictions)


def test_an_interrupted_run_ends_with_the_same_bytes(
    tmp_path: Path, run: VideoRun, data: VideoData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(engine.EpochProgress):
        def report(self, *given: Any, **named: Any) -> None:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(engine, "EpochProgress", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(small_config(), data, out)
    assert not (out / "predictions.tsv").exists()
    assert len(read_checkpoint(out / "last.safetensors")[1]["history"]) == 1
    train(small_config(), data, out)
    assert digests(out) == digests(run.out)
    assert sha256_file(out / "last.safetensors") == sha256_file(run.out / "last.safetensors")


def test_a_finished_run_is_read_and_mended(copy: Path, run: VideoRun, data: VideoData) -> None:
    (copy / "logits.npz").unlink()
    (copy / "bundle/bundle.json").write_text("{")
    before = (copy / "last.safetensors").stat().st_mtime_ns
    again = train(small_config(), data, copy)
    assert digests(copy) == digests(run.out)
    assert (copy / "last.safetensors").stat().st_mtime_ns == before
    assert sha256_file(copy / "bundle/bundle.json") == sha256_file(run.out / "bundle/bundle.json")
    assert again.evaluation.metrics == run.evaluation.metrics


def test_another_number_of_threads_changes_no_byte(copy: Path, run: VideoRun, data: VideoData) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(small_config(), data, copy)
    finally:
        torch.set_num_threads(before)
    assert digests(copy) == digests(run.out)


@pytest.mark.parametrize(
    "change", ["train.epochs=3", "video.flip=none", "model.num_focus_frames=3", "seed=1"]
)
def test_changed_settings_are_refused(copy: Path, data: VideoData, change: str) -> None:
    name = change.split("=")[0]
    with pytest.raises(ConfigError, match=rf"started with other settings \({name} was .*--fresh"):
        train(small_config(change), data, copy)


def test_other_clips_are_refused(copy: Path, data: VideoData) -> None:
    fewer = replace(data.table, clips=data.table.clips.iloc[1:])
    with pytest.raises(ConfigError, match=r"last\.safetensors: was started with other clips; .*--fresh"):
        train(small_config(), replace(data, table=fewer), copy)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_breaks_in_the_middle_ends_it_in_a_line_and_it_goes_on_without_it(
    clips_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    workers: int,
) -> None:
    root, out = Path(shutil.copytree(clips_root, tmp_path / "clips")), tmp_path / "run"
    bad = root / "train/dog/2.mp4"
    config = small_config(f"data.num_workers={workers}")

    class Breaking(engine.EpochProgress):
        def report(self, *given: Any, **named: Any) -> None:
            bad.write_bytes(b"")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "EpochProgress", Breaking)
        with pytest.raises(VideoError) as caught:
            train(config, find_videos("folder", root), out)
    assert str(caught.value) == (
        "clip 'train/dog/2' cannot be used: 2.mp4: an empty file; copy it again; run 'neurofocus video check --thorough' to "
        "find all such clips, then mend them or name them in a text file and add --exclude FILE: a training goes on after its last epoch"
    )
    exclude = tmp_path / "exclude"
    exclude.write_text("train/dog/2.mp4\n")
    data = find_videos("folder", root, exclude=exclude)
    with caplog.at_level(logging.INFO, "neurofocus"):
        done = train(config, data, out)
    assert "folder: continues with other clips excluded (--exclude) than before" in caplog.messages
    assert "folder: continues after epoch 1" in caplog.messages
    assert len(read_tsv(out / "history.tsv")) == 2
    assert done.evaluation.metrics["left_out"]["train"] == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_clips_that_are_not_whole_are_told_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    rows = [("a", (0,), "train"), ("b", (1,), "train"), ("c", (1,), "train"), ("v", (1,), "validation")]
    for name, _, _ in rows:
        write_small(tmp_path / f"{name}.mp4")
    data = data_of(rows, root=tmp_path)
    clips = data.table.clips.assign(start_frame=0, end_frame=[12, 13, 12, 15])
    data = replace(data, table=replace(data.table, clips=clips))
    with caplog.at_level(logging.WARNING, "neurofocus"):
        done = train(small_config(f"data.num_workers={workers}"), data, tmp_path / "run")
    told = "1 of {} clips are damaged or shorter than listed and are used as far as they are there ({}); "
    assert [message.partition("'neurofocus")[0] for message in caplog.messages] == [
        told.format(3, "b"),
        told.format(1, "v"),
    ]
    assert done.evaluation.metrics["flawed_clips"] == ["v"]


def test_fresh_starts_again(copy: Path, run: VideoRun, data: VideoData) -> None:
    done = train(small_config(ONE_EPOCH), data, copy, fresh=True)
    assert len(read_tsv(done.out / "history.tsv")) == 1
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"--fresh would remove 'notes\.txt'"):
        train(small_config(), data, copy, fresh=True)


def test_a_share_of_the_training_clips_chooses_the_epoch(
    clips_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No test split: validation is scored, a third of the training clips chooses."""
    shutil.copytree(clips_root, tmp_path / "clips", ignore=shutil.ignore_patterns("test"))
    data = find_videos("folder", tmp_path / "clips")
    with caplog.at_level(logging.INFO, "neurofocus"):
        done = train(small_config("video.validation_fraction=0.34", "train.epochs=3"), data, tmp_path / "run")
    assert "6 clips" not in caplog.text
    assert (
        "2 classes, 4 clips to train on, 2 clips choose the epoch, 4 clips of the validation split"
        in caplog.text
    )
    history = read_tsv(done.out / "history.tsv", numbers=["validation_loss", "top1"])
    assert history["top1"].isin([0, 0.5, 1]).all()
    manifest = BundleManifest.model_validate_json(
        (done.out / "bundle/bundle.json").read_text(encoding="utf-8")
    )
    assert manifest.provenance["kept_epoch"] == history["validation_loss"].argmin() + 1
    assert done.evaluation.metrics["split"] == "validation"


def test_without_a_share_the_last_epoch_is_kept(
    clips_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(clips_root, tmp_path / "clips", ignore=shutil.ignore_patterns("test"))
    with caplog.at_level(logging.INFO, "neurofocus"):
        done = train(small_config(), find_videos("folder", tmp_path / "clips"), tmp_path / "run")
    assert (
        "6 clips to train on, the last epoch is kept, 4 clips of the validation split are scored"
        in caplog.text
    )
    assert "top1" not in read_tsv(done.out / "history.tsv").columns
    manifest = BundleManifest.model_validate_json(
        (done.out / "bundle/bundle.json").read_text(encoding="utf-8")
    )
    assert manifest.provenance["kept_epoch"] == 2


def test_the_last_epoch_may_be_kept_though_all_are_measured(
    data: VideoData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "neurofocus"):
        done = train(small_config("train.keep=last"), data, tmp_path / "run")
    assert "the last epoch is kept (4 clips measure every epoch), 2 clips of the test split" in caplog.text
    assert "validation_loss" in read_tsv(done.out / "history.tsv").columns
    manifest = BundleManifest.model_validate_json(
        (done.out / "bundle/bundle.json").read_text(encoding="utf-8")
    )
    assert manifest.provenance["kept_epoch"] == 2


def test_validation_takes_one_crop_and_several_labels(tmp_path: Path) -> None:
    """Three test crops are for the score; the epoch is chosen on the middle one, by mAP too where that is the measure."""
    rows = [
        *((f"t{place}", (place % 2,), "train") for place in range(4)),
        *((f"v{place}", labels, "validation") for place, labels in enumerate([(0,), (0, 1), (1,)])),
        *((f"s{place}", (place % 2,), "test") for place in range(2)),
    ]
    for name, _, _ in rows:
        write_small(tmp_path / f"{name}.mp4")
    data = data_of(rows, root=tmp_path)
    spec = data.spec.model_copy(update={"metric": "map", "multi_label": True})
    data = VideoData(spec, data.table, data.root, data.left_out, data.strict)
    done = train(small_config(ONE_EPOCH, "video.test_crops=3"), data, tmp_path / "run")
    assert done.evaluation.logits.shape == (2, 3, 5, 2)
    assert done.evaluation.metrics["crops"] == 3
    history = read_tsv(done.out / "history.tsv", numbers=["map", "top1"])
    model = load_video_model(done.out / "bundle", CPU)
    found = score_model(model, data, split="validation", crops=1)
    last = torch.tensor(found.logits[:, -1]).double().softmax(-1).numpy()
    targets = np.array([[1, 0], [1, 1], [0, 1]])
    assert history["map"][0] == pytest.approx(average_precision_score(targets, last, average="macro"))
    assert history["top1"][0] == pytest.approx(targets[np.arange(3), last.argmax(1)].mean())


def test_the_configuration_is_fitted_to_the_data(data: VideoData) -> None:
    shipped = load_run_config("activitynet", list(SMALL))
    assert shipped.model.num_classes == 200
    config = fitted(shipped, data)
    assert (config.model.num_classes, config.dataset) == (2, "folder")
    assert config.model_copy(update={"model": shipped.model, "dataset": None}) == shipped


def _mirrored_labels(data: VideoData) -> VideoData:
    spec = data.spec.model_copy(update={"flip": False, "name": "gestures"})
    return VideoData(spec, data.table, data.root, data.left_out, data.strict)


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (
            lambda: load_run_config("demo"),
            lambda data: data,
            r"model\.frame_channels is 1; videos have 3: use a configuration for videos",
        ),
        (
            small_config,
            _mirrored_labels,
            r"video\.flip is horizontal, but labels of gestures tell left from right; add --set video\.flip=none",
        ),
        (
            lambda: small_config("model.num_classes=6", "video.flip=labelmap", "video.flip_labels=[[0,5]]"),
            lambda data: data,
            r"clips: has 2 classes: .*flip_labels names class 5; model\.num_classes is 2",
        ),
        (
            small_config,
            lambda data: data_of([("a", (0,), "train"), ("v", (0,), "validation")], classes=("cat",)),
            r"/none: has 1 classes: model\.num_classes: .*2",
        ),
    ],
)
def test_configurations_that_do_not_fit(
    data: VideoData,
    config: Callable[[], RunConfig],
    change: Callable[[VideoData], VideoData],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        fitted(config(), change(data))


def test_mirrored_labels_may_be_swapped(data: VideoData) -> None:
    swapped = small_config("video.flip=labelmap", "video.flip_labels=[[0,1]]")
    assert fitted(swapped, _mirrored_labels(data)).video.flip == "labelmap"
    assert fitted(small_config("video.flip=none"), _mirrored_labels(data)).video.flip == "none"


def test_one_clip_is_no_training_set(tmp_path: Path) -> None:
    write_small(tmp_path / "a.mp4")
    write_small(tmp_path / "v.mp4")
    data = data_of([("a", (0,), "train"), ("v", (1,), "validation")], root=tmp_path)
    with pytest.raises(VideoError, match="1 clip is there to train on; at least 2 are needed"):
        train(small_config(), data, tmp_path / "run")


def test_a_clip_that_cannot_be_read_ends_the_training_by_name(tmp_path: Path) -> None:
    rows = [("a", (0,), "train"), ("b", (1,), "train"), ("v", (1,), "validation")]
    for name in "av":
        write_small(tmp_path / f"{name}.mp4")
    (tmp_path / "b.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match=r"clip 'b' cannot be used: b\.mp4: .*add --exclude FILE"):
        train(small_config(), data_of(rows, root=tmp_path), tmp_path / "run")


def test_a_run_that_another_process_works_on(
    copy: Path, data: VideoData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    with FileLock(copy / ".lock"), pytest.raises(NeurofocusError, match="another process is working on"):
        train(small_config(), data, copy)
