"""The best accuracy that a simulated cohort's anatomy allows, computed from the drawn severities."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofocus.errors import CohortError
from neurofocus.schema.cohort import SimulationConfig
from neurofocus.simulate.severity import (
    CONFOUNDING,
    SITES,
    Stream,
    Subject,
    draw_deviations,
    generator,
    log_likelihood_ratio,
)

__all__ = ["area_under_curve", "bayes_ceiling", "compute_ceiling", "evidence"]

_POPULATION = 100_000
_METHOD = (
    "SYNTHETIC. Log-likelihood ratio of each subject's drawn severities (aging removed, as if it were known) under "
    "the two bivariate normal distributions that the simulation draws from. No classifier that sees only the scans "
    "can be better on average, because the scans are made from these numbers. auc and balanced_accuracy: on the "
    "drawn subjects; population_*: on 200,000 further draws."
)
_NULL_METHOD = "SYNTHETIC. Labels are drawn without regard to anatomy: nothing can predict them, so 0.5."
_CONFOUNDED_METHOD = (
    " As label and site are tied, the evidence includes the site's log odds; anatomy_auc leaves it out."
)


def bayes_ceiling(root: Path) -> dict[str, Any]:
    """Return a simulated cohort's ``truth/bayes.json``: auc, balanced_accuracy, population_auc, how, ...

    Raises:
        CohortError: if the folder holds no simulated cohort.
    """
    path = root / "truth" / "bayes.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CohortError(
            f"{path}: cannot be read ({error}); give the folder of a simulated cohort"
        ) from None
    return dict(values)


def compute_ceiling(config: SimulationConfig, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return the ceiling of the drawn subjects and of the population they come from."""
    ill = np.array([subject.label == "AD" for subject in subjects])
    drawn = evidence(config, subjects)
    rng = generator(config.seed, Stream.POPULATION, 0)
    groups = [draw_deviations(config, _POPULATION, rng, diseased=diseased) for diseased in (False, True)]
    anatomy = log_likelihood_ratio(config, np.concatenate(groups))
    truth = np.repeat([False, True], _POPULATION)
    result: dict[str, Any] = {"synthetic": True}
    if config.labels == "null":
        result |= {
            "auc": 0.5,
            "balanced_accuracy": 0.5,
            "population_auc": 0.5,
            "population_balanced_accuracy": 0.5,
        }
        # What a perfect measure of the disease would score by chance on these very labels.
        result |= {"disease_auc_on_these_labels": area_under_curve(ill, drawn), "how": _NULL_METHOD}
        return result
    population = anatomy
    if config.confounded:
        follows = rng.random(truth.size) < CONFOUNDING
        population = anatomy + np.where(follows == truth, 1.0, -1.0) * _site_log_odds()
        result["anatomy_auc"] = area_under_curve(ill, _anatomy_evidence(config, subjects))
        result["anatomy_population_auc"] = area_under_curve(truth, anatomy)
    result |= {
        "auc": area_under_curve(ill, drawn),
        "balanced_accuracy": _balanced_accuracy(ill, drawn),
        "population_auc": area_under_curve(truth, population),
        "population_balanced_accuracy": _balanced_accuracy(truth, population),
        "how": _METHOD + (_CONFOUNDED_METHOD if config.confounded else ""),
    }
    return result


def evidence(config: SimulationConfig, subjects: Sequence[Subject]) -> NDArray[np.float64]:
    """Return the best attainable log odds of disease (up to a constant) of each subject [N]."""
    ratio = _anatomy_evidence(config, subjects)
    if not config.confounded:
        return ratio
    at_second = np.array([subject.site == SITES[1] for subject in subjects])
    return ratio + np.where(at_second, 1.0, -1.0) * _site_log_odds()


def area_under_curve(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: the chance that a positive outranks a negative, ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    ones = int(positive.sum())
    wins = float(ranks[positive].sum()) - ones * (ones + 1) / 2
    return wins / (ones * (positive.size - ones))


def _anatomy_evidence(config: SimulationConfig, subjects: Sequence[Subject]) -> NDArray[np.float64]:
    deviations = np.array([np.add(s.severity.healthy, s.severity.disease) for s in subjects])
    return log_likelihood_ratio(config, deviations)


def _site_log_odds() -> float:
    return float(np.log(CONFOUNDING / (1 - CONFOUNDING)))


def _balanced_accuracy(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    called = score > 0
    return float((called[positive].mean() + (~called[~positive]).mean()) / 2)
