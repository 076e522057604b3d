"""Several cohorts become one: the same labels, one table, every person once."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from neurofocus.errors import CohortError, ConfigError
from neurofocus.ingest.checks.overlaps import (
    Links,
    link_people,
    refuse_shared_names,
    refuse_shared_people,
    refuse_shared_studies,
    resolve_links,
)
from neurofocus.ingest.flow import CohortTable, FlowStep, flow_step
from neurofocus.schema.cohort import CohortSpec

__all__ = ["combine_specs", "combine_tables"]


def combine_specs(specs: Sequence[CohortSpec]) -> CohortSpec:
    """Return the definition of the combined cohort, "adni+oasis3"; a single one comes back as it is.

    Raises:
        ConfigError: a cohort named twice, other classes or another order of them, or another session rule.
    """
    if len(specs) == 1:
        return specs[0]
    first = specs[0]
    for position, spec in enumerate(specs[1:], start=1):
        if spec.name in {other.name for other in specs[:position]}:
            raise ConfigError(f"--cohort: {spec.name!r} is named twice; name each cohort once")
        if list(spec.classes) != list(first.classes):
            raise ConfigError(
                f"--cohort: {first.name!r} has the classes {', '.join(first.classes)}, {spec.name!r} "
                f"{', '.join(spec.classes)}; cohorts that are combined need the same names in the same order"
            )
        if spec.session_rule != first.session_rule:
            raise ConfigError(
                f"--cohort: session_rule is {first.session_rule!r} in {first.name!r} and {spec.session_rule!r} in "
                f"{spec.name!r}; cohorts that are combined need the same one"
            )
    name = "+".join(spec.name for spec in specs)
    return first.model_copy(
        update={
            "name": name,
            "title": "; ".join(spec.title for spec in specs),
            "description": "\n\n".join(f"{spec.name}: {spec.description.strip()}" for spec in specs),
            "classes": {
                label: sorted({v for spec in specs for v in spec.classes[label]}) for label in first.classes
            },
            "shares_people_with": tuple(
                sorted({other for spec in specs for other in spec.shares_people_with})
            ),
            "synthetic": any(spec.synthetic for spec in specs),
            "simulation": None,
            "expectations": (),  # an honest range holds for the cohort that it was found on
        }
    )


def combine_tables(
    specs: Sequence[CohortSpec], tables: Sequence[CohortTable], links: Links | None = None
) -> CohortTable:
    """Return one table of several cohorts; a single one comes back as it is unless there are links.

    A person of several cohorts (``links``) becomes one participant. Under session rule "first" only the scans
    from the cohort that is named first stay.

    Args:
        specs: the cohorts' definitions, in order.
        tables: what was read of each.
        links: who is who.

    Raises:
        CohortError: if people may be in several cohorts and nothing says who.
    """
    refuse_shared_people(specs, links)
    joined = pd.concat([part.table for part in tables], ignore_index=True)
    if links is None:
        refuse_shared_studies(joined)
        if len(tables) == 1:
            return tables[0]
    else:
        links = resolve_links(links, joined)
    refuse_shared_names(joined, links)
    flow = [
        replace(step, step=f"{spec.name}: {step.step}") if len(specs) > 1 else step
        for spec, part in zip(specs, tables, strict=True)
        for step in part.flow
    ]
    warnings = [
        f"{spec.name}: {text}" for spec, part in zip(specs, tables, strict=True) for text in part.warnings
    ]
    if links is not None:
        joined, told = link_people(joined, links)
        joined = joined.assign(session_order=_orders(joined, specs))
        warnings += told
        joined, step = _once_a_person(joined, specs)
        flow += [step] if step.count else []
    joined = joined.sort_values(["participant_id", "session_id"], ignore_index=True)
    return CohortTable(joined, (*flow, flow_step("scans used", _labels(joined, specs[0]))), tuple(warnings))


def _once_a_person(table: pd.DataFrame, specs: Sequence[CohortSpec]) -> tuple[pd.DataFrame, FlowStep]:
    """Leave out what the session rule forbids: of a person only the scan of the first cohort counts."""
    if specs[0].session_rule == "first":
        later = table["session_order"] > 1
    else:
        later = pd.Series(False, index=table.index)
    step = flow_step(
        "the same person under an earlier identifier (links)", _labels(table[later], specs[0]), kind="dropped"
    )
    if table.loc[~later, "label"].nunique() < 2:
        raise CohortError("--links: fewer than two labels are left; check who is linked with whom")
    return table[~later], step


def _orders(table: pd.DataFrame, specs: Sequence[CohortSpec]) -> pd.Series:
    """Return a person's sessions counted from 1: cohort by cohort, for nobody knows which one is earlier."""
    places = {spec.name: place for place, spec in enumerate(specs)}
    ordered = table.assign(place=table["cohort"].map(places)).sort_values(
        ["participant_id", "place", "session_order", "session_id"], kind="stable"
    )
    return (ordered.groupby("participant_id").cumcount() + 1).reindex(table.index).astype("int64")


def _labels(table: pd.DataFrame, spec: CohortSpec) -> list[str]:
    names = list(spec.classes)
    return [names[int(label)] for label in table["label"]]
