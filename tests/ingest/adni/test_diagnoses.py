"""ADNIMERGE and DXSUM in miniature, in the generations of their names, headers and codings."""

from pathlib import Path

import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.codes import CONTRADICTION
from neurofocus.ingest.adni.diagnoses import Diagnoses, read_diagnoses
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec

MERGE = "RID,COLPROT,PTID,SITE,VISCODE,EXAMDATE,DX_bl,AGE,PTGENDER,FLDSTRENG,DX,Month,M"
OLD_SUMMARY = (
    "Phase,ID,RID,SITEID,VISCODE,VISCODE2,USERDATE,EXAMDATE,DXCHANGE,DXCURREN,DIAGNOSIS,update_stamp"
)
NEW_SUMMARY = "PHASE,PTID,RID,VISCODE,VISCODE2,EXAMDATE,DIAGNOSIS,DXNORM,ID,SITEID,USERDATE"


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


def put(path: Path, header: str, *rows: str, end: str = "\n", mark: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mark + "".join(line + end for line in (header, *rows)).encode())


def read(root: Path, spec: CohortSpec) -> Diagnoses:
    found = read_diagnoses(root, spec)
    assert found is not None
    return found


def courses(found: Diagnoses) -> dict[int, list[tuple[int, str]]]:
    return {rid: [(visit.month, visit.diagnosis) for visit in visits] for rid, visits in found.visits.items()}


def merge_row(rid: int, visit: str, day: str, diagnosis: str, *, age: str = "74.3", month: str = "") -> str:
    return f"{rid},ADNI1,002_S_{rid:04d},2,{visit},{day},LMCI,{age},Male,1.5 Tesla MRI,{diagnosis},{month},{month}"


def test_no_table_at_all(tmp_path: Path, spec: CohortSpec) -> None:
    put(tmp_path / "collection.csv", "Image Data ID,Subject,Group", "I1,002_S_0816,AD")
    assert read_diagnoses(tmp_path, spec) is None


def test_adnimerge_alone(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "ADNIMERGE_12Oct2024.csv",
        MERGE,
        merge_row(816, "m12", "2007-03-01", "Dementia", month="12"),
        merge_row(816, "bl", "2006-03-01", "MCI", month="0"),
        merge_row(816, "m18", "2007-09-01", "", month="18"),
        merge_row(816, "y4", "2010-03-01", "Dementia", month="48"),
        merge_row(5, "bl", "2005-09-07", "CN", month="0", age="70"),
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(0, "MCI"), (12, "AD"), (18, "n/a"), (48, "AD")], 5: [(0, "CN")]}
    first = found.visits[816][0]
    assert first.date == pd.Timestamp("2006-03-01")
    assert first.source == "ADNIMERGE_12Oct2024.csv:DX"
    assert first.field_strength == "1.5 Tesla MRI"
    assert found.visits[816][2].source == "n/a"
    person = found.people[816]
    assert (person.baseline_age, person.sex, person.enrolment) == (74.3, "Male", "LMCI")
    assert person.age_source == "ADNIMERGE_12Oct2024.csv:AGE"
    assert found.warnings == ()


def test_three_codings_in_one_file(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM_PDXCONV_ADNIALL.csv",
        OLD_SUMMARY,
        # ADNI-1: DXCURREN; the unused codings are blank or -4.
        "ADNI1,2,816,2,bl,bl,2006-03-02,2006-03-01,-4,2,,2010-01-01",
        "ADNI1,3,816,2,m12,m12,2007-03-02,2007-03-01,,3,-4,2010-01-01",
        # Where the two codes differ, the harmonised one (VISCODE2) counts.
        "ADNIGO,9,816,2,m48,m54,2010-09-02,2010-09-01,3,,,2013-01-01",
        # ADNI-2: DXCHANGE; a continuing participant's year 1 is month 72, there is a form date only.
        "ADNI2,4,816,2,v11,m72,2012-03-05,,3,-4,,2013-01-01",
        "ADNI2,5,4001,2,v03,bl,2011-05-01,,7,,,2013-01-01",
        "ADNI2,6,4001,2,v05,m06,2011-11-01,,4,,,2013-01-01",
        "ADNI2,7,4001,2,v11,m12,2012-05-01,,5,,,2013-01-01",
        # ADNI-3: DIAGNOSIS.
        "ADNI3,8,4001,2,init,m60,2016-05-01,,,,3.0,2018-01-01",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {
        816: [(0, "MCI"), (12, "AD"), (54, "AD"), (72, "AD")],
        4001: [(0, "CN"), (6, "MCI"), (12, "AD"), (60, "AD")],
    }
    columns = [visit.source.rpartition(":")[2] for visit in (*found.visits[816], *found.visits[4001])]
    assert columns == [
        "DXCURREN",
        "DXCURREN",
        "DXCHANGE",
        "DXCHANGE",
        "DXCHANGE",
        "DXCHANGE",
        "DXCHANGE",
        "DIAGNOSIS",
    ]
    assert found.visits[816][3].date == pd.Timestamp("2012-03-05")
    assert found.months[816, "m48"] == 54
    assert found.visits[816][0].date == pd.Timestamp("2006-03-01")
    assert found.months[816, "v11"] == 72
    assert found.months[4001, "v11"] == 12
    assert found.months[4001, "init"] == 60
    assert found.people == {}


def test_new_names_windows_ends_byte_order_mark_and_words(tmp_path: Path, spec: CohortSpec) -> None:
    put(tmp_path / "DXSUM_01Jan2020.csv", NEW_SUMMARY, "ADNI1,002_S_0816,816,bl,bl,2006-03-01,3,,1,2,")
    put(
        tmp_path / "tables" / "All_Subjects_DXSUM_12Oct2024.csv",
        NEW_SUMMARY.replace(",", ";"),
        "ADNI1;002_S_0816;0816;bl;bl;3/1/2006;MCI;;1;2;",
        "ADNI4;002_S_0816;816;4_init;m210;9/1/2023;Dementia;;1;2;",
        "ADNI4;301_S_10045;10045;4_bl;bl;9/2/2023;CN;;1;2;",
        end="\r\n",
        mark=b"\xef\xbb\xbf",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(0, "MCI"), (210, "AD")], 10045: [(0, "CN")]}
    assert found.visits[816][0].source == "tables/All_Subjects_DXSUM_12Oct2024.csv:DIAGNOSIS"
    assert found.visits[816][0].date == pd.Timestamp("2006-03-01")
    assert len(found.warnings) == 1 and "the newest of 2 files" in found.warnings[0]


def test_a_data_dictionary_is_no_table(tmp_path: Path, spec: CohortSpec) -> None:
    put(tmp_path / "ADNIMERGE_DICT_12Oct2024.csv", "FLDNAME,TBLNAME,TEXT", "DX,ADNIMERGE,Diagnosis")
    put(tmp_path / "DXSUM_12Oct2024.csv", NEW_SUMMARY, "ADNI1,002_S_0816,816,bl,bl,2006-03-01,3,,1,2,")
    assert courses(read(tmp_path, spec)) == {816: [(0, "AD")]}
    (tmp_path / "DXSUM_12Oct2024.csv").unlink()
    with pytest.raises(CohortError, match=r"no table 'adnimerge'.*ADNIMERGE_DICT_12Oct2024\.csv lacks rid"):
        read_diagnoses(tmp_path, spec)


def test_both_tables_agree(tmp_path: Path, spec: CohortSpec) -> None:
    put(tmp_path / "ADNIMERGE.csv", MERGE, merge_row(816, "bl", "2006-03-01", "MCI", month="0"))
    put(
        tmp_path / "DXSUM.csv",
        NEW_SUMMARY,
        "ADNI1,002_S_0816,816,bl,bl,2006-03-04,2,,1,2,",
        "ADNI1,002_S_0816,816,m12,m12,2007-03-04,3,,1,2,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(0, "MCI"), (12, "AD")]}
    assert found.visits[816][0].source == "ADNIMERGE.csv:DX; DXSUM.csv:DIAGNOSIS"
    assert found.visits[816][0].date == pd.Timestamp("2006-03-01")
    assert found.source == "ADNIMERGE.csv and DXSUM.csv"
    assert found.warnings == ()


def test_tables_that_disagree_leave_the_visit_without_a_diagnosis(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "ADNIMERGE.csv",
        MERGE,
        merge_row(816, "bl", "2006-03-01", "MCI", month="0"),
        merge_row(816, "m12", "2007-03-01", "MCI", month="12"),
        merge_row(17, "bl", "2006-03-01", "MCI", month="0"),
        merge_row(18, "bl", "2006-03-01", "CN", month="0"),
    )
    put(
        tmp_path / "DXSUM.csv",
        NEW_SUMMARY,
        "ADNI1,002_S_0816,816,bl,bl,2006-03-04,3,,1,2,",
        "ADNI1,002_S_0816,816,m12,m12,2007-03-04,2,,1,2,",
        "ADNI1,002_S_0017,17,bl,bl,2006-03-04,3,,1,2,",
        "ADNI1,002_S_0018,18,bl,bl,2006-03-04,2,,1,2,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {
        17: [(0, CONTRADICTION)],
        18: [(0, CONTRADICTION)],
        816: [(0, CONTRADICTION), (12, "MCI")],
    }
    (warning,) = found.warnings
    assert "ADNIMERGE.csv and DXSUM.csv: 3 visits of 3 participants" in warning
    assert "AD and MCI (2), CN and MCI (1)" in warning


def test_the_baseline_speaks_before_the_screening(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM.csv",
        NEW_SUMMARY,
        "ADNI3,002_S_6001,6001,sc,sc,2017-03-01,2,,1,2,",
        "ADNI3,002_S_6001,6001,bl,bl,2017-04-01,1,,1,2,",
        "ADNI3,002_S_6002,6002,sc,sc,2017-03-01,2,,1,2,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {6001: [(0, "CN")], 6002: [(0, "MCI")]}
    assert found.visits[6001][0].date == pd.Timestamp("2017-04-01")
    assert found.warnings == ()


def test_months_from_dates_where_no_code_says_them(tmp_path: Path, spec: CohortSpec) -> None:
    """A summary without VISCODE2: 2192 days after baseline are 72.02 months."""
    put(
        tmp_path / "DXSUM_PDXCONV_ADNIALL.csv",
        "Phase,RID,VISCODE,EXAMDATE,DXCHANGE,DXCURREN",
        "ADNI2,816,v11,2012-03-01,3,",
        "ADNI1,816,bl,2006-03-01,,2",
        "ADNI2,816,uns1,,1,",
        "ADNI2,816,uns1,2006-02-01,1,",
        "ADNI2,99,v11,2012-03-01,3,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(0, "MCI"), (72, "AD")]}
    assert found.months[816, "v11"] == 72
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("3 rows with a diagnosis are left out")


def test_a_code_of_two_months_names_no_month(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM.csv",
        NEW_SUMMARY,
        "ADNI2,002_S_0816,816,v11,m60,2011-03-01,2,,1,2,",
        "ADNI2,002_S_0816,816,v11,m72,2012-03-01,3,,1,2,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(60, "MCI"), (72, "AD")]}
    assert (816, "v11") not in found.months


def test_unknown_values_are_listed_with_counts(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM.csv",
        NEW_SUMMARY,
        "ADNI3,002_S_0001,1,bl,bl,2017-03-01,7,,1,2,",
        "ADNI3,002_S_0002,2,bl,bl,2017-03-01,unsure,,1,2,",
        "ADNI3,002_S_0003,3,bl,bl,2017-03-01,7,,1,2,",
        "ADNI3,002_S_0004,4,bl,bl,2017-03-01,1,,1,2,",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {1: [(0, "n/a")], 2: [(0, "n/a")], 3: [(0, "n/a")], 4: [(0, "CN")]}
    assert found.warnings == (
        "DXSUM.csv:DIAGNOSIS: values that are no diagnosis known here count as missing: '7' (2), 'unsure' (1)",
    )


@pytest.mark.parametrize(
    ("header", "row", "parts"),
    [
        (
            OLD_SUMMARY,
            "ADNI2,2,816,2,v11,m12,2006-03-02,2006-03-01,5,2,,x",
            ["DXSUM.csv: row 3, column 'DXCHANGE': says AD", "column 'DXCURREN' of the same row says MCI"],
        ),
        (
            NEW_SUMMARY,
            "ADNI1,002_S_0816,817,bl,bl,2006-03-01,3,,1,2,",
            ["row 3, column 'RID': 817", "'002_S_0816'", "two name different people"],
        ),
        (
            NEW_SUMMARY,
            "ADNI1,,,bl,bl,2006-03-01,3,,1,2,",
            ["row 3, column 'RID': nobody is named"],
        ),
        (
            NEW_SUMMARY,
            "ADNI1,002_S_0816,abc,bl,bl,2006-03-01,3,,1,2,",
            ["row 3, column 'RID'", "'abc'", "a number is needed"],
        ),
        (
            NEW_SUMMARY,
            "ADNI1,002_S_0816,816,bl,bl,spring,3,,1,2,",
            ["row 3, column 'EXAMDATE'", "'spring'", "a date is needed"],
        ),
        (
            "Phase,RID,VISCODE,EXAMDATE",
            "ADNI1,816,bl,2006-03-01",
            ["DXSUM.csv: no column with a diagnosis (DX, DIAGNOSIS, DXCHANGE or DXCURREN)"],
        ),
    ],
)
def test_refused_tables(tmp_path: Path, spec: CohortSpec, header: str, row: str, parts: list[str]) -> None:
    good = {
        OLD_SUMMARY: "ADNI1,2,7,2,bl,bl,2006-03-02,2006-03-01,2,2,,x",
        NEW_SUMMARY: "ADNI1,002_S_0007,7,bl,bl,2006-03-01,2,,1,2,",
    }
    put(tmp_path / "DXSUM.csv", header, good.get(header, "ADNI1,7,bl,2006-03-01"), row)
    with pytest.raises(CohortError) as caught:
        read_diagnoses(tmp_path, spec)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_codings_of_a_row_that_agree(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM.csv",
        OLD_SUMMARY,
        "ADNI2,2,816,2,v11,m12,2006-03-02,2006-03-01,Conversion: MCI to Dementia,3,Dementia,x",
    )
    found = read(tmp_path, spec)
    assert courses(found) == {816: [(12, "AD")]}
    assert found.visits[816][0].source == "DXSUM.csv:DIAGNOSIS"


def test_people_come_from_their_earliest_row_with_a_value(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "ADNIMERGE.csv",
        MERGE,
        "816,ADNI2,002_S_0816,2,m72,2012-03-01,-4,75.1,2,3 Tesla MRI,Dementia,72,72",
        "816,ADNI1,002_S_0816,2,bl,2006-03-01,SMC,,1,-4,CN,0,0",
    )
    found = read(tmp_path, spec)
    person = found.people[816]
    assert (person.baseline_age, person.sex, person.enrolment) == (75.1, "1", "SMC")
    assert [visit.field_strength for visit in found.visits[816]] == ["n/a", "3 Tesla MRI"]
