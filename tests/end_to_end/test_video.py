"""Every video data set in miniature, from its official lists: checked, trained for an epoch and evaluated.

The models are the shipped configurations with fewer and smaller frames and thinner encoders.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from end_to_end.video_miniatures import MINIATURES, Media, put_miniature

from neurofocus.schema.bundle import BundleManifest
from neurofocus.tables import read_tsv

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]

_SMALL = (
    "threads=1",
    "model.frame_size=64",
    "model.patch_size=32",
    "model.num_frames=6",
    "model.num_glance_frames=3",
    "model.num_focus_frames=2",
    "model.global_encoder.width=0.25",
    "model.local_encoder.width=0.25",
    "model.spatial_policy.channels=8",
    "model.temporal_policy.channels=8",
    "model.classifier.hidden=16",
    "train.epochs=1",
    "train.batch_size=2",
    "train.tensorboard=false",
    "train.objective.num_mc_samples=8",
)
_FRAME_MODEL = ("model.local_encoder.name=resnet18",)
_X3D = ("model.glance_size=48", "model.auxiliary_hidden=16")
_OWN = {"kinetics400": _X3D} | dict.fromkeys(
    ("activitynet", "fcvid", "mini-kinetics", "rlvs", "folder"), _FRAME_MODEL
)
_QUICK = [("mini-kinetics", "file"), ("sthv1", "frames")]
_CASES = [
    pytest.param(name, media, marks=() if (name, media) in _QUICK else pytest.mark.slow)
    for name in MINIATURES
    for media in ("file", "frames")
]
_FAMILIES = {"mobilenet_v2+shift": ("sthv1", "sthv2", "jester", "diving48"), "x3d_s": ("kinetics400",)}


@pytest.mark.parametrize(("name", "media"), _CASES)
def test_check_train_and_evaluate(
    command: Command, capsys: Shown, tmp_path: Path, name: str, media: Media
) -> None:
    data, run, again = (tmp_path / part for part in ("data", "run", "again"))
    miniature = put_miniature(name, data, media)
    dataset = name.removesuffix("-lists")
    given = ("--dataset", dataset, "--data", data)

    assert command("video", "check", *given, "--thorough", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert (report["missing"]["count"], report["unreadable"]["count"]) == (0, 0)
    assert report["opened"] == sum(miniature.counts.values())
    assert report["frames"]["count"] == 0
    assert {split: counts["clips"] for split, counts in report["splits"].items()} == miniature.counts
    assert {s for s, counts in report["splits"].items() if counts["labelled"]} == set(miniature.labelled)
    files = sum(counts["files"] for counts in report["splits"].values())
    assert files == (report["opened"] if media == "file" else 0)

    changes = [word for change in (*_SMALL, *_OWN.get(dataset, ())) for word in ("--set", change)]
    arguments = (*given, "--out", run, *changes, "--device", "cpu")
    assert command("video", "train", *arguments) == 0
    capsys.readouterr()
    manifest = BundleManifest.model_validate_json((run / "bundle/bundle.json").read_text(encoding="utf-8"))
    encoder = manifest.config.model.global_encoder
    family = encoder.name + ("+shift" if encoder.temporal_shift else "")
    assert family == next((key for key, names in _FAMILIES.items() if dataset in names), "mobilenet_v2")
    assert manifest.config.model.num_classes == len(manifest.classes) == miniature.classes
    assert len(read_tsv(run / "history.tsv")) == 1
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["split"] == miniature.labelled[-1]
    assert metrics["n_videos"] == miniature.counts[metrics["split"]]
    assert not any(metrics["left_out"].values())

    model = ("--model", run / "bundle", "--out", again, "--device", "cpu")
    assert command("video", "evaluate", *given, *model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean_box_side"] == pytest.approx(metrics["mean_box_side"], rel=1e-4)
    # Not the measures: of two or three clips, rounding turns near-ties over. And a training is no model.
    rounded = {"mean_box_side", "steps", "pooled", "exits", "model"}
    assert {key: found[key] for key in found.keys() - rounded} == {
        key: metrics[key] for key in metrics.keys() - rounded
    }
    kind = "clips of the validation split" if "test" in miniature.labelled[2:] else "training clips without"
    assert kind in found["exits"]["solved_on"] == metrics["exits"]["solved_on"]
    assert [step["gflops"] for step in found["steps"]] == [step["gflops"] for step in metrics["steps"]]
    before, after = (np.load(folder / "logits.npz") for folder in (run, again))
    # Batches and arithmetic are the same, the number of threads need not be.
    np.testing.assert_allclose(before["logits"], after["logits"], atol=1e-5)
    assert before["clip_id"].tolist() == after["clip_id"].tolist()
