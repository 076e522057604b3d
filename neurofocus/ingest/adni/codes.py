"""ADNI's codings of a diagnosis, old and new, become CN, MCI or AD."""

import re

from neurofocus.tables import MISSING

__all__ = ["AD", "CN", "CONTRADICTION", "DIAGNOSES", "MCI", "NA_CODES", "read_diagnosis"]

CN, MCI, AD = "CN", "MCI", "AD"
DIAGNOSES = (CN, MCI, AD)  # in order of impairment
CONTRADICTION = "contradiction"  # the tables do not agree
NA_CODES = ("-1", "-4", "-1.0", "-4.0")

_STATE = {1: CN, 2: MCI, 3: AD}
_CHANGE = {1: CN, 2: MCI, 3: AD, 4: MCI, 5: AD, 6: AD, 7: CN, 8: MCI, 9: CN}
_WORDS = {"cn": CN, "nl": CN, "normal": CN, "mci": MCI, "ad": AD, "dementia": AD}


def read_diagnosis(text: str, *, change: bool = False) -> str | None:
    """Return CN, MCI or AD, ``n/a`` where the value is missing, None for a value that is not known.

    Args:
        text: a number, also as "1.0"; a word of ADNIMERGE; or a sentence of the tables of the R package, such as
            "MCI to Dementia" or "Conversion: MCI to Dementia" (the last word is the diagnosis at the visit).
        change: the numbers are those of DXCHANGE (ADNI-GO and ADNI-2): 1 to 3 stable normal, MCI, dementia;
            4 normal to MCI, 5 MCI to dementia, 6 normal to dementia; 7 MCI to normal, 8 dementia to MCI,
            9 dementia to normal. Otherwise 1 normal, 2 MCI, 3 dementia (DXCURREN of ADNI-1, DIAGNOSIS of ADNI-3).
    """
    cell = text.strip()
    if cell in (MISSING, "", "NA", "NaN", "nan", *NA_CODES):
        return MISSING
    if re.fullmatch(r"\d+(\.0*)?", cell):
        return (_CHANGE if change else _STATE).get(int(float(cell)))
    words = re.sub(r"^(stable|conversion|reversion):", "", cell.lower()).split(" to ")
    known = [_WORDS.get(word.strip()) for word in words]
    return known[-1] if all(known) and len(known) <= 2 else None
