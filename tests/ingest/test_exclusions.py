"""Scans left out by hand: counted by label, told where they fit nothing, part of a run's identity."""

from pathlib import Path

import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.exclusions import leave_out, read_exclusions
from neurofocus.ingest.flow import CohortTable
from neurofocus.schema.load import load_cohort_spec

SPEC = load_cohort_spec("bids")


def put(path: Path, *lines: str) -> Path:
    path.write_text("".join(line.replace("|", "\t") + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def cohort() -> CohortTable:
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1", "sub-2", "sub-3"],
            "session_id": ["ses-a", "ses-b", "ses-a", "n/a"],
            "label": [0, 0, 1, 1],
        }
    )
    return CohortTable(table, (), ("before",))


def test_single_scans_and_whole_people(cohort: CohortTable, tmp_path: Path) -> None:
    listed = put(
        tmp_path / "qc.tsv", "participant_id|session_id|reason", "sub-1|ses-b|moved", "sub-2||all", "sub-9||"
    )
    left = leave_out(cohort, read_exclusions(listed), SPEC)
    assert left.table["participant_id"].tolist() == ["sub-1", "sub-3"]
    assert left.table["session_id"].tolist() == ["ses-a", "n/a"]
    dropped, kept = left.flow
    assert (dropped.step, dict(dropped.by_label)) == ("left out by hand (qc.tsv)", {"AD": 1, "CN": 1})
    assert dict(kept.by_label) == {"AD": 1, "CN": 1}
    assert left.warnings == (
        "before",
        "--exclude qc.tsv: 1 of 3 entries fit no scan of the cohort (sub-9, …)",
    )


def test_lists_of_other_programs(cohort: CohortTable, tmp_path: Path) -> None:
    listed = tmp_path / "qc.csv"
    listed.write_bytes(b"\xef\xbb\xbfparticipant_id;session_id;reason\r\n1;b;moved\r\n2;;all\r\n")
    left = leave_out(cohort, read_exclusions(listed), SPEC)
    assert left.table["participant_id"].tolist() == ["sub-1", "sub-3"]
    assert left.warnings == ("before",)


def test_the_digest_is_that_of_what_is_listed(tmp_path: Path) -> None:
    one = read_exclusions(put(tmp_path / "a.tsv", "participant_id", "sub-1", "sub-2"))
    same = read_exclusions(put(tmp_path / "b.tsv", "x|participant_id|session_id", "1|sub-2|", "2|sub-1|n/a"))
    other = read_exclusions(put(tmp_path / "c.tsv", "participant_id", "sub-1"))
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["subject", "sub-1"], "no column 'participant_id'; it has subject"),
        (["participant_id|x", "sub-1|1", "|2"], "row 3 has no participant_id"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(CohortError, match=words):
        read_exclusions(put(tmp_path / "x.tsv", *lines))


def test_nothing_is_left(cohort: CohortTable, tmp_path: Path) -> None:
    listed = put(tmp_path / "x.tsv", "participant_id", "sub-1", "sub-2", "sub-3")
    with pytest.raises(CohortError, match="lists every scan of the cohort"):
        leave_out(cohort, read_exclusions(listed), SPEC)
