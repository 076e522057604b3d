"""A planted leak of each kind is refused by its name; a clean cohort passes."""

from pathlib import Path

import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.checks.identity import person_key
from neurofocus.ingest.checks.leaks import find_fold_leaks, find_leaks, refuse_leaks

Cohort = tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Three people, the third with two sessions, of which the later one is put aside when it would be tested."""
    paths = [str(tmp_path / f"{number}.nii.gz") for number in range(4)]
    for path in paths:
        Path(path).write_bytes(b"")
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-3", "sub-3"],
            "session_id": ["n/a", "n/a", "ses-1", "ses-2"],
            "path": paths,
        }
    )
    folds = table[["participant_id", "session_id"]].assign(
        fold=[1, 2, 1, 1],
        role_1=["test", "train", "test", "unused"],
        role_2=["validation", "test", "train", "train"],
    )
    return table, folds, {path: f"hash {path}" for path in paths}


def test_a_clean_cohort_passes(cohort: Cohort) -> None:
    table, folds, hashes = cohort
    assert find_leaks(table, hashes) == []
    assert find_fold_leaks(folds, "first_scored") == []
    # A rescan of one person that is voxel for voxel the same stays in one part: no leak.
    hashes[table["path"][3]] = hashes[table["path"][2]]
    refuse_leaks(table, folds.sample(frac=1, random_state=0), hashes)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("fold", 2, "wrong split"),
        ("role_2", "validation", "wrong split"),
        ("role_2", "test", "wrong split"),
        ("role_1", "train", "wrong split"),
        ("role_1", "validation", "no independent test set"),
    ],
)
def test_a_person_in_two_parts(cohort: Cohort, column: str, value: object, kind: str) -> None:
    table, folds, hashes = cohort
    folds.loc[3, column] = value
    with pytest.raises(CohortError, match=rf"^leak \({kind}\): participant 'sub-3' .*'{column}'.*1 such"):
        refuse_leaks(table, folds, hashes, "all")


def test_several_sessions_scored(cohort: Cohort) -> None:
    table, folds, hashes = cohort
    folds.loc[3, "role_1"] = "test"
    with pytest.raises(
        CohortError, match=r"1 participants would be scored by several sessions \('sub-3' by 2\)"
    ):
        refuse_leaks(table, folds, hashes, "first_scored")
    refuse_leaks(table, folds, hashes, "all")


def test_one_file_listed_twice_is_seen_through_links(cohort: Cohort, tmp_path: Path) -> None:
    table, folds, hashes = cohort
    link = tmp_path / "link.nii.gz"
    link.symlink_to(table["path"][0])
    table.loc[1, "path"] = str(link)
    hashes[str(link)] = hashes[table["path"][0]]
    with pytest.raises(CohortError) as caught:
        refuse_leaks(table, folds, hashes)
    text = str(caught.value)
    assert (
        "leak (wrong split): one file is listed twice: 'sub-1' (0.nii.gz) and 'sub-2' (link.nii.gz)" in text
    )
    assert "leaks in all" not in text  # the same voxels are told once
    assert str(tmp_path) not in text


def test_identical_voxels_under_two_participants_even_in_one_fold(cohort: Cohort, tmp_path: Path) -> None:
    table, folds, hashes = cohort
    hashes[table["path"][2]] = hashes[table["path"][0]]
    with pytest.raises(CohortError) as caught:
        refuse_leaks(table, folds, hashes)
    assert "leak (wrong split): identical voxels under two names: 'sub-1' (0.nii.gz) and 'sub-3' (2" in str(
        caught.value
    )
    assert str(tmp_path) not in str(caught.value)


def test_all_leaks_are_counted(cohort: Cohort) -> None:
    table, folds, hashes = cohort
    folds.loc[3, "fold"] = 2
    hashes[table["path"][1]] = hashes[table["path"][0]]
    table.loc[0, "participant_id"] = "SUB_02"
    folds.loc[0, "participant_id"] = "SUB_02"
    with pytest.raises(CohortError, match=r"'sub-3' .* \(3 leaks in all\)$"):
        refuse_leaks(table, folds, hashes)


def test_two_spellings_of_one_participant(cohort: Cohort) -> None:
    table, _, hashes = cohort
    table.loc[1, "participant_id"] = "01"
    (finding,) = find_leaks(table, hashes)
    assert finding.kind == "wrong split"
    assert "one person under two identifiers: 'sub-1' and '01'" in finding.text
    assert finding.figures == {"participants": [["sub-1", "01"]]}


@pytest.mark.parametrize(
    "names",
    [
        ("sub-01", "01", "1", "SUB-001", "sub_1"),
        ("002_S_0816", "sub-ADNI002S0816", "002-S-0816", "2s816", "ADNI_002_S_0816"),
        ("OAS1_0042", "sub-OASIS10042", "oas10042"),
        ("OAS30042", "sub-OAS30042", "OASIS3_0042"),
        ("3102", "sub-PPMI3102", "sub-3102"),
        ("sub-A1_02", "a1-2"),
        ("sub", "SUB"),
        ("---", "---"),
        # Tables of scans that name a session where the person should stand.
        ("OAS2_0001", "OAS2_0001_MR1", "OAS2_0001_MR2", "sub-OAS20001MR2", "sub-OASIS20001"),
        ("sub-OAS30001", "OAS30001_MR_d0129", "OAS30001_d0400", "sub-OAS30001_ses-d0129"),
        ("002_S_0816", "002_S_0816_bl", "sub-002S0816m12", "sub-ADNI002S0816_ses-M012", "002_S_0816_I40732"),
        ("sub-01", "sub-01_ses-01", "sub-01ses2", "01-visit-3", "sub-1_session_B"),
        ("sub-A1B", "sub-A1B_ses-2"),
    ],
)
def test_one_person(names: tuple[str, ...]) -> None:
    assert len({person_key(name) for name in names}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-1", "sub-10"),
        ("A1_02", "A10_2"),
        ("002_S_0816", "002_S_8160"),
        ("OAS1_0042", "OAS2_0042"),
        ("sub-AD1", "sub-CN1"),
        ("sub-ADNI", "sub-PPMI"),
        ("sub-X1", "sub-X1B"),
        ("sub-0", "sub-00A"),
        ("--", "__"),
        ("OAS1_0042B", "OAS1_0042"),
        ("ses-01", "ses-02"),
        ("visit1", "visit2"),
        ("sub-CNses1", "sub-ADses1"),
        ("sub-1nurses2", "sub-1nurses3"),
        ("sub-S01M01", "sub-S01M02"),
    ],
)
def test_two_people(one: str, other: str) -> None:
    assert person_key(one) != person_key(other)


def test_rows_without_a_hash_or_fold_are_a_bug(cohort: Cohort) -> None:
    table, folds, hashes = cohort
    with pytest.raises(ValueError, match="needs a fold"):
        refuse_leaks(table, folds.iloc[:3], hashes)
    with pytest.raises(ValueError, match="needs a voxel hash"):
        refuse_leaks(table, folds, {})
