"""The rules of a cohort definition, each alone, on tables made by hand."""

from typing import Any

import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable, FlowStep
from neurofocus.ingest.inclusion import include
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import AgeLimits, CohortSpec, SeriesRule


def spec(**changes: Any) -> CohortSpec:
    values = {
        "name": "mini",
        "title": "mini",
        "description": "mini",
        "layout": "ida",
        "classes": {"CN": ["CN"], "AD": ["AD", "Dementia"]},
    }
    return CohortSpec.model_validate(values | changes)


def scans(*rows: dict[str, Any]) -> FoundScans:
    plain = {"session_id": "ses-1", "diagnosis": "CN", "age": "70"}
    named = [
        {"participant_id": f"sub-{number}", "path": f"/{number}.nii"} | plain | row
        for number, row in enumerate(rows)
    ]
    return FoundScans(pd.DataFrame(named), "T.csv", (FlowStep("found", len(rows), {}),))


def dropped(cohort: CohortTable) -> dict[str, dict[str, int]]:
    return {step.step: dict(step.by_label) for step in cohort.flow if step.kind == "dropped"}


def test_every_rule_counts_what_it_drops_by_label() -> None:
    found = scans(
        {},
        {"diagnosis": "Dementia", "age": "59"},
        {"diagnosis": "AD"},
        {"diagnosis": "MCI"},
        {"diagnosis": "n/a"},
        {"description": "Localizer"},
        {"diagnosis": "AD", "age": "n/a"},
    )
    rule = spec(ages=AgeLimits(min=60, max=90), series=SeriesRule(exclude=("*localizer*",)))
    cohort = include(found, rule)
    assert cohort.table["participant_id"].tolist() == ["sub-0", "sub-2", "sub-6"]
    assert dropped(cohort) == {
        "series excluded by the cohort definition: 'Localizer' (1)": {"CN": 1},
        "diagnosis is n/a": {"n/a": 1},
        "diagnosis of no class: 'MCI' (1)": {"MCI": 1},
        "age outside 60 to 90 years": {"AD": 1},
    }
    assert cohort.flow[0].step == "found"
    assert (cohort.flow[-1].step, cohort.flow[-1].count) == ("scans used", 3)
    assert cohort.warnings == ("1 scans of unknown age are kept: the age limits cannot be applied",)


def test_the_preferred_series_of_a_visit_is_used() -> None:
    same = {"participant_id": "sub-a"}
    found = scans(
        same | {"description": "MP-RAGE", "path": "/raw"},
        same | {"description": "MPR; GradWarp; B1 Correction; N3; Scaled", "path": "/scaled"},
        same | {"description": "MPR__GradWarp__N3m", "path": "/n3m"},
        {"diagnosis": "AD", "description": "MPRAGE_REPEAT"},
    )
    table = include(found, spec(series=SeriesRule(prefer=("* scaled", "* n3m")))).table
    assert table["path"].tolist() == ["/3.nii", "/scaled"]


def test_only_accepted_descriptions_are_used_and_unknown_ones_stay() -> None:
    found = scans(
        {"description": "Sag_3D-MPRAGE"},
        {"description": "AX T2", "diagnosis": "AD"},
        {"diagnosis": "AD"},
    )
    cohort = include(found, spec(series=SeriesRule(accept=("*mprage*",))))
    assert cohort.table["participant_id"].tolist() == ["sub-0", "sub-2"]
    assert list(dropped(cohort)) == ["series not among those the cohort definition accepts: 'AX T2' (1)"]


@pytest.mark.parametrize(
    ("rule", "kept"), [("first", ["ses-b", "ses-1"]), ("all", ["ses-a", "ses-b", "ses-1"])]
)
def test_the_session_rule(rule: str, kept: list[str]) -> None:
    same = {"participant_id": "sub-a", "path": "/x"}
    found = scans(
        same | {"session_id": "ses-a", "acq_time": "2012-01-01"},
        same | {"session_id": "ses-b", "acq_time": "2011-01-01"},
        {"participant_id": "sub-b", "diagnosis": "AD"},
    )
    assert include(found, spec(session_rule=rule)).table["session_id"].tolist() == kept


def test_nothing_left_is_an_error_with_the_counts() -> None:
    with pytest.raises(CohortError, match=r"T\.csv: no scan is left \(age outside 80 to 150 years: 2\)"):
        include(scans({}, {"diagnosis": "AD"}), spec(ages=AgeLimits(min=80)))


def test_a_class_without_scans_is_told_with_the_values_that_no_class_lists() -> None:
    cohort = include(scans({}, {"diagnosis": "ad"}, {"diagnosis": "n/a"}), spec())
    (warning,) = cohort.warnings
    assert warning.startswith("NO SCAN OF CLASS AD (column 'diagnosis', accepted 'AD', 'Dementia'); ")
    assert warning.endswith("values of no class are 'ad' (1); did you mean 'AD'?")
    (warning,) = include(scans({}, {"diagnosis": "AD", "age": "20"}), spec(ages=AgeLimits(min=60))).warnings
    assert warning.startswith("NO SCAN OF CLASS AD")
    assert warning.endswith("; see the inclusion flow")
