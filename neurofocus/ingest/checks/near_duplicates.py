"""Scans of two participants that look like one: what is personal about their heads is the same.

Any two heads are alike, most of all in a simulated cohort, whose people share one brain. What makes a head
personal is what is left of its small image after six things are taken out: slow changes of brightness (a
high-pass filter), the cohort's average, and what a small shift, turn or change of size and shear of that average
would do (its spatial derivatives, first order), a smooth bias field on it, and patterns that a tenth of the scans or
more share, such as those of a scanner. The correlation of these remainders is near 0 for two people and near 1 for one scan processed twice. docs/leakage.md has the figures from
which the limits below were chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.ingest.checks.findings import Finding
from neurofocus.tables import MISSING

__all__ = ["MIN_CORRELATION", "MIN_PEOPLE", "MIN_SPREADS", "Pair", "find_near_duplicates", "remainders"]

Floats = NDArray[np.float32]

MIN_PEOPLE = 8  # with fewer, the average is no background
MIN_CORRELATION = 0.8
MIN_SPREADS = 5.0  # robust standard deviations above the middle of all pairs
_MAX_CORRELATION = 0.95  # told in any case, however wide the background
_SHARED = 0.1  # of the scans, and at least
_SHARED_SCANS = 8  # a pattern of fewer may be copies of one scan
_SAMPLE = 2000  # scans from which background and patterns are estimated
_HIGH_PASS_BLOCKS = 1.5
_ROWS = 512  # correlated at a time
_SHOWN = 10
_KEPT = 200  # pairs in the figures


@dataclass(frozen=True)
class Pair:
    """Two scans of different participants that look alike.

    Attributes:
        first: row of one.
        second: row of the other, later.
        correlation: of the remainders; the larger one if the second is also looked at mirrored.
        mirrored: whether the second is the mirror image of the first.
    """

    first: int
    second: int
    correlation: float
    mirrored: bool


def find_near_duplicates(people: Sequence[str], sessions: Sequence[str], images: Floats) -> list[Finding]:
    """Return a finding for all pairs of different participants whose scans are nearly the same.

    Args:
        people: participant of each scan.
        sessions: session of each scan.
        images: small images of the heads [N, X, Y, Z], x from left to right.
    """
    if len(set(people)) < MIN_PEOPLE:
        return []
    pairs, middle, spread = _alike(np.asarray(people, dtype=object), images)
    if not pairs:
        return []
    shown = "; ".join(
        f"{_name(people[pair.first], sessions[pair.first])} and {_name(people[pair.second], sessions[pair.second])} "
        f"{pair.correlation:.2f}{' mirrored' if pair.mirrored else ''}"
        for pair in pairs[:_SHOWN]
    )
    more = f"; and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return [
        Finding(
            "near-duplicate",
            f"{len(pairs)} pairs of participants have nearly the same scan (correlation of what is personal, "
            f"two people: {middle:.2f} ± {spread:.2f}): {shown}{more}; if they are one person, their folds leak: "
            "look at the scans and remove one",
            {
                "pairs": [
                    {
                        "participants": [people[pair.first], people[pair.second]],
                        "correlation": round(pair.correlation, 3),
                        "mirrored": pair.mirrored,
                    }
                    for pair in pairs[:_KEPT]
                ],
                "median": round(middle, 3),
                "spread": round(spread, 3),
            },
        )
    ]


def _name(person: str, session: str) -> str:
    return repr(person) if session == MISSING else f"{person!r} ({session})"


def remainders(images: Floats) -> tuple[Floats, Floats]:
    """Return what is personal about each head and about its mirror image, unit vectors [N, X * Y * Z] each.

    Args:
        images: [N, X, Y, Z]; each has mean 0 and variance 1.
    """
    from scipy import ndimage

    sharp = images - ndimage.gaussian_filter(images, _HIGH_PASS_BLOCKS, axes=(1, 2, 3))
    mean = sharp.mean(axis=0)
    basis, _ = np.linalg.qr(_common(mean))

    def personal(stack: Floats) -> Floats:
        return _without(stack.reshape(len(stack), -1) - mean.ravel(), basis)

    plain, mirrored = personal(sharp), personal(np.ascontiguousarray(sharp[:, ::-1]))
    patterns = _shared(plain[_sample(len(plain))])
    if not patterns.shape[1]:
        return plain, mirrored
    return _without(plain, patterns), _without(mirrored, patterns)


def _without(flat: Floats, basis: Floats) -> Floats:
    """Return rows without what orthonormal columns span, as unit vectors."""
    rest = flat - (flat @ basis) @ basis.T
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.asarray(rest / np.maximum(lengths, 1e-6), dtype=np.float32)


def _shared(rows: Floats) -> Floats:
    """Return the patterns that so many unit rows share that they cannot be copies of one, as columns.

    The eigenvalue of a pattern in the table of correlations is how many rows it makes up.
    """
    from scipy import linalg

    least = max(_SHARED * len(rows), _SHARED_SCANS)
    values, vectors = linalg.eigh(rows @ rows.T, subset_by_value=(least, np.inf))
    return np.asarray(rows.T @ vectors / np.sqrt(values), dtype=np.float32)


def _sample(count: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, _SAMPLE)).round().astype(np.int64)


def _common(mean: Floats) -> Floats:
    """Return what every head can differ by without being another person's, as columns [X * Y * Z, 22]."""
    slopes = np.gradient(mean)
    places = np.meshgrid(*(np.linspace(-1, 1, size) for size in mean.shape), indexing="ij")
    moves = [*slopes, *(slope * place for slope in slopes for place in places)]
    fields = [mean, *(mean * place for place in places)]
    fields += [mean * places[i] * places[j] for i in range(3) for j in range(i, 3)]
    return np.stack([mode.ravel() for mode in (*moves, *fields)], axis=1).astype(np.float32)


def _alike(people: NDArray[np.object_], images: Floats) -> tuple[list[Pair], float, float]:
    """Return the pairs beyond both limits, most alike first, and middle and spread of all pairs."""
    plain, mirrored = remainders(images)
    middle, spread = _background(people, plain)
    limit = min(max(MIN_CORRELATION, middle + MIN_SPREADS * spread), _MAX_CORRELATION)
    pairs = []
    for start in range(0, len(plain), _ROWS):
        rows = plain[start : start + _ROWS]
        straight, turned = rows @ plain.T, rows @ mirrored.T
        best = np.maximum(straight, turned)
        for row, column in np.argwhere(best >= limit):
            first, second = int(row) + start, int(column)
            if first < second and people[first] != people[second]:
                flipped = bool(turned[row, column] > straight[row, column])
                pairs.append(Pair(first, second, float(best[row, column]), flipped))
    return sorted(pairs, key=lambda pair: -pair.correlation), middle, spread


def _background(people: NDArray[np.object_], plain: Floats) -> tuple[float, float]:
    """Return median and robust standard deviation of the correlation of two people."""
    chosen = _sample(len(plain))
    table = plain[chosen] @ plain[chosen].T
    first, second = np.triu_indices(len(chosen), 1)
    values = table[first, second][people[chosen][first] != people[chosen][second]]
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))
