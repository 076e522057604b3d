"""Scans that a person leaves out by hand, after looking at them: counted by label like every other exclusion."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.tables import with_prefix
from neurofocus.ingest.flow import CohortTable, flow_step
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_delivered

__all__ = ["Exclusions", "leave_out", "read_exclusions"]


@dataclass(frozen=True)
class Exclusions:
    """A list of scans.

    Attributes:
        name: of the file.
        scans: (participant_id, session_id); session "n/a" means all of the person's scans.
    """

    name: str
    scans: frozenset[tuple[str, str]]

    @property
    def digest(self) -> str:
        """SHA-256 of what is listed, whatever the order."""
        return hashlib.sha256(repr(sorted(self.scans)).encode()).hexdigest()


def read_exclusions(path: Path) -> Exclusions:
    """Read a table (tab, comma or semicolon) with participant_id and, if wanted, session_id; the rest is ignored.

    "sub-" and "ses-" may be left out, as in the lists of the people who looked at the scans.

    ``prepare``'s failures.tsv and the file that the contact sheet saves are such tables.

    Raises:
        CohortError: the file is unreadable, lacks participant_id, or has a row without one.
    """
    table = read_delivered(path)
    if "participant_id" not in table.columns:
        raise CohortError(
            f"--exclude {path}: no column 'participant_id'; it has {', '.join(table.columns)}; list participant_id and, "
            "for single scans, session_id"
        )
    if (table["participant_id"] == MISSING).any():
        row = (table["participant_id"] == MISSING).idxmax()
        raise CohortError(f"--exclude {path}: row {row} has no participant_id; fill it in or remove the row")
    sessions = table["session_id"] if "session_id" in table.columns else [MISSING] * len(table)
    pairs = zip(table["participant_id"], sessions, strict=True)
    return Exclusions(
        path.name,
        frozenset((with_prefix(person, "sub-"), with_prefix(visit, "ses-")) for person, visit in pairs),
    )


def leave_out(cohort: CohortTable, exclusions: Exclusions, spec: CohortSpec) -> CohortTable:
    """Return the cohort without the listed scans; entries that fit no scan are told.

    Raises:
        CohortError: if nothing is left.
    """
    table, classes = cohort.table, list(spec.classes)
    pairs = list(zip(table["participant_id"], table["session_id"], strict=True))
    stays = pd.Series(
        [exclusions.scans.isdisjoint((pair, (pair[0], MISSING))) for pair in pairs], index=table.index
    )
    labels = table["label"].map(lambda label: classes[label])
    kept = table[stays].reset_index(drop=True)
    if kept.empty:
        raise CohortError(f"--exclude {exclusions.name}: lists every scan of the cohort; nothing is left")
    steps = (
        flow_step(f"left out by hand ({exclusions.name})", labels[~stays], kind="dropped"),
        flow_step("scans used after that", labels[stays]),
    )
    known = {*pairs, *((person, MISSING) for person, _ in pairs)}
    unknown = exclusions.scans - known
    warnings = list(cohort.warnings)
    if unknown:
        first = " ".join(part for part in min(unknown) if part != MISSING)
        warnings.append(
            f"--exclude {exclusions.name}: {len(unknown)} of {len(exclusions.scans)} entries fit no scan of the cohort "
            f"({first}, …)"
        )
    return CohortTable(kept, (*cohort.flow, *steps), tuple(warnings))
