"""Folds in which some scans have no part: later sessions, sites, and folds that somebody else drew."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.data.folds import Folds, given_folds, load_folds, make_folds, site_folds
from neurofocus.data.sites import site_groups
from neurofocus.errors import CohortError


def cohort(counts: dict[str, tuple[int, int]], sessions: int = 1) -> pd.DataFrame:
    """Participants by site and label, each with one more session than the one before, up to ``sessions``."""
    rows = []
    for site, both in counts.items():
        for label, count in enumerate(both):
            for person in range(count):
                for visit in range(1 + person % sessions):
                    rows.append(
                        {
                            "participant_id": f"sub-{site}{label}{person:02d}",
                            "session_id": f"ses-{9 - visit}",  # names run against time
                            "session_order": visit + 1,
                            "label": label,
                            "site": site,
                        }
                    )
    return pd.DataFrame(rows)


def roles(folds: Folds, number: int) -> pd.Series:
    return folds.frame.set_index(["participant_id", "session_id"])[f"role_{number}"]


# Sessions.


def test_later_sessions_train_only() -> None:
    table = cohort({"a": (9, 9)}, sessions=3)
    folds = make_folds(table, 3, 0.25, 0, session_rule="first_scored")
    order = table.set_index(["participant_id", "session_id"])["session_order"]
    for number in (1, 2, 3):
        role = roles(folds, number)
        by_person = role.groupby("participant_id").agg(set)
        assert (order[role[role.isin(["test", "validation"])].index] == 1).all()
        assert (order[role[role == "unused"].index] > 1).all()
        for person, parts in by_person.items():
            part = (parts - {"unused"}).pop()
            own = role.loc[person]
            if part == "train":
                assert set(own) == {"train"}
            else:
                assert (own == part).sum() == 1
                assert (own == "unused").sum() == len(own) - 1
    tested = pd.concat([roles(folds, number) for number in (1, 2, 3)])
    assert (tested == "test").sum() == 18


def test_every_session_counts_when_all_do() -> None:
    folds = make_folds(cohort({"a": (9, 9)}, sessions=3), 3, 0.25, 0, session_rule="all")
    seen = {role for number in (1, 2, 3) for role in roles(folds, number)}
    assert seen == {"train", "validation", "test"}
    tested = pd.concat([roles(folds, number) for number in (1, 2, 3)])
    assert (tested == "test").sum() == len(folds.frame)


def test_the_session_rule_changes_no_persons_part() -> None:
    table = cohort({"a": (9, 9)}, sessions=3)
    first, every = (
        make_folds(table, 3, 0.25, 5, session_rule=rule).frame for rule in ("first_scored", "all")
    )
    assert first["fold"].equals(every["fold"])
    for number in (1, 2, 3):
        used = first[f"role_{number}"] != "unused"
        assert first.loc[used, f"role_{number}"].equals(every.loc[used, f"role_{number}"])


def test_stratified_by_the_first_session_in_time() -> None:
    """People who convert count as what they were first: the names of sessions run against time."""
    table = cohort({"a": (12, 12)}, sessions=2)
    table.loc[table["session_order"] == 2, "label"] = 1
    frame = make_folds(table, 3, 0.25, 0, session_rule="first_scored").frame
    first = frame.merge(table[table["session_order"] == 1], on=["participant_id", "session_id", "label"])
    assert pd.crosstab(first["fold"], first["label"]).to_numpy().tolist() == [[4, 4]] * 3


# Sites.


def test_a_site_with_enough_people_is_a_fold_and_small_ones_share_the_last() -> None:
    table = cohort({"b": (5, 6), "a": (7, 5), "c": (3, 9), "d": (2, 0)})
    assert groups(table, 5) == [("a",), ("b",), ("c", "d")]
    folds = site_folds(table, 5, 0.25, 0)
    assert folds.num_folds == 3
    by_site = folds.frame.assign(site=[name[4] for name in folds.frame["participant_id"]])
    assert by_site.groupby("site")["fold"].unique().map(list).to_dict() == {
        "a": [1],
        "b": [2],
        "c": [3],
        "d": [3],
    }
    for number in (1, 2, 3):
        role = by_site[f"role_{number}"]
        assert ((role == "test") == (by_site["fold"] == number)).all()
        assert set(role) == {"train", "validation", "test"}


def groups(table: pd.DataFrame, least: int) -> list[tuple[str, ...]]:
    return site_groups(table.drop_duplicates("participant_id"), table["site"], least)


def test_small_sites_that_are_too_few_together_take_the_smallest_other_site() -> None:
    assert groups(cohort({"a": (7, 7), "b": (5, 6), "c": (9, 9), "d": (2, 0)}), 5) == [
        ("a",),
        ("c",),
        ("b", "d"),
    ]
    assert groups(cohort({"a": (5, 5), "b": (5, 5)}), 5) == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"a": (9, 9)}, r"two sites .* need 5 people of each class; people by class are a: 9\+9"),
        ({"a": (9, 9), "b": (1, 0)}, r"a: 9\+9, b: 1\+0; lower data\.min_site_people"),
        ({"a": (9, 9), "unknown": (5, 5)}, "10 of 28 scans have no site"),
        ({"a": (9, 9), "n/a": (1, 0)}, "1 of 19 scans have no site"),
        ({"a": (9, 9), "Unknown": (1, 0)}, "1 of 19 scans have no site"),
        ({"002": (9, 9), "2": (9, 9), "b": (9, 9)}, "sites '002' and '2' .*write one site in one way"),
        ({"Site A": (9, 9), "site_a": (9, 9)}, "sites 'Site A' and 'site_a'"),
    ],
)
def test_sites_that_make_no_folds(counts: dict[str, tuple[int, int]], words: str) -> None:
    with pytest.raises(CohortError, match=words):
        site_folds(cohort(counts), 5, 0.25, 0)


@st.composite
def moving(draw: st.DrawFn) -> pd.DataFrame:
    """People with up to three sessions, each at any of four sites."""
    rows = [
        {
            "participant_id": f"sub-{site}{label}{person:02d}",
            "session_id": f"ses-{visit}",
            "session_order": visit + 1,
            "label": label,
            "site": site if visit == 0 else draw(st.sampled_from("abcd")),
        }
        for site in "abcd"
        for label in (0, 1)
        for person in range(4)
        for visit in range(draw(st.integers(1, 3)))
    ]
    return pd.DataFrame(rows)


@settings(max_examples=25)
@given(moving(), st.sampled_from(["first_scored", "all"]), st.integers(0, 99))
def test_no_model_sees_the_site_or_the_person_that_it_is_tested_on(
    table: pd.DataFrame, rule: str, seed: int
) -> None:
    folds = site_folds(table, 4, 0.3, seed, session_rule=rule)  # type: ignore[arg-type]
    assert folds.num_folds == 4
    frame = folds.frame.merge(table, on=["participant_id", "session_id", "label"])
    for number in range(1, 5):
        role = frame[f"role_{number}"]
        learned, tested = frame[role.isin(["train", "validation"])], frame[role == "test"]
        assert not set(learned["site"]) & set(tested["site"])
        assert not set(learned["participant_id"]) & set(tested["participant_id"])
        used = frame[role != "unused"]
        assert (used.groupby("participant_id")[f"role_{number}"].nunique() == 1).all()
    tests = sum((frame[f"role_{number}"] == "test").astype(int) for number in range(1, 5))
    assert tests.max() == 1
    assert set(frame.loc[tests == 1, "participant_id"]) == set(frame["participant_id"])


# Folds that somebody else drew.

Parts = dict[int, tuple[frozenset[str], frozenset[str]]]


@pytest.fixture
def table() -> pd.DataFrame:
    return cohort({"a": (8, 8)}, sessions=2)


@pytest.fixture
def parts(table: pd.DataFrame) -> Parts:
    """Four splits; one person of each label is left out of the training part of split 1."""
    people = sorted(set(table["participant_id"]))
    result: Parts = {}
    for number in range(1, 5):
        tested = frozenset(people[number - 1 :: 4])
        result[number] = (frozenset(people) - tested, tested)
    train, tested = result[1]
    result[1] = (train - {"sub-a001", "sub-a101"}, tested)
    return result


def test_given_folds_are_kept_and_validation_is_drawn_inside(table: pd.DataFrame, parts: Parts) -> None:
    folds = given_folds(table, parts, 0.25, 3, session_rule="first_scored")
    frame = folds.frame
    for number, (train, tested) in parts.items():
        role = frame[f"role_{number}"]
        assert set(frame.loc[role == "test", "participant_id"]) == tested
        drawn = set(frame.loc[role == "validation", "participant_id"])
        assert drawn <= train
        # Six of a label train, a quarter is 1.5, so 2 validate; in fold 1 only five train, so 1 does.
        assert len(drawn) == (4 if number > 1 else 2)
        assert set(frame.loc[role == "train", "participant_id"]) == train - drawn
    absent = frame["participant_id"].isin(["sub-a001", "sub-a101"])
    assert set(frame.loc[absent, "role_1"]) == {"unused"}
    assert not frame.equals(given_folds(table, parts, 0.25, 4, session_rule="first_scored").frame)


def test_given_folds_that_leak_or_lack(table: pd.DataFrame, parts: Parts) -> None:
    train, tested = parts[2]
    with pytest.raises(CohortError, match="leak: participant 'sub-a001' is in two parts"):
        given_folds(table, {**parts, 2: (train | {"sub-a001"}, tested)}, 0.25, 0)
    with pytest.raises(CohortError, match="leak: participant 'sub-a000' is in two parts"):
        given_folds(table, {**parts, 2: (train - {"sub-a000"}, tested | {"sub-a000"})}, 0.25, 0)
    with pytest.raises(CohortError, match=r"4 participants are tested in no fold .*first: sub-a003"):
        given_folds(table, {number: parts[number] for number in (1, 2, 3)}, 0.25, 0)
    with pytest.raises(CohortError, match="fold 5 of the splits tests nobody"):
        given_folds(table, {**parts, 5: (train, frozenset({"sub-z"}))}, 0.25, 0)


# Saving.


@pytest.fixture
def saved(tmp_path: Path, table: pd.DataFrame) -> Path:
    make_folds(table, 3, 0.25, 0, session_rule="first_scored").save(tmp_path / "folds.tsv")
    return tmp_path / "folds.tsv"


def test_unused_scans_survive_saving(saved: Path, table: pd.DataFrame) -> None:
    drawn = make_folds(table, 3, 0.25, 0, session_rule="first_scored")
    pd.testing.assert_frame_equal(load_folds(saved, table).frame, drawn.frame)


def test_a_person_who_is_edited_out_of_the_test_is_noticed(saved: Path, table: pd.DataFrame) -> None:
    frame = load_folds(saved, table).frame
    frame.loc[frame.index[frame["role_2"] == "test"][0], "role_2"] = "unused"
    Folds(frame).save(saved)
    with pytest.raises(CohortError, match="column 'role_2' was changed by hand"):
        load_folds(saved, table)


def test_a_later_session_that_is_edited_into_training_is_noticed(saved: Path, table: pd.DataFrame) -> None:
    frame = load_folds(saved, table).frame
    later = (frame["role_1"] == "unused") & (frame["fold"] != 1)  # of somebody who validates
    frame.loc[frame.index[later][0], "role_1"] = "train"
    Folds(frame).save(saved)
    with pytest.raises(CohortError, match="column 'role_1' was changed by hand"):
        load_folds(saved, table)
