"""A planted confound of each kind is reported with its figures; a cohort without one passes silently."""

import numpy as np
import pandas as pd
import pytest

from neurofocus.ingest.checks.confounds import find_confounds

CLASSES = ("CN", "AD")
COLUMNS = ("site", "field_strength", "manufacturer", "processing", "description", "space", "cohort", "axes",
           "file_format", "voxel_mm", "matrix", "number_type")  # fmt: skip


def clean(people: int = 80, seed: int = 0) -> pd.DataFrame:
    """Everything varies, and nothing has to do with the label."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "participant_id": [f"sub-{number:03}" for number in range(people)],
            "label": np.arange(people) % 2,
            "age": rng.normal(72, 6, people),
            "sex": rng.choice(["F", "M"], people),
        }
    )
    for column in COLUMNS:
        frame[column] = rng.choice([f"{column} 1", f"{column} 2", "n/a"], people)
    return frame


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("people", [16, 80, 400])
def test_a_clean_cohort_passes_silently(people: int, seed: int) -> None:
    assert find_confounds(clean(people, seed), CLASSES) == []


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("processing", "description")])
def test_a_planted_confound_is_reported(column: str) -> None:
    """Three of four people of a label have its value: 30, 10 / 10, 30, V² = (1/4 - 1/79) / (1 - 1/79)."""
    frame = clean()
    order = np.arange(80) // 2 % 4  # of each label every fourth person has the other value
    frame[column] = np.where((frame["label"] == 1) == (order > 0), "one", "two")
    (finding,) = find_confounds(frame, CLASSES)
    assert finding.kind == "confound"
    assert finding.figures["column"] == column
    assert finding.figures["counts"] == {"one": {"CN": 10, "AD": 30}, "two": {"CN": 30, "AD": 10}}
    assert finding.figures["cramers_v"] == pytest.approx(np.sqrt((1 / 4 - 1 / 79) / (1 - 1 / 79)), abs=1e-4)
    assert finding.figures["test"] == "Fisher"
    assert "'one': CN 10, AD 30; 'two': CN 30, AD 10" in finding.text
    assert "Cramér's V 0.49" in finding.text


@pytest.mark.parametrize("column", ["processing", "description", "axes", "file_format", "space"])
def test_one_processing_type_tied_to_one_label_is_louder(column: str) -> None:
    """All scans of one value are AD, although most AD scans have another one."""
    frame = clean()
    frame["site"] = np.where((frame["label"] == 1) == (np.arange(80) // 2 % 4 > 0), "A", "B")
    frame[column] = "raw"
    frame.loc[frame.index[frame["label"] == 1][:14], column] = "Scaled"
    alarm, quiet = find_confounds(frame, CLASSES)
    assert alarm.kind == "tied to the label"
    assert alarm.text.startswith("TIED TO THE LABEL: ")
    assert "'Scaled' only AD (14 of 14)" in alarm.text
    assert quiet.figures["column"] == "site"


def test_a_missing_value_counts_as_a_value() -> None:
    frame = clean()
    frame["description"] = np.where(frame["label"] == 1, "n/a", "MPRAGE")
    (alarm,) = find_confounds(frame, CLASSES)
    assert "'MPRAGE' only CN (40 of 40)" in alarm.text
    assert "'n/a' only AD (40 of 40)" in alarm.text


def test_a_rare_value_is_no_alarm() -> None:
    frame = clean()
    frame["processing"] = "raw"
    frame.loc[frame.index[frame["label"] == 1][:4], "processing"] = "Scaled"
    assert find_confounds(frame, CLASSES) == []


def test_age() -> None:
    frame = clean()
    rng = np.random.default_rng(3)
    base = rng.permutation(np.linspace(60, 80, 40))
    frame.loc[frame["label"] == 0, "age"] = base
    frame.loc[frame["label"] == 1, "age"] = base + 5
    (finding,) = find_confounds(frame, CLASSES)
    sd = np.linspace(60, 80, 40).std(ddof=1)
    assert finding.figures["cohens_d"] == pytest.approx(5 / sd, abs=1e-4)
    pairs = np.subtract.outer(base + 5, base)
    assert finding.figures["auc"] == pytest.approx(
        ((pairs > 1e-9).mean() + 0.5 * (abs(pairs) < 1e-9).mean()), abs=0.01
    )
    assert "CN 70.0 years (n 40), AD 75.0 years (n 40), Cohen's d +0.83" in finding.text


def test_unknown_ages_are_left_out() -> None:
    frame = clean()
    frame["age"] = [str(60 + row % 2 * 10 + row % 5) for row in range(80)]
    frame.loc[:9, "age"] = "n/a"
    (finding,) = find_confounds(frame, CLASSES)
    assert "(n 35)" in finding.text
    assert "n 35), AD" in finding.text


def test_sex() -> None:
    """30 of 40 AD and 16 of 40 CN are women: odds ratio 16 * 10 / (30 * 24) of CN against AD."""
    frame = clean()
    frame.loc[frame["label"] == 0, "sex"] = ["F"] * 16 + ["M"] * 24
    frame.loc[frame["label"] == 1, "sex"] = ["F"] * 30 + ["M"] * 10
    (finding,) = find_confounds(frame, CLASSES)
    assert finding.figures["odds_ratio"] == pytest.approx(16 * 10 / (30 * 24), abs=1e-4)
    assert finding.figures["auc"] == pytest.approx(0.5 + (0.75 - 0.4) / 2)
    assert "women CN 16 of 40, AD 30 of 40, odds ratio 0.22" in finding.text


def test_voxel_sizes_that_are_all_different() -> None:
    """Scaled scans have a voxel size of their own each: no two people share a value, but the label has larger ones."""
    frame = clean()
    rng = np.random.default_rng(5)
    edges = rng.normal(0.94, 0.02, 80).round(3)
    frame["voxel_mm"] = [f"{edge:.3f} x {edge:.3f} x 1.200" for edge in edges]
    assert find_confounds(frame, CLASSES) == []
    larger = edges + 0.03 * frame["label"]
    frame["voxel_mm"] = [f"{edge:.3f} x {edge:.3f} x 1.200" for edge in larger]
    (finding,) = find_confounds(frame, CLASSES)
    assert finding.figures["column"] == "voxel_mm"
    volumes = [edge * edge * 1.2 for edge in larger]
    means = [
        np.mean([v for v, label in zip(volumes, frame["label"], strict=True) if label == n]) for n in (0, 1)
    ]
    assert finding.text.startswith(
        f"confound: voxel volume goes with the label: CN {means[0]:.2f} mm3 (n 40), AD {means[1]:.2f} mm3 (n 40), Cohen's d +"
    )


@pytest.mark.parametrize("column", ["age", "sex"])
def test_what_is_known_of_one_label_only_is_told(column: str) -> None:
    """Ages of patients only cannot be compared: silence would look like a comparison."""
    frame = clean()
    frame[column] = frame[column].astype(object).where(frame["label"] == 1, "n/a")
    (finding,) = find_confounds(frame, CLASSES)
    assert finding.figures["column"] == column
    assert f"confound: {column} is known of CN 0 of 40, AD 40 of 40" in finding.text
    assert "fill it in" in finding.text
    frame[column] = "n/a"
    assert find_confounds(frame, CLASSES) == []


def test_the_first_session_counts_not_the_first_name() -> None:
    frame = clean()
    frame["label"] = np.arange(80) % 2
    early = frame.assign(session_id="ses-M6", session_order=1)
    late = frame.assign(
        session_id="ses-M12", session_order=2, manufacturer=np.where(frame["label"] == 1, "A", "B")
    )
    assert find_confounds(pd.concat([late, early], ignore_index=True), CLASSES) == []


def test_labels_in_pairs_are_not_told_by_chance() -> None:
    """Three labels are three pairs, so three chances."""
    told = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {
                "participant_id": [f"sub-{n}" for n in range(60)],
                "label": np.arange(60) % 4,
                "age": rng.normal(70, 7, 60),
            }
        )
        told += bool(find_confounds(frame, ("a", "b", "c", "d")))
    assert told <= 6


def test_people_count_not_scans() -> None:
    """One person with thirty scans at a site of her own is one person."""
    frame = clean()
    again = pd.concat(
        [frame, *[frame.iloc[[1]].assign(site="own", processing="own")] * 30], ignore_index=True
    )
    assert find_confounds(again, CLASSES) == []


def test_three_labels() -> None:
    frame = clean(120)
    frame["label"] = np.arange(120) % 3
    frame["age"] = 70 + 4.0 * (np.arange(120) % 3 == 2) + np.tile(np.linspace(-5, 5, 40), 3)[np.arange(120)]
    names = ("CN", "MCI", "AD")
    assert [item.figures["labels"] for item in find_confounds(frame, names)] == [["CN", "AD"], ["MCI", "AD"]]
    frame["site"] = np.where(frame["label"] == 2, "A", "B")
    assert {item.figures["column"] for item in find_confounds(frame, names)} == {"age", "site"}


def test_one_label_or_nothing_to_look_at() -> None:
    frame = clean()
    assert find_confounds(frame.assign(label=0), CLASSES) == []
    assert find_confounds(frame[["participant_id", "label"]], CLASSES) == []
