"""Folders of splits as ClinicaDL 1.x and 2.0 write them, and every way in which they can leak."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.clinicadl import Splits, read_splits, restrict_to_splits
from neurofocus.ingest.flow import CohortTable
from neurofocus.schema.load import load_cohort_spec

SPEC = load_cohort_spec("bids")


def put_part(path: Path, people: Sequence[str], *columns: str, session: str = "ses-M000") -> None:
    """Write one table; every person has the session, and in train.tsv a later one."""
    rows = [[person, session, "CN"] for person in people]
    if path.name == "train.tsv":
        rows += [[person, "ses-M012", "CN"] for person in people]
    names = columns or ("participant_id", "session_id", "diagnosis")
    frame = pd.DataFrame(rows, columns=["participant_id", "session_id", "diagnosis"])[list(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, sep="\t", index=False)


def put_splits(
    folder: Path, tested: Sequence[Sequence[str]], name: str = "validation", mark: str = "-"
) -> Path:
    """Write k splits that test these people; all others train."""
    everybody = [person for group in tested for person in group]
    for number, group in enumerate(tested):
        split = folder / f"split{mark}{number}"
        rest = [person for person in everybody if person not in group]
        put_part(split / "train.tsv", rest)
        put_part(split / "train_baseline.tsv", rest)
        put_part(split / f"{name}_baseline.tsv", group)
    return folder


TESTED = [["sub-1", "sub-2"], ["sub-3", "sub-4"], ["sub-5"]]


@pytest.mark.parametrize(("name", "mark"), [("validation", "-"), ("val", "-"), ("test", "_")])
def test_layouts(tmp_path: Path, name: str, mark: str) -> None:
    folder = put_splits(tmp_path / "3_fold", TESTED, name, mark)
    (folder / "kfold.json").write_text("{}", encoding="utf-8")
    splits = read_splits(folder)
    assert splits.name == "3_fold"
    assert {number: sorted(part.people) for number, part in splits.test.items()} == {
        1: ["sub-1", "sub-2"],
        2: ["sub-3", "sub-4"],
        3: ["sub-5"],
    }
    assert sorted(splits.train[3].people) == ["sub-1", "sub-2", "sub-3", "sub-4"]
    assert ("sub-1", "ses-M012") in splits.train[3].sessions
    assert splits.people() == {f"sub-{number}" for number in range(1, 6)}


def test_more_than_ten_splits_go_by_number(tmp_path: Path) -> None:
    splits = read_splits(put_splits(tmp_path, [[f"sub-{number}"] for number in range(12)]))
    assert [min(splits.test[number].people) for number in range(1, 13)] == [f"sub-{n}" for n in range(12)]


def test_of_both_tables_the_baseline_is_tested_and_all_sessions_train(tmp_path: Path) -> None:
    put_splits(tmp_path, TESTED)
    put_part(tmp_path / "split-0/validation.tsv", ["sub-1", "sub-2"], session="ses-M099")
    splits = read_splits(tmp_path)
    assert splits.test[1].sessions == {("sub-1", "ses-M000"), ("sub-2", "ses-M000")}
    (tmp_path / "split-0/train.tsv").unlink()
    assert read_splits(tmp_path).train[1].sessions == {(f"sub-{n}", "ses-M000") for n in (3, 4, 5)}


def test_tables_without_prefixes_sessions_or_labels(tmp_path: Path) -> None:
    for number, (train, test) in enumerate([(["1"], ["2"]), (["2"], ["1"])]):
        put_part(tmp_path / f"split-{number}/train_baseline.tsv", train, "participant_id")
        put_part(tmp_path / f"split-{number}/val.tsv", test, "participant_id")
    splits = read_splits(tmp_path)
    assert splits.test[1].people == {"sub-2"}
    assert splits.test[1].sessions == frozenset()
    assert splits.test[1].diagnoses == {}


def test_the_digest_is_of_who_is_where(tmp_path: Path) -> None:
    first = read_splits(put_splits(tmp_path / "a", TESTED)).digest
    assert read_splits(put_splits(tmp_path / "b", TESTED, "val")).digest == first
    other = [["sub-2", "sub-1"], ["sub-3", "sub-5"], ["sub-4"]]
    assert read_splits(put_splits(tmp_path / "c", other)).digest != first


# Leaks and damage.


def test_somebody_in_train_and_test(tmp_path: Path) -> None:
    put_splits(tmp_path, TESTED)
    put_part(tmp_path / "split-1/train.tsv", ["sub-1", "sub-2", "sub-3", "sub-5"])
    with pytest.raises(
        CohortError, match=r"split-1: leak: 1 participants are in train and .* \(first: sub-3\)"
    ):
        read_splits(tmp_path)


def test_somebody_in_two_tested_parts(tmp_path: Path) -> None:
    put_splits(tmp_path, [*TESTED[:2], ["sub-5", "sub-1"]])
    put_part(tmp_path / "split-2/train.tsv", ["sub-2", "sub-3", "sub-4"])
    with pytest.raises(CohortError, match=r"leak: participant sub-1 is tested in split-0 and in split-2"):
        read_splits(tmp_path)


def test_what_is_no_folder_of_splits(tmp_path: Path) -> None:
    put_splits(tmp_path / "5_fold", TESTED)
    with pytest.raises(CohortError, match=r"holds 0 folders .* did you mean .*5_fold\?"):
        read_splits(tmp_path)
    with pytest.raises(CohortError, match="no such folder"):
        read_splits(tmp_path / "none")
    with pytest.raises(CohortError, match=r"holds 1 folders split-0"):
        read_splits(put_splits(tmp_path / "single", [["sub-1"]]))


@pytest.mark.parametrize(
    ("remove", "add", "words"),
    [
        (
            ["train.tsv", "train_baseline.tsv"],
            [],
            r"split-1: needs train\.tsv .* holds validation_baseline\.tsv",
        ),
        (["validation_baseline.tsv"], [], r"one other part .* holds train\.tsv, train_baseline\.tsv"),
        ([], ["test_baseline.tsv"], r"one other part .* test_baseline\.tsv"),
    ],
)
def test_splits_without_their_parts(tmp_path: Path, remove: list[str], add: list[str], words: str) -> None:
    put_splits(tmp_path, TESTED)
    for name in remove:
        (tmp_path / "split-1" / name).unlink()
    for name in add:
        put_part(tmp_path / "split-1" / name, ["sub-9"])
    with pytest.raises(CohortError, match=words):
        read_splits(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject\nsub-1\n", "no column 'participant_id'; it has subject"),
        ("participant_id\tx\n\t1\n", "row 2 has no"),
    ],
)
def test_tables_that_name_nobody(tmp_path: Path, text: str, words: str) -> None:
    put_splits(tmp_path, TESTED)
    (tmp_path / "split-0/validation_baseline.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(CohortError, match=words):
        read_splits(tmp_path)


# Meeting the cohort.


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    return read_splits(put_splits(tmp_path / "3_fold", TESTED))


def cohort(*rows: tuple[str, str, int, int]) -> CohortTable:
    columns = ["participant_id", "session_id", "label", "session_order"]
    return CohortTable(pd.DataFrame(rows, columns=columns), (), ("before",))


def test_differences_are_counted(splits: Splits) -> None:
    found = cohort(
        ("sub-1", "ses-M00", 0, 1),
        ("sub-2", "ses-M006", 0, 1),
        ("sub-3", "ses-M000", 1, 1),
        ("sub-4", "ses-M000", 0, 1),
        ("sub-8", "ses-M000", 1, 1),
        ("sub-8", "ses-M012", 1, 2),
    )
    kept = restrict_to_splits(found, splits, SPEC)
    assert list(kept.table["participant_id"]) == ["sub-1", "sub-2", "sub-3", "sub-4"]
    assert [(step.step, step.count, dict(step.by_label)) for step in kept.flow] == [
        ("participant in no split", 2, {"AD": 2}),
        ("scans used with the splits", 4, {"AD": 1, "CN": 3}),
    ]
    assert kept.warnings == (
        "before",
        "--splits 3_fold: 1 of 5 participants are not in the cohort",
        "--splits 3_fold: 1 participants of the cohort are in no split: left out",
        (
            "--splits 3_fold: of 1 participants the splits test another session than the cohort's first (first: sub-2); "
            "the cohort's session rule decides"
        ),
        (
            "--splits 3_fold: 1 scans have another diagnosis in the splits (first: sub-3 (CN, here AD)); the cohort's "
            "labels are used"
        ),
    )


def test_a_fitting_cohort_passes_silently(splits: Splits) -> None:
    found = cohort(*((f"sub-{number}", "ses-M000", 0, 1) for number in range(1, 6)))
    kept = restrict_to_splits(found, splits, SPEC)
    assert kept.flow == ()
    assert kept.warnings == ("before",)


def test_another_cohort(splits: Splits) -> None:
    with pytest.raises(
        CohortError, match=r"none of the cohort's participants \(splits: sub-1, …; cohort: sub-OAS"
    ):
        restrict_to_splits(cohort(("sub-OAS30001", "n/a", 0, 1)), splits, SPEC)
