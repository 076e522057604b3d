"""Several cohorts become one: the same labels, every person once, and no person on two sides."""

from pathlib import Path

import pandas as pd
import pytest

from neurofocus.data.folds import make_folds
from neurofocus.errors import CohortError, ConfigError
from neurofocus.ingest.checks.overlaps import Links, read_links, shared_people
from neurofocus.ingest.combine import combine_specs, combine_tables
from neurofocus.ingest.flow import CohortTable, flow_step
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


def spec(name: str, **changes: object) -> CohortSpec:
    values = {
        "name": name,
        "title": name.upper(),
        "description": f"about {name}",
        "layout": "bids",
        "classes": {"CN": ["CN"], "AD": ["AD"]},
    }
    return CohortSpec.model_validate(values | changes)


def cohort(name: str, people: list[str], sessions: list[str] | None = None) -> CohortTable:
    """Labels alternate by the order of people."""
    labels = [number % 2 for number in range(len(people))]
    table = pd.DataFrame(
        {
            "participant_id": people,
            "session_id": sessions or ["n/a"] * len(people),
            "path": [f"/{name}/{person}.nii" for person in people],
            "label": labels,
            "session_order": 1,
            "cohort": name,
        }
    )
    step = flow_step("scans used", [("CN", "AD")[label] for label in labels])
    return CohortTable(table, (step,), (f"a warning of {name}",))


def test_one_cohort_stays_as_it_is() -> None:
    one, table = spec("one"), cohort("one", ["sub-1", "sub-2"])
    assert combine_specs([one]) is one
    assert combine_tables([one], [table]) is table


def test_two_cohorts() -> None:
    specs = [
        spec("one", expectations=[{"metric": "auc", "low": 0.5, "high": 0.6, "source": "x"}]),
        spec("two"),
    ]
    both = combine_specs(specs)
    assert both.name == "one+two"
    assert both.expectations == ()
    assert both.synthetic is False
    joined = combine_tables(specs, [cohort("one", ["sub-b", "sub-d"]), cohort("two", ["sub-a", "sub-c"])])
    assert joined.table["participant_id"].tolist() == ["sub-a", "sub-b", "sub-c", "sub-d"]
    assert joined.table["cohort"].tolist() == ["two", "one", "two", "one"]
    assert [(step.step, step.count) for step in joined.flow] == [
        ("one: scans used", 2),
        ("two: scans used", 2),
        ("scans used", 4),
    ]
    assert joined.flow[-1].by_label == {"AD": 2, "CN": 2}
    assert joined.warnings == ("one: a warning of one", "two: a warning of two")


def test_values_of_a_class_may_differ() -> None:
    both = combine_specs(
        [spec("one"), spec("two", classes={"CN": ["0"], "AD": ["0.5", "1"]}, synthetic=True)]
    )
    assert both.classes == {"CN": ["0", "CN"], "AD": ["0.5", "1", "AD"]}
    assert both.synthetic is True


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (spec("one"), "'one' is named twice"),
        (
            spec("two", classes={"AD": ["AD"], "CN": ["CN"]}),
            "'one' has the classes CN, AD, 'two' AD, CN; .*same order",
        ),
        (spec("two", classes={"CN": ["CN"], "PD": ["PD"]}), "classes CN, AD, 'two' CN, PD"),
        (spec("two", session_rule="all"), "session_rule is 'first' in 'one' and 'all' in 'two'"),
    ],
)
def test_cohorts_that_do_not_fit(other: CohortSpec, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        combine_specs([spec("one"), other])


@pytest.mark.parametrize("who", [("two", "three"), ("three", "two")])
def test_cohorts_that_share_people_are_refused(who: tuple[str, str]) -> None:
    """Either definition may say so, and it need not be about the first cohort."""
    specs = [
        spec("one"),
        *(spec(n, shares_people_with=[who[1]] if n == who[0] else []) for n in ("two", "three")),
    ]
    tables = [cohort(each.name, [f"sub-{each.name}1", f"sub-{each.name}2"]) for each in specs]
    with pytest.raises(CohortError, match=r"leak \(wrong split\): cohorts 'two' and 'three' share people"):
        combine_tables(specs, tables)
    everyone = {f"sub-{name}{number}": f"p-{name}{number}" for name in ("two", "three") for number in (1, 2)}
    assert len(combine_tables(specs, tables, Links("l.tsv", everyone)).table) == 6


def test_a_name_in_two_cohorts_is_refused_unless_it_is_linked() -> None:
    specs = [spec("one"), spec("two")]
    tables = [cohort("one", ["sub-1", "sub-2", "sub-3"]), cohort("two", ["sub-2", "sub-3", "sub-4"])]
    with pytest.raises(CohortError, match=r"'sub-2' is in cohorts 'one' and 'two' \(2 such names\)"):
        combine_tables(specs, tables)
    with pytest.raises(CohortError, match=r"'sub-3' is in .*\(1 such names\)"):
        combine_tables(specs, tables, Links("l.tsv", {"sub-2": "p"}))
    linked = combine_tables(specs, tables, Links("l.tsv", {"sub-2": "sub-2", "sub-3": "sub-3"}))
    assert linked.table[["participant_id", "session_id", "cohort"]].to_numpy().tolist() == [
        ["sub-1", "n/a", "one"],
        ["sub-2", "ses-2one", "one"],
        ["sub-3", "ses-3one", "one"],
        ["sub-4", "n/a", "two"],
    ]


def linked(rule: str) -> tuple[CohortSpec, CohortTable]:
    """Ten people of each cohort; the first four of one are the first four of two under other names."""
    specs = [spec(name, session_rule=rule, shares_people_with=["two"]) for name in ("one", "two")]
    names = [[f"sub-{letter}{number}" for number in range(10)] for letter in "ab"]
    tables = [
        cohort(name, people, ["ses-M0"] * 10) for name, people in zip(("one", "two"), names, strict=True)
    ]
    # The person's name may be a name of its own, or that in the other cohort.
    links = {
        "sub-a0": "X",
        "sub-b0": "X",
        "sub-b1": "sub-a1",
        "sub-a2": "sub-b2",
        "sub-a3": "Y",
        "sub-b3": "Y",
    }
    return combine_specs(specs), combine_tables(specs, tables, Links("l.tsv", links))


def test_a_linked_person_counts_once() -> None:
    _, both = linked("first")
    assert len(both.table) == 16
    assert both.table["participant_id"].is_unique
    people = both.table.set_index("participant_id")
    assert people.loc["X", ["session_id", "cohort"]].tolist() == ["ses-M0a0one", "one"]
    assert people.loc["sub-a1", ["session_id", "cohort"]].tolist() == ["ses-M0a1one", "one"]
    assert people.loc["sub-b2", ["session_id", "cohort"]].tolist() == ["ses-M0a2one", "one"]
    assert people.loc["sub-b9", "session_id"] == "ses-M0"
    (step,) = [step for step in both.flow if step.kind == "dropped"]
    assert (step.step, step.count) == ("the same person under an earlier identifier (links)", 4)


def test_all_scans_of_a_linked_person_are_in_one_part() -> None:
    _, both = linked("all")
    assert len(both.table) == 20
    assert not both.table.duplicated(["participant_id", "session_id"]).any()
    people = both.table.set_index(["participant_id", "cohort"])
    assert [people.loc[("X", name), "session_order"] for name in ("one", "two")] == [1, 2]
    assert [people.loc[("sub-a1", name), "session_order"] for name in ("one", "two")] == [1, 2]
    folds = make_folds(both.table, 4, 0.25, seed=0).frame
    for column in ("fold", "role_1", "role_2", "role_3", "role_4"):
        assert (folds.groupby("participant_id")[column].nunique() == 1).all()
    assert (folds.groupby("participant_id").size() == 2).sum() == 4


def test_links_that_name_nobody_are_told() -> None:
    specs = [spec("one"), spec("two")]
    tables = [cohort("one", ["sub-1", "sub-2"]), cohort("two", ["sub-3", "sub-4"])]
    both = combine_tables(specs, tables, Links("l.tsv", {"sub-9": "p", "sub-1": "q"}))
    assert "l.tsv: 1 of 2 participants are not in the cohorts (sub-9, …)" in both.warnings
    assert both.table["session_id"].tolist() == ["n/a"] * 4


@pytest.mark.parametrize("people", [{}, {"OAS3_1": "p", "OAS3_2": "q"}])
def test_links_of_other_people_unlock_nothing(people: dict[str, str]) -> None:
    specs = [spec("one", shares_people_with=["two"]), spec("two")]
    tables = [cohort("one", ["sub-a1", "sub-a2"]), cohort("two", ["sub-b1", "sub-b2"])]
    with pytest.raises(CohortError, match=r"--links l\.tsv: names nobody of the cohorts \(.*sub-a1"):
        combine_tables(specs, tables, Links("l.tsv", people))


def test_links_in_another_spelling() -> None:
    """Tables of who is who are written by hand: without sub-, with the archive's own signs and zeros."""
    specs = [spec("one", shares_people_with=["two"]), spec("two")]
    tables = [cohort("one", ["sub-OASIS10001", "sub-x"]), cohort("two", ["sub-OAS30007", "sub-007", "sub-y"])]
    both = combine_tables(specs, tables, Links("l.tsv", {"OAS1_0001": "P", "OAS30007": "P", "7": "P"})).table
    assert sorted(both["participant_id"]) == ["P", "sub-x", "sub-y"]


@pytest.mark.parametrize(
    "links",
    [
        {"sub-b1": "sub-a1", "sub-a1": "P1"},  # the other cohort's name, which has a name of its own
        {"sub-b1": "sub-a1", "sub-a1": "sub-b1"},
        {"sub-b1": "sub-a1", "sub-c1": "sub-b1"},  # three cohorts, linked two by two
    ],
)
def test_links_of_links(links: dict[str, str]) -> None:
    specs = [spec(name, session_rule="all") for name in ("one", "two", "three")]
    tables = [
        cohort(name, [f"sub-{letter}1", f"sub-{letter}2"])
        for name, letter in zip(("one", "two", "three"), "abc", strict=True)
    ]
    both = combine_tables(specs, tables, Links("l.tsv", links)).table
    people = {*links, *links.values()} - {"P1"}
    linked = both[[Path(path).stem in people for path in both["path"]]]
    assert len(linked) == len(people)
    assert linked["participant_id"].nunique() == 1
    assert both["participant_id"].nunique() == 7 - len(people)


@pytest.mark.parametrize("parts", [1, 2])
def test_oasis_studies_share_people_whatever_the_cohorts_are_called(parts: int) -> None:
    """A BIDS copy of OASIS-1 beside OASIS-3, or a table that holds both: the identifiers tell."""
    people = [["sub-OASIS10001", "sub-OASIS10002"], ["sub-OAS30001", "sub-OAS30002"]]
    specs = [spec("one"), spec("two")][:parts]
    tables = (
        [cohort("one", people[0]), cohort("two", people[1])]
        if parts == 2
        else [cohort("one", [*people[0], *people[1]])]
    )
    with pytest.raises(
        CohortError,
        match=r"leak \(wrong split\): 'sub-OASIS10001' is of OASIS-1, 'sub-OAS30001' of OASIS-3.*--links",
    ):
        combine_tables(specs, tables)
    assert len(combine_tables(specs, tables, Links("l.tsv", {"sub-OASIS10001": "p"})).table) == 4


def test_links_that_leave_one_label() -> None:
    specs = [spec("one"), spec("two")]
    tables = [cohort("one", ["sub-1", "sub-2"]), cohort("two", ["sub-3", "sub-4"])]
    everyone = Links("l.tsv", {f"sub-{number}": "p" for number in range(1, 5)})
    with pytest.raises(CohortError, match="fewer than two labels are left"):
        combine_tables(specs, tables, everyone)


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_read_links(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "links.csv"
    path.write_text(
        f"\ufeffperson_id{mark}participant_id\r\np{mark}sub-1\r\np{mark}sub-2\r\n", encoding="utf-8"
    )
    assert read_links(path) == Links("links.csv", {"sub-1": "p", "sub-2": "p"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("participant_id\tperson\nsub-1\tp\n", "no column 'person_id'; it has participant_id, person"),
        ("participant_id\tperson_id\nsub-1\t\n", "row 2 has no person_id"),
        (
            "participant_id\tperson_id\nsub-1\tp\nsub-1\tq\n",
            "row 3: participant 'sub-1' is person 'q' here and 'p'",
        ),
    ],
)
def test_links_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "links.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(CohortError, match=rf"--links .*links\.tsv: {words}"):
        read_links(tmp_path / "links.tsv")


@pytest.mark.parametrize(
    "names",
    [
        ("oasis1", "oasis3"),
        ("oasis2", "oasis1"),
        ("oasis", "oasis1"),
        ("oasis3", "oasis"),
        ("adni", "adni-mci"),
    ],
)
def test_shipped_cohorts_that_share_people(names: tuple[str, str]) -> None:
    """Known overlaps: the OASIS studies of one centre, and the same archive under another label rule."""
    one, other = (load_cohort_spec(name) for name in names)
    assert shared_people(one, other)


@pytest.mark.parametrize("names", [("adni", "oasis3"), ("adni", "oasis1"), ("ppmi", "oasis3")])
def test_shipped_cohorts_that_do_not(names: tuple[str, str]) -> None:
    one, other = (load_cohort_spec(name) for name in names)
    assert not shared_people(one, other)


def test_adni_and_oasis_have_the_same_classes() -> None:
    assert combine_specs([load_cohort_spec("adni"), load_cohort_spec("oasis3")]).name == "adni+oasis3"
