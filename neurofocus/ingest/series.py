"""Which series of a visit may be used, and which one is preferred: by the words of its description."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import pandas as pd

from neurofocus.schema.cohort import SeriesRule
from neurofocus.tables import MISSING

__all__ = ["plain_words", "series_rank", "unusable_series"]


def plain_words(description: str) -> str:
    """Return a series description in lower case, with one space for whatever is no letter or digit.

    The table's ``MPR; GradWarp; B1 Correction; N3; Scaled`` and the folder's
    ``MPR__GradWarp__B1_Correction__N3__Scaled`` become the same words.
    """
    return " ".join(re.findall(r"[a-z0-9]+", description.lower()))


def unusable_series(descriptions: pd.Series, rule: SeriesRule) -> pd.Series:
    """Return why a series is left out by its description, "" if it may be used; an unknown one may.

    Args:
        descriptions: one a scan.
        rule: of the cohort definition.
    """

    def reason(description: str) -> str:
        if description == MISSING:
            return ""
        if _position(description, rule.exclude) < len(rule.exclude):
            return "series excluded by the cohort definition"
        if rule.accept and _position(description, rule.accept) == len(rule.accept):
            return "series not among those the cohort definition accepts"
        return ""

    return descriptions.map(reason).astype(object)


def series_rank(descriptions: pd.Series, rule: SeriesRule) -> pd.Series:
    """Return the position of the first pattern of ``rule.prefer`` that fits, their number if none does."""
    return descriptions.map(lambda text: _position(text, rule.prefer)).astype("int64")


def _position(description: str, patterns: Sequence[str]) -> int:
    words = plain_words(description)
    fits = (number for number, pattern in enumerate(patterns) if fnmatchcase(words, _plain_pattern(pattern)))
    return next(fits, len(patterns))


def _plain_pattern(pattern: str) -> str:
    """Return a pattern with its words made plain and its ``*`` and ``?`` kept."""
    return " ".join(re.findall(r"[a-z0-9*?]+", pattern.lower()))
