"""What a result does and does not say, in sentences that follow from its own figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from neurofocus.schema.cohort import Expectation
from neurofocus.workflows.report.tables import METRIC_NAMES, ceiling_of, number

__all__ = ["beside_expectations", "read_notes"]

_SMALL = 200
_SCOPE = (
    "Intervals say how much the result would vary with other people of the same kind. They do not cover other "
    "scanners, other sites, another training seed, or choices made after looking at these results."
)
_SIMULATED = (
    "SYNTHETIC: the scans were simulated, and every simulated subject shares the anatomy of one average brain. "
    "The figures show that the program works; they say nothing about patients."
)


def read_notes(metrics: Mapping[str, Any], expectations: Iterable[Expectation]) -> list[str]:
    """Return the notes of a report, the most important first.

    Args:
        metrics: the content of metrics.json.
        expectations: of the cohort definition.
    """
    return [
        *_against_baseline(metrics),
        *_about_simulation(metrics),
        *_against_expectations(metrics, expectations),
        *_precision(metrics),
        _SCOPE,
        "The sd over folds is not a standard error: training parts of different folds share most of their people.",
    ]


def _against_baseline(metrics: Mapping[str, Any]) -> list[str]:
    notes = []
    for name in ("balanced_accuracy", "roc_auc"):
        pooled, chance = metrics["pooled"][name], metrics["baseline"][name]
        if pooled["low"] is not None and pooled["low"] <= chance <= pooled["high"]:
            notes.append(
                f"{METRIC_NAMES[name]}: the interval {number(pooled['low'])} to {number(pooled['high'])} holds "
                f"{number(chance)}, what guessing reaches. There is no evidence that the model learned the label."
            )
    accuracy, share = metrics["pooled"]["accuracy"], metrics["baseline"]["accuracy"]
    if accuracy["low"] is not None and accuracy["low"] <= share:
        notes.append(
            f"Accuracy: always answering {metrics['baseline']['majority_class']} reaches {number(share)}, which is "
            f"not below the interval {number(accuracy['low'])} to {number(accuracy['high'])}; quote balanced accuracy."
        )
    return notes


def _about_simulation(metrics: Mapping[str, Any]) -> list[str]:
    """Say what a simulated result is worth, and whether it beats what is possible."""
    if not metrics["synthetic"]:
        return []
    notes = [_SIMULATED]
    for name in ("balanced_accuracy", "roc_auc"):
        value, ceiling = metrics["pooled"][name]["value"], ceiling_of(metrics, name)
        if ceiling is not None and value is not None and value > ceiling:
            notes.append(
                f"{METRIC_NAMES[name]} {number(value)} is above the Bayes ceiling {number(ceiling)}, which no "
                "classifier passes on average: luck in a small sample, or a leak."
            )
    return notes


def beside_expectations(
    metrics: Mapping[str, Any], expectations: Iterable[Expectation]
) -> list[dict[str, Any]]:
    """Return the expected ranges of the metrics at hand, each with the value reached and a verdict.

    The verdict is below, within or above the range, or alarm: better than what calls for a search for leaks first.

    Args:
        metrics: the content of metrics.json.
        expectations: of the cohort definition.
    """
    found = []
    for expected in expectations:
        name = "roc_auc" if expected.metric == "auc" else expected.metric
        value = metrics["pooled"].get(name, {}).get("value")
        if value is None:
            continue
        verdict = "below" if value < expected.low else "above" if value > expected.high else "within"
        if expected.alarm is not None and value > expected.alarm:
            verdict = "alarm"
        found.append({**expected.model_dump(), "metric": name, "value": value, "verdict": verdict})
    return found


def _against_expectations(metrics: Mapping[str, Any], expectations: Iterable[Expectation]) -> list[str]:
    notes = []
    for item in beside_expectations(metrics, expectations):
        span = f"{number(item['low'], 2)} to {number(item['high'], 2)} ({item['source']})"
        reached = f"{METRIC_NAMES.get(item['metric'], item['metric'])} {number(item['value'])}"
        search = "Look for a leak or a confound (site, age, processing) before believing it."
        notes.append(
            {
                "alarm": f"ALARM: {reached} is above {item['alarm']}, where this cohort calls for a search; "
                f"expected: {span}. {search}",
                "above": f"{reached} is above the expected range {span}. {search}",
                "below": f"{reached} is below the expected range {span}.",
                "within": f"{reached} lies in the expected range {span}.",
            }[item["verdict"]]
        )
    return notes


def _precision(metrics: Mapping[str, Any]) -> list[str]:
    pooled = metrics["pooled"]["balanced_accuracy"]
    if pooled["low"] is None:
        return []
    half = 100 * (pooled["high"] - pooled["low"]) / 2
    if half == 0:
        return [
            "All scans got the same answer, so the interval has no width and says nothing about precision."
        ]
    precision = (
        f"With {metrics['n_subjects']} people, balanced accuracy is known to about ±{half:.0f} percentage points. "
        "A smaller gap to a figure from elsewhere is within the noise."
    )
    notes = [precision]
    if metrics["n_subjects"] < _SMALL:
        notes.append(
            f"With fewer than {_SMALL} people the calibration error looks worse than it is, and its interval lies too "
            "high (its bins hold few scans)."
        )
    return notes
