"""What became of a person after a scan, from the diagnoses of all visits."""

from collections.abc import Sequence
from itertools import pairwise

from neurofocus.ingest.adni.codes import AD, CN, CONTRADICTION, DIAGNOSES, MCI

__all__ = ["Course", "consistency", "progression"]

# (months since baseline, diagnosis CN, MCI, AD or CONTRADICTION), in order of the months; one a visit.
Course = Sequence[tuple[int, str]]

_DISPUTED = "disputed at another visit"


def consistency(course: Course, month: int) -> str:
    """Return the diagnosis at a visit, with words after it if the person's other visits do not agree.

    A comparison of AD with CN needs people whose diagnosis is sure, that is the same at all visits (Wen et al. 2020;
    rule 5 of the reference). The words make others values of their own, which the classes of the cohort definition
    list or not:

    - "CN, later MCI", "CN, later AD": the worst diagnosis after the visit; likewise "CN, earlier MCI" for one who
      came back to normal.
    - "AD, later MCI", "AD, later CN": dementia that did not last; "AD, reverted earlier": it went and came back.
    - "AD, earlier MCI", "AD, earlier CN": the ordinary way into dementia, which then lasts.
    - "CN, disputed at another visit", "AD, disputed at another visit": else the same, but the tables contradict each
      other at another visit (for AD at a later one).
    - "MCI": whatever came before or after; MCI is a passage, ``progression`` tells its kinds apart.

    Args:
        course: all visits with a diagnosis, the scan's among them.
        month: of the scan's visit.
    """
    now = dict(course)[month]
    if now == MCI:
        return now
    before = [value for when, value in _sure(course) if when < month]
    after = [value for when, value in _sure(course) if when > month]
    if other := _farthest(now, after):
        return f"{now}, later {other}"
    if any(value == CONTRADICTION and (now == CN or when > month) for when, value in course):
        return f"{now}, {_DISPUTED}"
    if now == AD and any(first == AD != second for first, second in pairwise([*before, now])):
        return "AD, reverted earlier"
    if other := _farthest(now, before):
        return f"{now}, earlier {other}"
    return now


def _sure(course: Course) -> Course:
    return [(when, value) for when, value in course if value != CONTRADICTION]


def _farthest(now: str, others: Sequence[str]) -> str | None:
    """Return the diagnosis that differs most from the one now, None if all are the same."""
    order = DIAGNOSES if now == AD else tuple(reversed(DIAGNOSES))
    return next((value for value in order if value != now and value in others), None)


def progression(course: Course, month: int, horizon: int) -> str:
    """Return whether a person with MCI at a visit stays so: sMCI, pMCI, or in words why neither is sure.

    - "pMCI": dementia at a visit up to ``horizon`` months later (that month included), MCI until then, and no return
      at any later visit.
    - "sMCI": MCI at every visit through the horizon, and still MCI at the first visit at or after it. What comes
      after that visit does not count: dementia four years later is stable within three, as ClinicaDL has it.
    - "MCI, progressed after 36 months": dementia at the first visit after the horizon, none at it. Nobody knows when
      it began, so this is not sMCI here (ClinicaDL counts it as stable).
    - "MCI, reverted": normal at a later visit and ever after. "MCI, unstable": other ways there and back, before or
      after the visit. "MCI, follow-up too short": no visit at or after the horizon, MCI at all until then.
    - "MCI, disputed at another visit": the tables contradict each other at a visit within the horizon.
    - A diagnosis other than MCI at the visit is returned as it is.

    Args:
        course: all visits with a diagnosis, the scan's among them.
        month: of the scan's visit.
        horizon: months.
    """
    now = dict(course)[month]
    if now != MCI:
        return now
    if any(value == CONTRADICTION and month < when <= month + horizon for when, value in course):
        return f"MCI, {_DISPUTED}"
    before = [value for when, value in _sure(course) if when < month]
    if any(_better(first, second) for first, second in pairwise([*before, now])):
        return "MCI, unstable"
    later = [(when, value) for when, value in _sure(course) if when > month]
    changes = [position for position, (_, value) in enumerate(later) if value != MCI]
    change = changes[0] if changes else len(later)
    if any(when >= month + horizon for when, _ in later[:change]):
        return "sMCI"
    if change == len(later):
        return "MCI, follow-up too short"
    when, value = later[change]
    if any(state != value for _, state in later[change:]):
        return "MCI, unstable"
    if value == CN:
        return "MCI, reverted"
    return "pMCI" if when <= month + horizon else f"MCI, progressed after {horizon} months"


def _better(first: str, second: str) -> bool:
    return DIAGNOSES.index(second) < DIAGNOSES.index(first)
