"""Does the learned policy beat simple ones? Tables 6, 7 and 9 of the paper on the embedded digits (SYNTHETIC).

    python benchmarks/policies.py --seeds 0 1 2 --out runs/policies                     table 9, by substitution
    python benchmarks/policies.py --seeds 0 1 2 --out runs/policies --techniques        tables 6 and 7 as well

Substitution: the trained network is kept, and who chooses locations, sizes or frames is replaced at test time.
Techniques: the network is trained again with each technique switched off. Every figure is the accuracy on the test
videos after the last focus frame: mean over seeds, and the difference to the learned policy of the same seed with a
95 % t interval over seeds. An ordering that does not hold is printed as such.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from neurofocus.data.loaders import evaluation_loader
from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.training.inference import evaluating
from neurofocus.training.policies import FRAME_CHOICES, LOCATIONS, SIZES, Policy, focus_by_policy
from neurofocus.workflows.video.bundle import load_video_model
from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import fitted, train_videos

LEARNED = "learned"
SUBSTITUTES: dict[str, Policy] = {
    LEARNED: Policy(),
    **{f"location: {name}": Policy(location=name) for name in LOCATIONS[1:]},
    **{f"size: {name}": Policy(size=name) for name in SIZES[1:]},
    **{f"frames: {name}": Policy(frames=name) for name in FRAME_CHOICES[1:]},
}
TECHNIQUES: dict[str, str] = {
    "without auxiliary supervision (Eq. 11)": "train.objective.auxiliary=false",
    "without diversity augmentation (Eq. 12)": "train.objective.diversity=false",
    "without stop-gradient (section 3.3.2)": "train.objective.stop_gradient=false",
    "policy gradient from pixels (Eq. 8)": "train.objective.policy_gradient=pixels",
    "fixed patch size (section 4.1.2)": "model.patches.deformable=false",
    "uniform frames (section 4.2)": "model.temporal_policy.dynamic=false",
}


def train(data: VideoData, out: Path, overrides: list[str]) -> float:
    """Train (or read) one run; return its test accuracy."""
    config = fitted(load_run_config("digits", overrides), data)
    run = train_videos(config, data, out, device=torch.device("cpu"))
    return float(run.evaluation.metrics["pooled"]["top1"]["value"])


def substituted(data: VideoData, bundle: Path, seed: int) -> dict[str, float]:
    """Return the test accuracy of a trained network under every policy."""
    video = load_video_model(bundle, torch.device("cpu"))
    model = video.model
    assert isinstance(model, UniAdaFocus)
    dataset = data.dataset(data.clips("test"), video.config)
    hits: dict[str, list[float]] = {name: [] for name in SUBSTITUTES}
    for number, batch in enumerate(evaluation_loader(dataset, 50)):
        with evaluating(model):
            glance = model.glance(batch["frames"])
            decision = model.decide(glance)
            for name, policy in SUBSTITUTES.items():
                draws = Draws(torch.Generator().manual_seed(1000 * seed + number))
                focus = focus_by_policy(model, batch["frames"], decision, policy, draws=draws)
                logits = model.classify(glance, focus)[:, -1]
                hits[name] += (logits.argmax(-1) == batch["label"]).float().tolist()
    return {name: float(np.mean(values)) for name, values in hits.items()}


def rows(found: Mapping[str, list[float]]) -> Iterator[str]:
    """Yield one line a variant."""
    learned = np.array(found[LEARNED])
    for name, values in found.items():
        mean = float(np.mean(values))
        if name == LEARNED:
            yield f"{name:<42}{mean:.3f}"
            continue
        gain = learned - np.array(values)
        half = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain) if len(gain) > 1 else float("nan")
        verdict = "holds" if gain.mean() - half > 0 else "reversed" if gain.mean() + half < 0 else "undecided"
        yield f"{name:<42}{mean:.3f}   learned better by {gain.mean():+.3f} ({gain.mean() - half:+.3f} to {gain.mean() + half:+.3f})   {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the trainings; finished ones are read"
    )
    parser.add_argument("--techniques", action="store_true", help="train without each technique as well")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = find_videos("digits", None)
    found: dict[str, list[float]] = {name: [] for name in SUBSTITUTES}
    retrained: dict[str, list[float]] = {name: [] for name in (LEARNED, *TECHNIQUES)}
    for seed in arguments.seeds:
        out = arguments.out / f"seed-{seed}"
        retrained[LEARNED].append(train(data, out, [f"seed={seed}"]))
        for name, accuracy in substituted(data, out / "bundle", seed).items():
            found[name].append(accuracy)
        for number, (name, setting) in enumerate(TECHNIQUES.items() if arguments.techniques else ()):
            folder = arguments.out / f"seed-{seed}-off-{number}"
            retrained[name].append(train(data, folder, [f"seed={seed}", setting]))
    print(f"SYNTHETIC digits, {len(data.clips('test'))} test videos, seeds {arguments.seeds}")
    print("\n".join(["table 9: substituted at test time", *rows(found)]))
    if arguments.techniques:
        print("\n".join(["tables 6 and 7: trained without", *rows(retrained)]))
    (arguments.out / "policies.json").write_text(
        json.dumps({"substituted": found, "retrained": retrained}), "utf-8"
    )


if __name__ == "__main__":
    main()
