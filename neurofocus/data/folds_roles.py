"""Who trains, validates and is tested in one fold."""

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["KEYS", "draw_roles", "first_sessions", "sorted_scans"]

KEYS = ["participant_id", "session_id"]


def sorted_scans(table: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Return who, when and which label, sorted by participant and session; ``order`` counts a person's sessions."""
    frame = table[[*KEYS, "label", *more]].copy()
    # A table without the column has one session a person, or names that sort in time.
    frame["order"] = table["session_order"] if "session_order" in table.columns else 1
    frame = frame.sort_values(KEYS, ignore_index=True)
    if "session_order" not in table.columns:
        frame["order"] = frame.groupby("participant_id").cumcount() + 1
    return frame


def first_sessions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the first session of every participant, sorted by participant."""
    return frame.sort_values(["participant_id", "order"], kind="stable").drop_duplicates("participant_id")


def draw_roles(frame: pd.DataFrame, number: int, fraction: float, seed: int) -> npt.NDArray[np.str_]:
    """Return each row's role in one fold; whole participants are drawn to validate, label by label.

    Args:
        frame: sorted; participant_id, label, order, fold (that tests the person), site_fold (that tests the row's
            site), scored (may validate and be tested) and absent (does not train in this fold).
        number: of the fold, from 1.
        fraction: of the training part that validates.
        seed: of the run.
    """
    tested = frame["fold"] == number
    at_site = frame["site_fold"] == number
    out = tested | at_site | frame["absent"]
    rng = np.random.default_rng([seed, number])
    drawn: set[str] = set()
    for _, group in first_sessions(frame[~out & frame["scored"]]).groupby("label", sort=True):
        names = group["participant_id"].to_numpy()
        count = min(max(round(fraction * len(names)), 1), len(names) - 1)
        drawn.update(rng.permutation(names)[: max(count, 0)])
    validates = frame["participant_id"].isin(drawn)
    conditions = [tested & at_site & frame["scored"], out, validates & frame["scored"], validates]
    return np.select(conditions, ["test", "unused", "validation", "unused"], default="train")
