"""The names of ADNI's visits: short codes of the tables and long names of the image archive."""

import re
from dataclasses import dataclass

from neurofocus.ingest.series import plain_words

__all__ = ["VisitName", "read_visit"]

# Codes that are the same month for everybody. ADNI-2 gave its own numbers to new participants: v01 and v02 are
# screening, v03 the baseline, v04 and v05 the months 3 and 6.
_MONTHS = {
    "sc": 0,
    "scmri": 0,
    "bl": 0,
    "4_sc": 0,
    "4_bl": 0,
    "v01": 0,
    "v02": 0,
    "v03": 0,
    "v04": 3,
    "v05": 6,
}
_SCREENING = ("sc", "scmri", "4_sc", "v01", "v02")
# Codes that count from the start of a phase: another month since baseline for each person. A participant who came
# from ADNI-1 into ADNI-2 has "ADNI2 Year 1 Visit" (v11) years after the baseline.
_IN_PHASE = re.compile(r"v06|v[1-5]1|init|y\d{1,2}|4_init|4_m\d{1,3}")
_INITIAL = {"2": "v06", "3": "init", "4": "4_init"}
_LONG = re.compile(r"(?:adni(?P<phase>go|[1-4])?(?: go)? )?(?P<name>.+)")


@dataclass(frozen=True)
class VisitName:
    """What the name of a visit says.

    Attributes:
        code: as ADNI's tables write it, such as bl, m12, v11, init.
        month: since the participant's baseline; None where that depends on the participant.
        screening: the visit before the baseline; its month is 0, too.
    """

    code: str
    month: int | None = None
    screening: bool = False


def read_visit(text: str) -> VisitName | None:
    """Return what a visit's name says, None for a name that says nothing ("No Visit Defined", "Unscheduled").

    The initial visits of continuing participants ("ADNI2 Initial Visit-Cont Pt", "ADNI3 Initial Visit-Cont Pt")
    are no baselines: these people were enrolled years before.

    Args:
        text: a code of VISCODE, VISCODE2 or the collection table, or a long name of the image archive.
    """
    code = re.sub(r"\s+", "", text.lower())
    if match := re.fullmatch(r"m(\d{1,3})", code):
        return VisitName(f"m{int(match[1]):02d}", int(match[1]))
    if code in _MONTHS:
        return VisitName(code, _MONTHS[code], code in _SCREENING)
    if _IN_PHASE.fullmatch(code):
        return VisitName(code)
    return _long_name(plain_words(text))


def _long_name(words: str) -> VisitName | None:
    whole = _LONG.fullmatch(words)
    if whole is None:
        return None
    phase, name = whole["phase"], whole["name"]
    if re.fullmatch(r"screening( mri)?( new pt)?", name):
        return VisitName("sc", 0, screening=True)
    if re.fullmatch(r"baseline( mri)?( new pt)?", name):
        return VisitName("bl", 0)
    if re.fullmatch(r"initial visit cont? pt", name) and phase in _INITIAL:
        return VisitName(_INITIAL[phase])
    if match := re.fullmatch(r"month (\d{1,3})( mri)?( new pt)?", name):
        return _month(phase, int(match[1]))
    if (match := re.fullmatch(r"year (\d)( visit)?", name)) and phase in ("2", "3"):
        return VisitName(f"v{match[1]}1" if phase == "2" else f"y{match[1]}")
    return None


def _month(phase: str | None, month: int) -> VisitName | None:
    """Return the visit of a month: since baseline up to ADNI-2, since the start of the phase in ADNI-4."""
    if phase in ("go", "1", "2"):
        return VisitName(f"m{month:02d}", month)
    return VisitName(f"4_m{month}") if phase == "4" else None
