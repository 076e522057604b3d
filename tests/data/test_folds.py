from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.data.folds import Folds, load_folds, make_folds
from neurofocus.errors import CohortError


def cohort(counts: list[int], sessions: int = 1) -> pd.DataFrame:
    """Participants by label, some with several sessions."""
    rows = [
        {"participant_id": f"sub-{label}{person:03d}", "session_id": f"ses-{visit}", "label": label}
        for label, count in enumerate(counts)
        for person in range(count)
        for visit in range(1 + person % sessions)
    ]
    return pd.DataFrame(rows)


@st.composite
def drawn(draw: st.DrawFn) -> tuple[pd.DataFrame, int, float, int]:
    num_folds = draw(st.integers(2, 6))
    counts = draw(st.lists(st.integers(max(num_folds, 4), 40), min_size=2, max_size=3))
    fraction = draw(st.floats(0.1, 0.5))
    return cohort(counts, draw(st.integers(1, 3))), num_folds, fraction, draw(st.integers(0, 2**31))


@settings(max_examples=20)
@given(drawn())
def test_properties_of_folds(case: tuple[pd.DataFrame, int, float, int]) -> None:
    table, num_folds, fraction, seed = case
    folds = make_folds(table, num_folds, fraction, seed)
    frame = folds.frame
    assert folds.num_folds == num_folds
    assert len(frame) == len(table)
    assert (frame.groupby("participant_id")["fold"].nunique() == 1).all()  # tested exactly once
    people = frame.drop_duplicates("participant_id")
    for number in range(1, num_folds + 1):
        parts = [
            set(frame.loc[frame[f"role_{number}"] == role, "participant_id"])
            for role in ("train", "validation", "test")
        ]
        assert sum(map(len, parts)) == len(people)
        assert set().union(*parts) == set(people["participant_id"])
        assert parts[2] == set(people.loc[people["fold"] == number, "participant_id"])
        rest = people[people["fold"] != number]
        for label, group in rest.groupby("label"):
            share = group["participant_id"].isin(parts[1]).sum()
            assert 1 <= share < len(group)
            assert abs(share - fraction * len(group)) <= 1, label
    again = make_folds(table.sample(frac=1, random_state=seed % 1000), num_folds, fraction, seed)
    pd.testing.assert_frame_equal(again.frame, frame)


@settings(max_examples=15)
@given(st.lists(st.integers(5, 60), min_size=2, max_size=3), st.integers(0, 1000), st.integers(1, 4))
def test_labels_are_balanced_by_subject(counts: list[int], seed: int, sessions: int) -> None:
    people = make_folds(cohort(counts, sessions), 5, 0.25, seed).frame.drop_duplicates("participant_id")
    tested = pd.crosstab(people["fold"], people["label"])
    assert tested.sum(axis=1).max() - tested.sum(axis=1).min() <= 1
    assert (tested.max() - tested.min() <= 1).all()


def test_seeds_differ_and_positions_follow_the_table() -> None:
    table = cohort([30, 30]).sample(frac=1, random_state=3, ignore_index=True)
    folds = make_folds(table, 5, 0.25, 0)
    assert not folds.frame.equals(make_folds(table, 5, 0.25, 1).frame)
    seen = np.concatenate([folds.positions(table, k, "test") for k in range(1, 6)])
    assert sorted(seen) == list(range(60))
    chosen = set(table.iloc[folds.positions(table, 2, "validation")]["participant_id"])
    assert chosen == set(folds.frame.loc[folds.frame["role_2"] == "validation", "participant_id"])
    with pytest.raises(ValueError, match=r"1\.\.5"):
        folds.positions(table, 6, "test")


def test_a_role_without_a_class_is_refused() -> None:
    """Only a later session of one person has label 2."""
    table = cohort([6, 6])
    table = pd.concat(
        [table, pd.DataFrame([{"participant_id": "sub-0000", "session_id": "ses-9", "label": 2}])]
    )
    with pytest.raises(CohortError, match=r"fold 1 has no .* label \[2\]"):
        make_folds(table, 3, 0.25, 0)


@pytest.mark.parametrize(
    ("counts", "num_folds", "message"),
    [
        ([4, 30], 5, "label 0 .* has 4 .* at least 5 .* fewer folds"),
        ([3, 9], 2, "at least 4 are needed; use more participants"),
        ([30], 5, "1 class only"),
    ],
)
def test_too_few_participants(counts: list[int], num_folds: int, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        make_folds(cohort(counts), num_folds, 0.25, 0)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, pd.DataFrame, Folds]:
    table = cohort([8, 8], sessions=2)
    folds = make_folds(table, 3, 0.25, 7)
    folds.save(tmp_path / "folds.tsv")
    return tmp_path / "folds.tsv", table, folds


def test_save_and_load(saved: tuple[Path, pd.DataFrame, Folds]) -> None:
    path, table, folds = saved
    loaded = load_folds(path, table.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(loaded.frame, folds.frame)
    before = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == before


def test_a_changed_cohort_is_explained(saved: tuple[Path, pd.DataFrame, Folds]) -> None:
    path, table, _ = saved
    changed = pd.concat([table.iloc[1:], table.iloc[:1].assign(participant_id="sub-new")])
    changed.loc[changed["participant_id"] == "sub-1000", "label"] = 0
    with pytest.raises(CohortError) as caught:
        load_folds(path, changed)
    message = str(caught.value)
    for part in (
        "1 scans are gone (sub-0000 ses-0)",
        "1 scans are new (sub-new ses-0)",
        "1 labels changed",
        "--fresh",
    ):
        assert part in message


@pytest.mark.parametrize("edit", ["role", "split", "fold", "columns"])
def test_edited_folds_are_refused(saved: tuple[Path, pd.DataFrame, Folds], edit: str) -> None:
    path, table, folds = saved
    frame = folds.frame.copy()
    if edit == "role":
        frame.loc[frame["fold"] == 1, "role_1"] = "train"
    elif edit == "split":
        row = frame.index[frame["participant_id"].duplicated()][0]
        column = f"role_{1 + frame['fold'][row] % 3}"
        frame.loc[row, column] = "train" if frame.loc[row, column] == "validation" else "validation"
    elif edit == "fold":
        frame.loc[frame["fold"] == 3, ["fold", "role_3"]] = [4, "train"]
    else:
        frame = frame.drop(columns="role_2")
    Folds(frame).save(path)
    with pytest.raises(CohortError, match="--fresh"):
        load_folds(path, table)
