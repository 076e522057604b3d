"""OASIS-1: discs, scores in every spelling, rescans, the young, and which of a session's images is used."""

from pathlib import Path

import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from tests.ingest.oasis_delivery import OASIS1_HEADER, put_session, put_table

SPEC = load_cohort_spec("oasis1")


def row(name: str, cdr: str, age: str = "74", sex: str = "F") -> str:
    return f"{name}|{sex}|R|{age}|2|3|29|{cdr}|1344|0.743|1.306|N/A"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two discs: normal, very mild and mild dementia, a young person, a rescan, one without images."""
    data = tmp_path / "data"
    put_table(
        data / "oasis_cross-sectional.csv",
        OASIS1_HEADER,
        row("OAS1_0001_MR1", "0"),
        row("OAS1_0002_MR1", "0.5", "81", "M"),
        row("OAS1_0003_MR1", "1", "60"),
        row("OAS1_0004_MR1", "", "28"),
        row("OAS1_0061_MR1", "0", "20"),
        row("OAS1_0061_MR2", "0", "20"),
        row("OAS1_0099_MR1", "0"),
    )
    put_session(data / "disc1" / "OAS1_0001_MR1")
    put_session(data / "disc1" / "OAS1_0002_MR1", average=3, runs=(1, 2, 3))
    put_session(data / "disc2" / "OAS1_0003_MR1")
    put_session(data / "disc2" / "OAS1_0004_MR1")
    put_session(data / "disc2" / "OAS1_0061_MR1")
    put_session(data / "disc2" / "OAS1_0061_MR2")
    return data


def steps(cohort: CohortTable) -> dict[str, tuple[int, dict[str, int]]]:
    return {step.step: (step.count, dict(step.by_label)) for step in cohort.flow}


def with_series(spec: CohortSpec, *patterns: str) -> CohortSpec:
    series = spec.series.model_copy(update={"accept": patterns, "prefer": patterns})
    return spec.model_copy(update={"series": series})


def test_values_and_identifiers(root: Path) -> None:
    table = load_cohort(SPEC, root).table
    assert list(table["participant_id"]) == ["sub-OASIS10001", "sub-OASIS10002", "sub-OASIS10003"]
    assert set(table["session_id"]) == {"ses-MR1"}
    assert list(table["diagnosis"]) == ["0", "0.5", "1"]
    assert list(table["label"]) == [0, 1, 1]
    assert list(table["age"]) == [74.0, 81.0, 60.0]
    assert list(table["sex"]) == ["F", "M", "F"]
    assert set(table["space"]) == {"native"}
    assert set(table["diagnosis_source"]) == {"oasis_cross-sectional.csv:CDR"}
    assert set(table["age_source"]) == {"oasis_cross-sectional.csv:Age"}
    assert set(table["sex_source"]) == {"oasis_cross-sectional.csv:M/F"}


def test_flow_counts_rescans_the_young_and_people_without_images(root: Path) -> None:
    counted = steps(load_cohort(SPEC, root))
    assert counted["participants listed"] == (6, {"AD": 2, "CN": 3, "n/a": 1})
    assert counted["no image"] == (1, {"CN": 1})
    # two RAW runs, one average and two T88 images a session; 0002 has one run more
    assert counted["images found"] == (31, {"AD": 11, "CN": 15, "n/a": 5})
    assert counted["rescan of the same person (_MR2)"] == (5, {"CN": 5})
    assert counted["CDR never assessed (mostly the young)"] == (5, {"n/a": 5})
    assert counted["age outside 60 to 150 years"] == (2, {"CN": 2})
    assert counted["another run or variant in the same session"] == (3, {"AD": 2, "CN": 1})
    assert counted["scans used"] == (3, {"AD": 2, "CN": 1})
    flow = [step for step in load_cohort(SPEC, root).flow if step.unit == "scans"]
    assert flow[0].count - sum(step.count for step in flow if step.kind == "dropped") == flow[-1].count


def test_the_average_is_used_and_else_the_first_acquisition(root: Path) -> None:
    table = load_cohort(SPEC, root).table
    assert list(table["description"]) == [f"SUBJ_111 averaged n{n}" for n in (4, 3, 4)]
    assert set(table["processing"]) == {"processed"}
    for path in (root / "disc1/OAS1_0002_MR1/PROCESSED/MPRAGE/SUBJ_111").iterdir():
        path.unlink()
    second = load_cohort(SPEC, root).table.iloc[1]
    assert (second["description"], second["processing"]) == ("RAW mpr-1", "original")
    assert Path(second["path"]).name == "OAS1_0002_MR1_mpr-1_anon.hdr"


def test_the_definition_can_choose_the_other_images(root: Path) -> None:
    masked = load_cohort(with_series(SPEC, "T88_111 masked gfc*"), root).table
    assert {Path(path).name[-22:] for path in masked["path"]} == {"111_t88_masked_gfc.hdr"}
    plain = load_cohort(with_series(SPEC, "T88_111 gfc*"), root).table
    assert set(plain["description"]) == {"T88_111 gfc n4", "T88_111 gfc n3"}
    assert set(plain["space"]) == {"native"}, "Talairach is not MNI152"
    third = load_cohort(with_series(SPEC, "RAW mpr-3"), root).table
    assert list(third["participant_id"]) == ["sub-OASIS10002"]


def test_orientation_by_rule_with_a_warning(root: Path) -> None:
    cohort = load_cohort(SPEC, root)
    assert set(cohort.table["orientation"]) == {"ASL"}
    told = sorted(text for text in cohort.warnings if "orientations" in text)
    assert told[0].startswith("4 scans (RAW…): the header does not say")
    assert told[1].startswith("4 scans (SUBJ_111…)")
    assert all("left and right are unverified" in text for text in told)
    talairach = load_cohort(with_series(SPEC, "T88_111 gfc*"), root)
    assert set(talairach.table["orientation"]) == {"LAS"}


def test_sessions_directly_in_the_folder_and_capitals(root: Path) -> None:
    for disc in ("disc1", "disc2"):
        for folder in (root / disc).iterdir():
            folder.rename(root / folder.name)
        (root / disc).rmdir()
    lower = (root / "OAS1_0003_MR1/PROCESSED/MPRAGE/SUBJ_111").glob("*.*")
    for path in sorted(lower):
        path.rename(path.with_name(path.stem.upper() + path.suffix.upper()))
    table = load_cohort(SPEC, root).table
    assert list(table["label"]) == [0, 1, 1]
    assert Path(table["path"].iloc[2]).name == "OAS1_0003_MR1_MPR_N4_ANON_SBJ_111.HDR"


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("0", "0"),
        ("0.0", "0"),
        ("0.5", "0.5"),
        ('"0,5"', "0.5"),
        (" 2 ", "2"),
        ("1.0", "1"),
        ("3", "3"),
        ("1.5", None),
    ],
)
def test_scores_in_every_spelling(root: Path, written: str, label: str | None) -> None:
    put_table(
        root / "oasis_cross-sectional.csv",
        OASIS1_HEADER,
        row("OAS1_0001_MR1", "0"),
        row("OAS1_0002_MR1", written),
        row("OAS1_0003_MR1", "0.5"),
    )
    cohort = load_cohort(SPEC, root)
    seen = dict(zip(cohort.table["participant_id"], cohort.table["diagnosis"], strict=True))
    assert seen.get("sub-OASIS10002") == label
    if label is None:
        assert steps(cohort)["CDR of no class: '1.5' (2)"][0] == 2, "the average and RAW mpr-1"


@pytest.mark.parametrize("blank", ["", "N/A", "n/a", ".", "NaN", "#N/A"])
def test_blank_scores_are_never_normal(root: Path, blank: str) -> None:
    put_table(
        root / "oasis_cross-sectional.csv",
        OASIS1_HEADER,
        row("OAS1_0001_MR1", blank),
        row("OAS1_0002_MR1", "1"),
    )
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["participant_id"]) == ["sub-OASIS10002"]
    assert steps(cohort)["CDR never assessed (mostly the young)"] == (5, {"n/a": 5})


def test_the_spreadsheets_own_export(root: Path) -> None:
    """The newer table has a longer name; a German spreadsheet adds semicolons, a BOM and decimal commas."""
    (root / "oasis_cross-sectional.csv").unlink()
    table = put_table(
        root / "tables" / "oasis_cross-sectional-5708aa0a98d82080.csv",
        OASIS1_HEADER.lower(),
        row("OAS1_0001_MR1", "0,0"),
        row("OAS1_0002_MR1", "0,5"),
        sep=";",
        ends="\r\n",
    )
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["diagnosis"]) == ["0", "0.5"]
    assert steps(cohort)["session not in the table"][0] == 15


def test_a_pair_without_its_image_is_left_out_with_a_warning(root: Path) -> None:
    (root / "disc2/OAS1_0003_MR1/RAW/OAS1_0003_MR1_mpr-2_anon.img").unlink()
    assert any(
        text.startswith("1 .hdr files without their .img") and "OAS1_0003_MR1_mpr-2_anon.hdr" in text
        for text in load_cohort(SPEC, root).warnings
    )


def test_oasis_is_oasis1() -> None:
    one, other = (load_cohort_spec(name).model_dump() for name in ("oasis1", "oasis"))
    assert {name for name in one if one[name] != other[name]} == {"name", "shares_people_with"}
    assert set(one["shares_people_with"]) == {"oasis", "oasis2", "oasis3"}
    assert set(other["shares_people_with"]) == {"oasis1", "oasis2", "oasis3"}


def test_an_excel_file_is_named(root: Path) -> None:
    (root / "oasis_cross-sectional.csv").rename(root / "oasis_cross-sectional-5708.xlsx")
    with pytest.raises(CohortError, match=r"oasis_cross-sectional-5708\.xlsx: an Excel file.*save it as CSV"):
        load_cohort(SPEC, root)


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ([OASIS1_HEADER.replace("CDR", "Rating")], ["'participants'", "lacks cdr", "tables.participants"]),
        (
            [OASIS1_HEADER, row("OAS1_0001_MR1", "mild")],
            ["oasis_cross-sectional.csv: row 2", "'CDR'", "'mild'", "a number"],
        ),
        (
            [OASIS1_HEADER, row("OAS1_0001_MR1", "0"), row("oas1_0001_mr1", "1")],
            ["row 3", "'OAS1_0001_MR1' is listed already in row 2"],
        ),
        ([OASIS1_HEADER, row("OAS1_0777_MR1", "0")], ["none of the sessions on disk", "OAS1_0001_MR1"]),
        ([OASIS1_HEADER, row("OAS1_0001_MR1", "7")], ["'CDR'", "'7'", "CN: '0'; AD: '0.5', '1', '2', '3'"]),
    ],
)
def test_wrong_tables(root: Path, lines: list[str], parts: list[str]) -> None:
    put_table(root / "oasis_cross-sectional.csv", *lines)
    with pytest.raises(CohortError) as caught:
        load_cohort(SPEC, root)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_missing_tables_images_and_folders(root: Path, tmp_path: Path) -> None:
    (root / "oasis_cross-sectional.csv").rename(tmp_path / "away.csv")
    with pytest.raises(CohortError, match=r"no table 'participants'.*there is no such file"):
        load_cohort(SPEC, root)
    (tmp_path / "bare").mkdir()
    (tmp_path / "away.csv").rename(tmp_path / "bare/oasis_cross-sectional.csv")
    with pytest.raises(CohortError, match=r"no image OAS1_xxxx_MR1.*unpack the discs"):
        load_cohort(SPEC, tmp_path / "bare")
    with pytest.raises(CohortError, match="no such folder"):
        load_cohort(SPEC, tmp_path / "nowhere")
    with pytest.raises(CohortError, match="label_rule is 'column'; layout 'oasis1' accepts 'cdr'"):
        load_cohort(SPEC.model_copy(update={"label_rule": "column"}), root)
    with pytest.raises(CohortError, match=r"lacks 'tables\.participants'"):
        load_cohort(SPEC.model_copy(update={"tables": {}}), root)
