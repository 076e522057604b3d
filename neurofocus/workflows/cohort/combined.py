"""Which cohorts a run is on, and where they lie: ``--cohort adni,oasis3 --data DIR1 --data DIR2``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofocus.errors import CohortError, ConfigError
from neurofocus.ingest.checks.overlaps import read_links
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from neurofocus.workflows.cohort.setup import find_data
from neurofocus.workflows.cohort.source import MoreCohorts

__all__ = ["CohortData", "cohort_data", "default_config", "find_cohorts", "load_cohort_specs"]


@dataclass(frozen=True)
class CohortData:
    """Where the data of a run lie.

    Attributes:
        folders: one a cohort, in the order of their names, or tables of scans; none for simulated cohorts.
        links: a table of participant_id and person_id: who is who in several cohorts.
    """

    folders: tuple[Path, ...] = ()
    links: Path | None = None

    def absolute(self) -> "CohortData":
        """Return the same places for a process that works in another folder."""
        links = None if self.links is None else self.links.absolute()
        return CohortData(tuple(folder.absolute() for folder in self.folders), links)


def cohort_data(data: Path | CohortData | None) -> CohortData:
    """Return where the data lie, also if only one folder or none was given."""
    if isinstance(data, CohortData):
        return data
    return CohortData(() if data is None else (data,))


def load_cohort_specs(names: str) -> tuple[CohortSpec, ...]:
    """Return the definitions of one cohort or of several, separated by commas.

    Raises:
        ConfigError: unknown names or keys.
    """
    if Path(names).is_file():  # a comma may be part of its name
        return (load_cohort_spec(names),)
    parts = [name.strip() for name in names.split(",")]
    return tuple(load_cohort_spec(name) for name in parts if name or not any(parts))


def default_config(specs: Sequence[CohortSpec]) -> str:
    """Return the configuration that all the cohorts name.

    Raises:
        ConfigError: if they name different ones.
    """
    named = {spec.name: spec.config for spec in specs}
    if len(set(named.values())) > 1:
        shown = ", ".join(f"{name}: {config}" for name, config in named.items())
        raise ConfigError(
            f"--cohort: the cohorts name different configurations ({shown}); choose one with --config"
        )
    return specs[0].config


def find_cohorts(specs: Sequence[CohortSpec], data: CohortData) -> tuple[Path, MoreCohorts]:
    """Return the first cohort's folder, and the further cohorts with theirs; simulated ones are made if need be.

    Raises:
        CohortError: if folders are missing, or there are more or fewer than cohorts.
    """
    if data.folders and len(data.folders) != len(specs):
        raise CohortError(
            f"--data: {len(data.folders)} folders for {len(specs)} cohorts "
            f"({', '.join(spec.name for spec in specs)}); give one --data a cohort, in the same order"
        )
    given = data.folders or (None,) * len(specs)
    roots = [find_data(spec, folder) for spec, folder in zip(specs, given, strict=True)]
    links = None if data.links is None else read_links(data.links)
    return roots[0], MoreCohorts(tuple(specs[1:]), tuple(roots[1:]), links)
