"""What each kind of dynamic computation brings: table 10 of the paper on the embedded digits (SYNTHETIC).

    python benchmarks/dynamic_computation.py --seeds 0 1 2 --out runs/policies

Four networks a seed: patches or whole frames for the local encoder, learned or uniform focus frames. Each stops videos
by thresholds that were solved on its validation videos, or as many videos at the same steps at random. All are read
off at the same mean costs of the test videos; between two budgets a line is drawn. Mean accuracy over seeds, and the
difference to all three kinds together with a 95 % t interval over seeds. An ordering that does not hold is printed as
such. Trainings that are in the folder are read, those of ``benchmarks/policies.py`` included.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from neurofocus.early_exit.compare import exit_steps
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.workflows.video.answers import answer_videos
from neurofocus.workflows.video.bundle import VideoModel, load_video_model
from neurofocus.workflows.video.exit_curve import exit_shares
from neurofocus.workflows.video.exits import solve_exits
from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import fitted, train_videos

WHOLE_FRAMES = ["model.patch_size=96", "model.patches.deformable=false"]
UNIFORM = ["model.temporal_policy.dynamic=false"]
# (spatial, temporal) -> the training's folder after the seed's, and its settings
NETWORKS: dict[tuple[bool, bool], tuple[str, list[str]]] = {
    (True, True): ("", []),
    (True, False): ("-off-5", UNIFORM),
    (False, True): ("-whole", WHOLE_FRAMES),
    (False, False): ("-whole-uniform", [*WHOLE_FRAMES, *UNIFORM]),
}
Curve = tuple[np.ndarray, np.ndarray]


def trained(data: VideoData, out: Path, overrides: list[str]) -> VideoModel:
    """Train one network, or read it."""
    config = fitted(load_run_config("digits", overrides), data)
    train_videos(config, data, out, device=torch.device("cpu"))
    return load_video_model(out / "bundle", torch.device("cpu"))


def curves(video: VideoModel, data: VideoData) -> dict[bool, Curve]:
    """Return mean cost and accuracy on test videos of every budget: with exits by threshold, and at random."""
    model = video.model
    assert isinstance(model, UniAdaFocus)
    config = video.config.model_copy(update={"exit": load_run_config("digits").exit})
    exits = solve_exits(model, data, data.clips("validation"), config, kind="clips of the validation split")
    assert exits is not None
    plan, ladder = exits.plan, exits.plan.ladder
    scores = answer_videos(
        model, data, data.clips("test"), config, kind="test clips", order=plan.order
    ).scores
    right = (scores.probabilities.argmax(-1) == scores.targets.argmax(-1)[:, None])[:, ladder.steps]
    chosen = [exit_steps(scores.probabilities, plan, rule) for rule in plan.rules]
    places = [np.searchsorted(ladder.steps, steps) for steps in chosen]
    shares = np.array([exit_shares(steps, ladder) for steps in chosen])
    costs, order = shares @ ladder.gflops, np.argsort(shares @ ladder.gflops, kind="stable")
    sure = np.array([right[np.arange(len(right)), place].mean() for place in places])
    dealt = shares @ right.mean(0)  # the mean over all ways to deal the same exits
    return {True: (costs[order], sure[order]), False: (costs[order], dealt[order])}


def at(curve: Curve, budgets: np.ndarray) -> np.ndarray:
    """Return the accuracy at each budget; a network that is dearer or cheaper throughout has none there."""
    return np.interp(budgets, *curve, left=np.nan)


def lines(found: dict[tuple[bool, bool, bool], np.ndarray], budgets: np.ndarray) -> list[str]:
    """Return one line a combination; ``found`` holds accuracies [seeds, budgets]."""
    shown = ["spatial temporal sample   " + "  ".join(f"{budget * 1e3:>22.1f}" for budget in budgets)]
    everything = found[True, True, True]
    for kinds, values in found.items():
        cells = []
        for column, value in enumerate(values.mean(0)):
            gain = everything[:, column] - values[:, column]
            half = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain) if len(gain) > 1 else float("nan")
            sign = "+" if gain.mean() > half else "-" if gain.mean() < -half else "?"
            cells.append(f"{value:.3f} ({gain.mean():+.3f}+-{half:.3f}){sign}")
        shown.append("".join(f"{'yes' if kind else 'no':<8} " for kind in kinds) + "  ".join(cells))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = find_videos("digits", None)
    full = measure_cost(load_run_config("digits").model).exit_gflops
    budgets = np.linspace(full[0], full[-1], 6)[1:]
    found: dict[tuple[bool, bool, bool], list[np.ndarray]] = {}
    for seed in arguments.seeds:
        for (spatial, temporal), (suffix, overrides) in NETWORKS.items():
            video = trained(data, arguments.out / f"seed-{seed}{suffix}", [f"seed={seed}", *overrides])
            for sample, curve in curves(video, data).items():
                found.setdefault((spatial, temporal, sample), []).append(at(curve, budgets))
    stacked = {kinds: np.stack(values) for kinds, values in found.items()}
    print(f"SYNTHETIC digits, {len(data.clips('test'))} test videos, seeds {arguments.seeds}")
    print(
        "accuracy at a mean cost of so many MFLOPs (1e6 multiply-adds) a video; in brackets all three - this one"
    )
    print("\n".join(lines(stacked, budgets)))
    (arguments.out / "dynamic.json").write_text(
        json.dumps([{"kinds": kinds, "accuracy": values.tolist()} for kinds, values in stacked.items()]),
        "utf-8",
    )


if __name__ == "__main__":
    main()
