"""Is the attention real? Out-of-fold saliency on a simulated cohort against the true change region.

Usage: python benchmarks/attention.py RUN [--cohort FILE] [--untrained 5] [--part both|glance|focus]

RUN is the folder of a finished ``neurofocus cv`` on a simulated cohort with disease; --cohort is needed if the cohort
is not a shipped one. Every diseased subject is explained by the model of the fold that tested it, and by untrained
models of the same kind. Prints JSON; SYNTHETIC.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from neurofocus.data.dataset import evaluation_frames
from neurofocus.explain.localization import LocalizationScores, localization_scores, region_on_grid
from neurofocus.explain.saliency import SaliencyOptions, case_saliency
from neurofocus.files import cache_dir
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_cohort_spec
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.cohort import ensure_simulated
from neurofocus.workflows.bundle import load_bundle
from neurofocus.workflows.cohort.setup import prepare_scans, set_up_cohort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--cohort", help="the cohort's file")
    parser.add_argument("--untrained", type=int, default=5, help="how many untrained models")
    parser.add_argument("--part", choices=["both", "glance", "focus"], default="both")
    arguments = parser.parse_args()
    options = SaliencyOptions(part=arguments.part)
    config = RunConfig.model_validate(json.loads((arguments.run / "run.json").read_text())["config"])
    spec = load_cohort_spec(arguments.cohort or str(config.cohort))
    root = ensure_simulated(spec, cache_dir())
    setup = set_up_cohort(spec, root, config, arguments.run)
    cases, grid = prepare_scans(setup, config)
    truth = nib.load(next((root / "truth").glob("*desc-changeregion_mask.nii.gz")))
    region = region_on_grid(np.asarray(truth.dataobj, dtype=np.float32), truth.affine, grid, threshold=0.5)
    trained = load_bundle(arguments.run / "bundle").models
    untrained = [make_untrained(config, seed) for seed in range(arguments.untrained)]
    folds = setup.folds.frame.set_index("participant_id")["fold"]
    diseased = setup.table.reset_index(drop=True).query("label == 1")
    scores: dict[str, list[LocalizationScores]] = {"trained": [], "untrained": []}
    for row, participant in diseased["participant_id"].items():
        frames, positions = evaluation_frames(cases[row].frames, config.model.num_frames)
        batch, brain = frames.unsqueeze(0), cases[row].frames != 0
        chosen = {"trained": [trained[folds[participant] - 1]], "untrained": untrained}
        for kind, models in chosen.items():
            for model in models:
                saliency = case_saliency([model], batch, positions, grid, target=1, options=options)
                scores[kind].append(localization_scores(saliency, region, brain, grid=grid, tolerance_mm=5.0))
    report = {kind: means(found) for kind, found in scores.items()}
    trained_mean, untrained_mean = report["trained"], report["untrained"]
    report["ratio_to_untrained"] = {
        "energy_share": trained_mean["energy_share"] / untrained_mean["energy_share"]
    }
    print(json.dumps({"SYNTHETIC": True, "part": arguments.part, "cases": len(diseased), **report}, indent=2))


def make_untrained(config: RunConfig, seed: int) -> UniAdaFocus:
    torch.manual_seed(seed)
    return UniAdaFocus(config.model).eval()


def means(scores: list[LocalizationScores]) -> dict[str, Any]:
    names = scores[0].as_dict()
    return {name: round(float(np.mean([score.as_dict()[name] for score in scores])), 4) for name in names}


if __name__ == "__main__":
    main()
