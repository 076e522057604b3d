"""quality.tsv: every measure of every prepared scan, and which scans stand out inside the cohort."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurofocus.data.scan_quality import MEASURES

__all__ = ["OUTLIER_SCORE", "quality_table", "robust_z"]

# Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers: absolute modified z-scores above 3.5.
OUTLIER_SCORE = 3.5
_FEWEST = 8


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each value is from the median, in robust standard deviations; NaN stays NaN.

    The deviation is 1.4826 times the median absolute deviation; where that is 0 (more than half of the values are
    equal), 1.2533 times the mean absolute deviation. Fewer than eight values, or equal ones, give 0.
    """
    known = values[~np.isnan(values)]
    result = np.where(np.isnan(values), np.nan, 0.0)
    if known.size < _FEWEST:
        return result
    distance = np.abs(known - np.median(known))
    deviation = 1.4826 * float(np.median(distance)) or 1.2533 * float(distance.mean())
    # Differences in the last digits (all scans on one grid, say) are no deviation.
    if deviation <= 1e-6 * max(float(np.abs(known).max()), 1e-30):
        return result
    return np.asarray((values - np.median(known)) / deviation, dtype=np.float64)


def quality_table(records: Sequence[dict[str, Any]], labels: Sequence[str]) -> pd.DataFrame:
    """Return one row a prepared scan, in the order given.

    Args:
        records: contents of ``_desc-qc.json``.
        labels: class name of each.

    Returns:
        participant_id, session_id, label, source_space, every measure, outlier_score (largest suspicious robust z),
        outlier_measures (those above ``OUTLIER_SCORE``, the largest first), warnings (how many).
    """
    frame = pd.DataFrame(
        {
            "participant_id": [str(record["participant_id"]) for record in records],
            "session_id": [str(record["session_id"]) for record in records],
            "label": list(labels),
            "source_space": [str(record["source"]["space"]) for record in records],
        }
    )
    scores: dict[str, NDArray[np.float64]] = {}
    for name, (side, _) in MEASURES.items():
        values = np.array([_number(record["measures"].get(name)) for record in records], dtype=np.float64)
        frame[name] = values
        z = np.nan_to_num(robust_z(values))
        scores[name] = np.abs(z) if side == "both" else np.maximum(z if side == "high" else -z, 0.0)
    frame["outlier_score"] = np.round(np.max(list(scores.values()), axis=0), 2)
    frame["outlier_measures"] = [_suspicious(scores, row) for row in range(len(frame))]
    frame["warnings"] = [len(record["warnings"]) for record in records]
    return frame


def _suspicious(scores: dict[str, NDArray[np.float64]], row: int) -> str:
    found = sorted(
        (-float(values[row]), name) for name, values in scores.items() if values[row] > OUTLIER_SCORE
    )
    return ", ".join(f"{name} {-score:.1f}" for score, name in found) or "n/a"


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
