"""External testing: all fold models of a finished run on the scans of a cohort that no one has trained on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from neurofocus.data.dataset import evaluation_frames
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import CohortError, ConfigError
from neurofocus.evaluation.summary import summarise
from neurofocus.evaluation.thresholds import decide
from neurofocus.files import write_json
from neurofocus.ingest.checks.findings import CheckReport
from neurofocus.ingest.checks.identity import oasis_study, person_key
from neurofocus.ingest.checks.overlaps import refuse_shared_studies, shared_people
from neurofocus.ingest.flow import flow_table
from neurofocus.ingest.load import CohortTable, load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import read_tsv, write_tsv
from neurofocus.training.inference import predict_frames
from neurofocus.workflows.bundle import ModelBundle, load_bundle
from neurofocus.workflows.cohort.check import check_table, fingerprint_table
from neurofocus.workflows.cohort.setup import find_data, prepare_table
from neurofocus.workflows.device import choose_device

__all__ = ["ExternalResult", "external_test", "refuse_related"]

_RULE = (
    "mean probability of all fold models; binary: the mean of the folds' validation thresholds; else argmax"
)
_OF_FOLDS = ("folds", "mean", "sd")


@dataclass(frozen=True)
class ExternalResult:
    """What an external test left in the run folder.

    Attributes:
        metrics: the content of ``external-COHORT.json``.
        files: that file, and the predictions.
    """

    metrics: dict[str, Any]
    files: tuple[Path, ...]

    def summary_lines(self) -> list[str]:
        """Return the few lines a person reads."""
        lines = [f"external test on {self.metrics['cohort']}: {self.metrics['n_subjects']} people"]
        for name in ("balanced_accuracy", "roc_auc"):
            entry = self.metrics["pooled"][name]
            if None not in entry.values():
                span = f"95 % interval {entry['low']:.3f} to {entry['high']:.3f}"
                lines.append(f"  {name:<18} {entry['value']:.3f}  ({span})")
        return [*lines, *(f"  {path}" for path in self.files)]


def external_test(
    run: Path,
    cohort: CohortSpec,
    *,
    trained_on: Sequence[CohortSpec],
    data: Path | None,
    device: str = "auto",
) -> ExternalResult:
    """Test a finished run on another cohort; nothing of the run changes, and nothing is chosen by the result.

    Args:
        run: the folder of a finished cross-validation.
        cohort: definition of the other cohort.
        trained_on: definitions of the run's own cohorts.
        data: the other cohort's folder; none for a simulated one.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ConfigError: the cohorts have other classes.
        CohortError: people or scans of the run are in the other cohort, or may be.
        BundleError: the run is not finished.
    """
    refuse_related(cohort, trained_on)
    bundle = load_bundle(run / "bundle", choose_device(device))
    found = load_cohort(cohort, find_data(cohort, data))
    table = _scored(found.table, cohort)
    config = bundle.manifest.config
    prints = fingerprint_table(table, config.data.prepare_jobs)
    _refuse_overlap(run, table, {path: item.voxels for path, item in prints.items()})
    checks = check_table(table, bundle.manifest.classes, prints, session_rule=cohort.session_rule)
    checks.refuse()
    cases, _ = prepare_table(table, config)
    predictions = _predict(bundle, table, cases)
    metrics = _metrics(predictions, cohort, bundle, found=found, checks=checks)
    files = (run / f"external-{cohort.name}.json", run / f"external-{cohort.name}.tsv")
    write_tsv(files[1], predictions.drop(columns="fold"))
    write_json(files[0], metrics)
    return ExternalResult(metrics, files)


def refuse_related(cohort: CohortSpec, trained_on: Sequence[CohortSpec]) -> None:
    """Refuse what can be no external test of models that are trained on some cohorts.

    Raises:
        ConfigError: the cohorts have other classes.
        CohortError: it is one of the cohorts, or shares people with one.
    """
    classes = list(trained_on[0].classes)
    if list(cohort.classes) != classes:
        raise ConfigError(
            f"--test-cohort: {cohort.name!r} has the classes {', '.join(cohort.classes)}, the run "
            f"{', '.join(classes)}; an external test needs the same names in the same order"
        )
    for spec in trained_on:
        if spec.name == cohort.name:
            raise CohortError(
                f"leak (no independent test set): the models train on {cohort.name!r}; test on another cohort"
            )
        if shared_people(spec, cohort):
            raise CohortError(
                f"leak (no independent test set): cohorts {spec.name!r} and {cohort.name!r} share people under "
                "different identifiers, so test people may train the models; test on another cohort"
            )


def _scored(table: pd.DataFrame, cohort: CohortSpec) -> pd.DataFrame:
    """Return one session a person unless the cohort's rule scores all."""
    if cohort.session_rule == "all":
        return table
    return table[table["session_order"] == 1].reset_index(drop=True)


def _refuse_overlap(run: Path, table: pd.DataFrame, voxels: dict[str, str]) -> None:
    """Refuse people and scans of the run, by their identifiers in any spelling and by the voxels."""
    trained = read_tsv(run / "cohort.tsv")[["participant_id"]]
    if table["participant_id"].map(oasis_study).notna().any():
        refuse_shared_studies(pd.concat([table[["participant_id"]], trained]))
    ours = {person_key(name): name for name in trained["participant_id"]}
    same = [name for name in table["participant_id"].unique() if person_key(name) in ours]
    if same:
        raise CohortError(
            f"leak (no independent test set): participant {same[0]!r} is {ours[person_key(same[0])]!r} of this run "
            f"({len(same)} such names); if they are different people, give them different names"
        )
    try:
        seen = set(json.loads((run / "checks.json").read_text(encoding="utf-8"))["voxels"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CohortError(
            f"{run / 'checks.json'}: does not list the run's scans, so an overlap cannot be ruled out; "
            "run the same 'cv' command again, it finds the folds done"
        ) from None
    again = [
        person
        for person, path in zip(table["participant_id"], table["path"], strict=True)
        if voxels[path] in seen
    ]
    if again:
        raise CohortError(
            f"leak (no independent test set): the scan of {again[0]!r} trained the models under another name "
            f"({len(again)} such scans); remove them from the test cohort"
        )


def _predict(bundle: ModelBundle, table: pd.DataFrame, cases: Sequence[PreparedCase]) -> pd.DataFrame:
    """Return one row a scan with the columns of predictions.tsv; every fold model answers for every scan."""
    manifest = bundle.manifest
    device = next(bundle.models[0].parameters()).device
    answers = []
    for case in tqdm(cases, desc="external test", unit="scan", disable=None):
        batch = evaluation_frames(case.frames, manifest.config.model.num_frames)[0].unsqueeze(0).to(device)
        answers.append(np.mean([predict_frames(model, batch)[0][0] for model in bundle.models], axis=0))
    probabilities = np.stack(answers)
    classes = manifest.classes
    columns = {f"prob_{name}": probabilities[:, place] for place, name in enumerate(classes)}
    return table[["participant_id", "session_id"]].assign(
        fold=0,  # no fold of the run: all of them answer
        label=[classes[int(number)] for number in table["label"]],
        predicted=[classes[number] for number in decide(probabilities, bundle.threshold)],
        **columns,
        gflops=manifest.gflops_per_model * len(bundle.models),
    )


def _metrics(
    predictions: pd.DataFrame,
    cohort: CohortSpec,
    bundle: ModelBundle,
    *,
    found: CohortTable,
    checks: CheckReport,
) -> dict[str, Any]:
    """Return the content of external-COHORT.json."""
    manifest = bundle.manifest
    whole = summarise(
        predictions,
        manifest.classes,
        threshold_rule=_RULE,
        synthetic=cohort.synthetic or manifest.synthetic,
        seed=manifest.config.seed,
    )
    return {
        "cohort": cohort.name,
        "trained_on": manifest.name,
        "bundle_sha256": bundle.sha256,
        "fold_models": len(bundle.models),
        **{name: value for name, value in whole.items() if name not in _OF_FOLDS},
        "flow": flow_table(found.flow).to_dict("records"),
        "warnings": [*found.warnings, *(finding.text for finding in checks.warnings)],
    }
