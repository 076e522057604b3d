"""Whether two participant identifiers are spellings of one: sub-01 and 01, 002_S_0816 and sub-ADNI002S0816."""

import re

__all__ = ["oasis_study", "person_key"]

_ARCHIVES = ("adni", "ppmi", "aibl")
# OAS1_0042, OAS30042, OASIS10042; and what names a session: OAS1_0042_MR2, OAS30042_MR_d0129
_OASIS = re.compile(r"oas(?:is)?([123])[_-]?(\d{4})(?:[_-]?(?:mr|ses|d\d).*)?")
_ADNI = re.compile(r"((?:adni[_-]?)?\d{3}[_-]?s[_-]?\d{4})(?:[_-].+|(?:bl|sc|[mv]\d+))")  # 002_S_0816_m12
_SESSION = re.compile(r"(.*\d.*?)(?:[_-]+|(?<=\d))(?:session|ses|visit|timepoint)[_-]?[a-z]*\d*")


def person_key(participant_id: str) -> str:
    """Return the same key for the same identifier in another spelling.

    Put aside: case, a leading ``sub``, the name that Clinica puts before an archive's identifier, a session at the
    end, signs between letters and digits, and zeros before a number. Words and numbers stay apart: ``A1_02`` is
    not ``A10_2``.
    """
    text = re.sub(r"^sub[-_]?(?=.)", "", participant_id.strip().casefold())
    if match := _OASIS.fullmatch(text):
        return f"oasis|{match[1]}|{int(match[2])}"
    if match := _ADNI.fullmatch(text) or _SESSION.fullmatch(text):
        text = match[1]
    parts = [
        part.lstrip("0") or "0" if part.isdigit() else part for part in re.findall(r"[^\W\d_]+|\d+", text)
    ]
    if len(parts) > 1 and parts[0] in _ARCHIVES:
        parts = parts[1:]
    return "|".join(parts) or text


def oasis_study(participant_id: str) -> str | None:
    """Return the OASIS study that an identifier names, such as ``OASIS-1``; None if it names none."""
    archive, *rest = person_key(participant_id).split("|")
    return f"OASIS-{rest[0]}" if archive == "oasis" and len(rest) == 2 else None
