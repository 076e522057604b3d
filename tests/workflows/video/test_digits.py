"""The embedded digits: made at the first use, encoders learn on stills, the policy is compared with the truth."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from neurofocus.errors import ConfigError
from neurofocus.model.build import build_model
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.digits.recipe import DigitsConfig
from neurofocus.simulate.digits.truth import read_truth
from neurofocus.training.inference import CaseOutputs
from neurofocus.workflows.video import digits as module
from neurofocus.workflows.video.digits import evidence_found, pretrain_on_stills
from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import fitted, train_videos

SHORT = ("train.epochs=1", "pretrain.epochs=1", "train.tensorboard=false")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoData]:
    """Twenty videos a part, in a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROFOCUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        small = DigitsConfig(train=20, validation=20, test=20, stills=20)
        patch.setattr(module, "DigitsConfig", lambda: small)
        yield find_videos("digits", None)


def config(few: VideoData, *overrides: str) -> RunConfig:
    return fitted(load_run_config("digits", [*SHORT, *overrides]), few)


def test_three_splits_and_no_stills(few: VideoData) -> None:
    assert few.synthetic and few.scored_split == "test"
    assert few.table.clips["split"].value_counts().to_dict() == {"train": 20, "validation": 20, "test": 20}
    assert few.classes == tuple("0123456789")
    assert set(few.left_out.values()) == {0}
    assert find_videos("digits", few.root).digest() == few.digest()


def test_a_run_says_synthetic_and_what_the_policy_found(few: VideoData, tmp_path: Path) -> None:
    run = train_videos(config(few), few, tmp_path / "run", device=torch.device("cpu"))
    metrics = run.evaluation.metrics
    assert metrics["synthetic"] and metrics["split"] == "test" and metrics["n_videos"] == 20
    assert set(metrics["evidence"]) == {"frame_hits", "coverage"}
    assert all(0 <= value <= 1 for value in metrics["evidence"].values())
    again = train_videos(config(few), few, tmp_path / "run", device=torch.device("cpu"))
    assert again.evaluation.metrics == metrics


def test_stills_teach_the_encoders_and_not_the_policy(few: VideoData) -> None:
    settings = config(few)
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(build_model(settings.model))
        pretrain_on_stills(models[-1], few.root, settings)
    torch.manual_seed(0)
    fresh = build_model(settings.model).state_dict()
    taught, again = (model.state_dict() for model in models)
    assert all(torch.equal(value, again[name]) for name, value in taught.items())
    changed = {name.split(".")[0] for name, value in taught.items() if not torch.equal(value, fresh[name])}
    assert changed == {"global_encoder", "global_head", "local_encoder", "local_head", "policy_head"}


def test_a_policy_that_knows_the_truth(few: VideoData) -> None:
    truth = read_truth(few.root, "test")
    names = [str(Path(path).with_suffix("")) for path in truth.paths]
    boxes = torch.from_numpy(truth.boxes)
    first = truth.present.argsort(axis=1, kind="stable")[:, -2:]  # two frames that show the digit
    shown = torch.from_numpy(first).sort(1).values
    right = boxes.gather(1, shown[..., None].expand(-1, -1, 4))
    nothing = torch.zeros(0)
    found = evidence_found(few.root, "test", CaseOutputs(nothing, right, nothing, shown), names)
    assert found == {"frame_hits": 1.0, "coverage": pytest.approx(1.0)}
    beside = right + torch.tensor([1000.0, 0, 0, 0])
    order = list(range(len(names)))[::-1]
    turned = CaseOutputs(nothing, beside[order], nothing, shown[order])
    assert evidence_found(few.root, "test", turned, [names[row] for row in order]) == {
        "frame_hits": 1.0,
        "coverage": 0.0,
    }


def test_what_cannot_learn_on_stills(few: VideoData) -> None:
    with pytest.raises(ConfigError, match=r"stills are 96 pixels wide, model\.frame_size is 64"):
        settings = config(few, "model.frame_size=64", "video.short_side=64")
        pretrain_on_stills(build_model(settings.model), few.root, settings)
    without = config(few).model_copy(update={"pretrain": None})
    torch.manual_seed(0)
    model = build_model(without.model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pretrain_on_stills(model, few.root, without)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
