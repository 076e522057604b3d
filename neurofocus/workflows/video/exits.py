"""Exit thresholds of a video model: solved on clips that are not scored, kept in a bundle or in a file."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from neurofocus.data.seeds import derive_seed
from neurofocus.early_exit.plan import solve_plan
from neurofocus.errors import ConfigError
from neurofocus.evaluation.calibration import wilson_interval
from neurofocus.evaluation.video.metrics import top_k_hits
from neurofocus.files import write_json
from neurofocus.model.build import Model
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.base import Settings
from neurofocus.schema.early_exit import ExitPlan, ExitRule
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.exits import ladder_of
from neurofocus.workflows.video.answers import answer_videos
from neurofocus.workflows.video.source import VideoData

__all__ = [
    "ClipExits",
    "exits_after_training",
    "for_crops",
    "read_exits",
    "solve_exits",
    "write_exits",
]

# A threshold between two of a few thousand clips follows chance no more; all logits of more clips need gigabytes.
_MOST_CLIPS = 5000


class ClipExits(Settings):
    """Thresholds of a video model.

    Attributes:
        plan: its costs are those of one crop.
        split: that it was solved on, which can then not be scored with it.
        solved_on: which clips of it, in words.
        num_clips: how many they are; none: not known, of older files, or the model had learned on them.
    """

    plan: ExitPlan
    split: str
    solved_on: str
    num_clips: int | None = None

    def expected(self, rule: ExitRule) -> dict[str, Any]:
        """Return a rule's mean cost, and its top-1 on the clips it was solved on, with Wilson's 95 % interval.

        The interval is of drawing clips; that thresholds were chosen on the same ones makes the value a little better. Of
        clips that the model had learned on there is none: it would promise what nobody saw.
        """
        interval = None if self.num_clips is None else list(wilson_interval(rule.accuracy, self.num_clips))
        return {"gflops": rule.gflops, "top1": rule.accuracy, "top1_interval": interval}


class _ExitsFile(ClipExits):
    """Thresholds apart from their model, which they name."""

    format: Literal["neurofocus-exits"] = "neurofocus-exits"
    weights_sha256: str


def solve_exits(
    model: Model, data: VideoData, clips: pd.DataFrame, config: RunConfig, *, kind: str, learned: bool = False
) -> ClipExits | None:
    """Solve thresholds on clips as they are at test time: no augmentation, one crop.

    An answer is worth 1 if it is one of the clip's classes. Of very many clips a seeded part is taken.

    Args:
        model: on its device.
        data: the data set.
        clips: some labelled clips of one split; never of the one that is scored.
        config: of the model; ``exit`` says how to solve.
        kind: what these clips are, for a person.
        learned: whether the model has learned on them.

    Returns:
        None where the model has one exit only.

    Raises:
        VideoError: a clip cannot be read.
        NeurofocusError: the model's answers are not finite.
    """
    if not isinstance(model, UniAdaFocus):
        return None
    ladder = ladder_of(model, config.exit.every)
    if len(ladder.steps) == 1:
        return None
    chosen = _part(clips, config.seed)
    once = config.model_copy(update={"video": config.video.model_copy(update={"test_crops": 1})})
    scores = answer_videos(model, data, chosen, once, kind=kind, order=config.exit.order).scores
    hits = [top_k_hits(scores.targets, scores.probabilities[:, step], 1) for step in range(scores.num_steps)]
    plan = solve_plan(scores.probabilities, np.stack(hits, axis=1).astype(float), ladder, config.exit)
    number = f"{len(chosen)}" if len(chosen) == len(clips) else f"{len(chosen)} of {len(clips)}"
    split = str(clips["split"].iloc[0])
    known = None if learned else len(chosen)
    return ClipExits(plan=plan, split=split, solved_on=f"{number} {kind}", num_clips=known)


def exits_after_training(model: Model, data: VideoData, config: RunConfig) -> ClipExits | None:
    """Solve thresholds on the clips that choose the epoch; where there are none, on training clips as the paper does.

    Args:
        model: with the weights to keep, on its device.
        data: the data set.
        config: of the run.
    """
    training, held = data.hold_out(config.video.validation_fraction, config.seed)
    if held is None:
        kind = "training clips without augmentation; the model has learned on them, so expect less of others"
        return solve_exits(model, data, training, config, kind=kind, learned=True)
    own = (held["split"] == "validation").all()
    kind = "clips of the validation split" if own else "training clips that were held out"
    return solve_exits(model, data, held, config, kind=kind)


def for_crops(exits: ClipExits, crops: int) -> ClipExits:
    """Return the same thresholds where each clip is seen in several crops: the costs multiply.

    What they give is still expected as for one crop; answers averaged over crops are a little better.
    """
    ladder, rules = exits.plan.ladder, exits.plan.rules
    plan = exits.plan.model_copy(
        update={
            "ladder": ladder.model_copy(update={"gflops": tuple(crops * cost for cost in ladder.gflops)}),
            "rules": tuple(rule.model_copy(update={"gflops": crops * rule.gflops}) for rule in rules),
        }
    )
    return exits.model_copy(update={"plan": plan})


def write_exits(path: Path, exits: ClipExits, model: Model) -> None:
    """Write thresholds to a file of their own, for a model that does not hold them."""
    found = _ExitsFile(**dict(exits), weights_sha256=_digest(model))
    write_json(path, found.model_dump(mode="json"))


def read_exits(path: Path, model: Model) -> ClipExits:
    """Read what ``write_exits`` wrote for this model.

    Raises:
        ConfigError: it cannot be read, or belongs to another model.
    """
    try:
        found = _ExitsFile.model_validate_json(path.read_bytes())
    except OSError:
        raise ConfigError(
            f"--exits {path}: no readable file; give exits.json of 'video evaluate --solve-exits SPLIT'"
        ) from None
    except ValidationError as error:
        raise ConfigError(
            f"--exits {path}: {error.errors()[0]['msg']}; give exits.json of 'video evaluate --solve-exits SPLIT'"
        ) from None
    if found.weights_sha256 != _digest(model):
        raise ConfigError(
            f"--exits {path}: was solved for other weights; solve it for this model ('video evaluate --solve-exits SPLIT')"
        )
    return ClipExits.model_validate(found.model_dump(include=set(ClipExits.model_fields)))


def _part(clips: pd.DataFrame, seed: int) -> pd.DataFrame:
    if len(clips) <= _MOST_CLIPS:
        return clips
    order = np.random.default_rng(derive_seed("exit clips", seed)).permutation(len(clips))
    return clips.iloc[np.sort(order[:_MOST_CLIPS])]


def _digest(model: Model) -> str:
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
