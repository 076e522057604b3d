"""Whether two participant identifiers are spellings of one: sub-01 and 01, 002_S_0816 and sub-ADNI002S0816."""

import re

__all__ = ["person_key"]

_ARCHIVES = ("adni", "ppmi", "aibl")
_OASIS = re.compile(r"oas(?:is)?([123])[_-]?(\d{4})")  # OAS1_0042, OAS30042, OASIS10042


def person_key(participant_id: str) -> str:
    """Return the same key for the same identifier in another spelling.

    Put aside: case, a leading ``sub``, the name that Clinica puts before an archive's identifier, signs between
    letters and digits, and zeros before a number. Words and numbers stay apart: ``A1_02`` is not ``A10_2``.
    """
    text = re.sub(r"^sub[-_]?(?=.)", "", participant_id.strip().casefold())
    if match := _OASIS.fullmatch(text):
        return f"oasis|{match[1]}|{int(match[2])}"
    parts = [
        part.lstrip("0") or "0" if part.isdigit() else part for part in re.findall(r"[^\W\d_]+|\d+", text)
    ]
    if len(parts) > 1 and parts[0] in _ARCHIVES:
        parts = parts[1:]
    return "|".join(parts) or text
