"""Who is ill and how much: every subject's demographics and severities, and the best accuracy they allow.

Severities are in units of the literature's mean difference between patients and controls, on the logarithm of
volume, for two components: the medial temporal lobe and the ventricles. A subject's total is

    healthy deviation  ~ N(0, HEALTHY)                          everybody
  + aging              rate x (age - 60)                        everybody
  + disease            ~ N(severity, (severity x DISEASE)^2)    the diseased only

Subjects come in pairs with the same sex, site and nearly the same age, one diseased and one not, so that
demographics carry nothing. Every draw is a function of (seed, index).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from neurofocus.schema.cohort import SimulationConfig

__all__ = [
    "SITES",
    "Severity",
    "Stream",
    "Subject",
    "draw_deviations",
    "draw_subject",
    "generator",
    "log_likelihood_ratio",
]

SITES = ("SITE-A", "SITE-B")
CONFOUNDING = 0.9  # share of subjects whose site follows their label in a confounded cohort

# Spread of healthy volumes: hippocampus about 11 %, lateral ventricle about 18 % of the mean.
_HEALTHY_SD = (0.45, 0.50)
_HEALTHY_CORRELATION = 0.3
# Spread of the disease among patients, as a share of its mean.
_DISEASE_SD = (0.30, 0.40)
_DISEASE_CORRELATION = 0.5
# Yearly change after 60: hippocampus -0.5 to -1 %, lateral ventricle about +1 to +2 %.
_AGING_PER_YEAR = ((0.020, 0.040), (0.030, 0.060))
_AGE = (73.0, 6.5)
_AGE_RANGE = (60.0, 88.0)
_TIV_ML = {"M": (1550.0, 120.0), "F": (1400.0, 110.0)}


class Stream(IntEnum):
    """Independent random streams of one seed."""

    PAIR = 1
    SEVERITY = 2
    SHAPE = 3
    SCANNER = 4
    POPULATION = 5


@dataclass(frozen=True)
class Severity:
    """One number a component: (medial temporal lobe, ventricles)."""

    healthy: tuple[float, float]
    aging: tuple[float, float]
    disease: tuple[float, float]

    @property
    def total(self) -> tuple[float, float]:
        """Return the severities that the anatomy shows."""
        pairs = zip(self.healthy, self.aging, self.disease, strict=True)
        temporal, ventricular = (sum(parts) for parts in pairs)
        return temporal, ventricular

    @property
    def without_disease(self) -> tuple[float, float]:
        """Return the severities of the counterfactual healthy twin."""
        temporal, ventricular = (a + b for a, b in zip(self.healthy, self.aging, strict=True))
        return temporal, ventricular


@dataclass(frozen=True)
class Subject:
    """One simulated person; ``label`` is what participants.tsv says, ``diseased`` what the anatomy shows."""

    index: int
    label: str
    diseased: bool
    age: float
    sex: str
    site: str
    tiv_ml: float
    severity: Severity

    @property
    def participant_id(self) -> str:
        """Return the BIDS name, sub-SIM001 for index 0."""
        return f"sub-SIM{self.index + 1:03d}"


def generator(seed: int, stream: Stream, index: int) -> np.random.Generator:
    """Return the random generator of one purpose and subject (or pair)."""
    return np.random.default_rng((seed, int(stream), index))


def draw_subject(config: SimulationConfig, index: int) -> Subject:
    """Return subject ``index`` of a cohort; subjects 2k and 2k + 1 are a matched pair."""
    pair, member = divmod(index, 2)
    shared = generator(config.seed, Stream.PAIR, pair)
    age = float(np.clip(shared.normal(*_AGE), *_AGE_RANGE))
    sex = "F" if shared.random() < 0.55 else "M"
    site = int(shared.random() < 0.5)
    diseased = (shared.random() < 0.5) == bool(member)
    relabelled = config.labels == "null" and shared.random() < 0.5
    label = "AD" if diseased != relabelled else "CN"

    own = generator(config.seed, Stream.SEVERITY, index)
    age = round(float(np.clip(age + own.uniform(-1.5, 1.5), *_AGE_RANGE)), 1)
    if config.confounded:
        site = int((label == "AD") == (own.random() < CONFOUNDING))
    severity = _draw_severity(own, age, config.severity if diseased else None)
    tiv = float(own.normal(*_TIV_ML[sex]))
    return Subject(index, label, diseased, age, sex, SITES[site], round(tiv), severity)


def log_likelihood_ratio(config: SimulationConfig, deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log p(x | diseased) / p(x | healthy) of severities x [N, 2] without their aging part.

    Both are bivariate normal with the parameters that the cohort was drawn with, so no classifier that sees only
    the anatomy can rank better than this ratio (Neyman and Pearson).
    """
    healthy = _covariance(_HEALTHY_SD, _HEALTHY_CORRELATION)
    diseased = healthy + _disease_covariance(config.severity)
    return _log_normal(deviations, config.severity, diseased) - _log_normal(deviations, 0.0, healthy)


def draw_deviations(
    config: SimulationConfig, count: int, rng: np.random.Generator, *, diseased: bool
) -> NDArray[np.float64]:
    """Return the healthy deviation, plus disease where asked, of ``count`` people [count, 2]."""
    healthy = _correlated(rng, count, _HEALTHY_SD, _HEALTHY_CORRELATION)
    return healthy + _disease(rng, count, config.severity) if diseased else healthy


def _draw_severity(rng: np.random.Generator, age: float, mean: float | None) -> Severity:
    healthy = _correlated(rng, 1, _HEALTHY_SD, _HEALTHY_CORRELATION)[0]
    aging = [rng.uniform(*rates) * max(age - 60.0, 0.0) for rates in _AGING_PER_YEAR]
    disease = np.zeros(2) if mean is None else _disease(rng, 1, mean)[0]
    return Severity(
        healthy=(float(healthy[0]), float(healthy[1])),
        aging=(float(aging[0]), float(aging[1])),
        disease=(float(disease[0]), float(disease[1])),
    )


def _disease(rng: np.random.Generator, count: int, severity: float) -> NDArray[np.float64]:
    return severity * (1.0 + _correlated(rng, count, _DISEASE_SD, _DISEASE_CORRELATION))


def _disease_covariance(severity: float) -> NDArray[np.float64]:
    return severity**2 * _covariance(_DISEASE_SD, _DISEASE_CORRELATION)


def _correlated(
    rng: np.random.Generator, count: int, sd: tuple[float, float], correlation: float
) -> NDArray[np.float64]:
    """Return bivariate normal draws [count, 2], written out so that no linear-algebra library decides a sign."""
    first, second = rng.standard_normal((2, count))
    second = correlation * first + np.sqrt(1.0 - correlation**2) * second
    return np.stack([sd[0] * first, sd[1] * second], axis=1)


def _covariance(sd: tuple[float, float], correlation: float) -> NDArray[np.float64]:
    shared = correlation * sd[0] * sd[1]
    return np.array([[sd[0] ** 2, shared], [shared, sd[1] ** 2]])


def _log_normal(x: NDArray[np.float64], mean: float, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = x - mean
    distance = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred)
    logs: NDArray[np.float64] = -0.5 * (distance + np.log(np.linalg.det(covariance)))
    return logs
