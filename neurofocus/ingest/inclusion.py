"""From all scans of a delivery to those of the cohort: the definition's rules, one after another, all counted."""

from collections.abc import Iterator

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import COHORT_COLUMNS, CohortTable, FlowStep, flow_step
from neurofocus.ingest.labels import class_of, describe_values, refuse_without_labels, suggest
from neurofocus.ingest.scans import FoundScans, with_all_columns
from neurofocus.ingest.selection import first_variant, session_order
from neurofocus.ingest.series import series_rank, unusable_series
from neurofocus.ingest.series_geometry import unusable_geometry
from neurofocus.ingest.values import normal_sex, years
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["include"]

_NUMBERS = ("age", "label", "session_order")


def include(found: FoundScans, spec: CohortSpec) -> CohortTable:
    """Apply the rules of a cohort definition to the scans that were found.

    In order: the series may be used, by its description and its geometry; there is a diagnosis; a class lists it; the age lies within the limits; the
    best scan of its session; the first session of its participant (unless later ones train or count too).

    Raises:
        CohortError: if no diagnosis has a class, or no scan is left.
    """
    frame = with_all_columns(found.frame)
    refuse_without_labels(frame["diagnosis"], spec, found.source)
    ages, warnings = years(frame["age"], found.source)
    frame = frame.assign(
        age=ages,
        sex=normal_sex(frame["sex"]),
        site=frame["site"].replace(MISSING, "unknown"),
        rank=series_rank(frame["description"], spec.series),
        shown=[class_of(value, spec) or value for value in frame["diagnosis"]],
    )
    kept, dropped = _apply_rules(frame, spec)
    if kept.empty:
        raise CohortError(
            f"{found.source}: no scan is left ("
            + "; ".join(f"{step.step}: {step.count}" for step in dropped if step.count)
            + "); mend the data or the rules in the cohort definition"
        )
    flow = (*found.steps, *dropped, flow_step("scans used", kept["shown"]))
    table = kept.assign(
        label=kept["shown"].map(list(spec.classes).index).astype("int64"),
        session_order=session_order(kept),
        cohort=spec.name,
    )
    table = table.sort_values(["participant_id", "session_id"], ignore_index=True)[list(COHORT_COLUMNS)]
    table = table.astype({name: str for name in COHORT_COLUMNS if name not in _NUMBERS})
    unknown = int(table["age"].isna().sum())
    if unknown and spec.ages.model_fields_set:
        warnings = (*warnings, f"{unknown} scans of unknown age are kept: the age limits cannot be applied")
    shown = tuple(step for step in flow if step.kind == "kept" or step.count)
    return CohortTable(table, shown, (*found.warnings, *warnings, *_empty_classes(frame, kept, spec)))


def _empty_classes(frame: pd.DataFrame, kept: pd.DataFrame, spec: CohortSpec) -> Iterator[str]:
    """Say which class has no scan, and which values might have been meant."""
    for name, values in spec.classes.items():
        if name in set(kept["shown"]):
            continue
        other = frame.loc[~frame["shown"].isin([*spec.classes, MISSING]), "diagnosis"]
        near = next((hint for value in other.unique() if (hint := suggest(value, values))), "")
        seen = f"values of no class are {describe_values(other)}" if len(other) else "see the inclusion flow"
        accepted = ", ".join(repr(value) for value in values)
        yield f"NO SCAN OF CLASS {name} (column {spec.label_column!r}, accepted {accepted}); {seen}{near}"


def _apply_rules(frame: pd.DataFrame, spec: CohortSpec) -> tuple[pd.DataFrame, list[FlowStep]]:
    """Return the rows that stay and a step for each rule."""
    steps: list[FlowStep] = []

    def keep(rows: pd.DataFrame, mask: pd.Series, reason: str) -> pd.DataFrame:
        steps.append(flow_step(reason, rows.loc[~mask, "shown"], kind="dropped"))
        return rows[mask]

    reasons = unusable_series(frame["description"], spec.series)
    usable = reasons == ""
    reasons[usable] = unusable_geometry(list(frame.loc[usable, "path"]), spec.series)
    rows = frame
    for reason in sorted(set(reasons) - {""}):
        outside = describe_values(frame.loc[reasons == reason, "description"])
        rows = keep(rows, reasons.reindex(rows.index) != reason, f"{reason}: {outside}")
    rows = keep(rows, rows["diagnosis"] != MISSING, f"{spec.label_column} is n/a")
    known = rows["diagnosis"].map(lambda value: class_of(value, spec) is not None).astype(bool)
    outside = describe_values(rows.loc[~known, "diagnosis"])
    rows = keep(rows, known, f"{spec.label_column} of no class: {outside}")
    limits = spec.ages
    in_age = rows["age"].isna() | rows["age"].between(limits.min, limits.max)
    rows = keep(rows, in_age, f"age outside {limits.min:g} to {limits.max:g} years")
    rows = keep(rows, first_variant(rows), "another run or variant in the same session")
    if spec.session_rule == "first":
        rows = keep(rows, session_order(rows) == 1, "a later session of the same participant")
    return rows, steps
