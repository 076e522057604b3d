"""A cohort as it was read, and the folds that its configuration asks for: own, by site, or ClinicaDL's."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurofocus.data.folds import Folds, given_folds, load_folds, make_folds, site_folds
from neurofocus.errors import CohortError, ConfigError
from neurofocus.ingest.checks.overlaps import Links
from neurofocus.ingest.clinicadl import Splits, read_splits, restrict_to_splits
from neurofocus.ingest.combine import combine_tables
from neurofocus.ingest.exclusions import leave_out, read_exclusions
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig

__all__ = ["CohortSource", "MoreCohorts", "read_cohort", "saved_or_new_folds"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MoreCohorts:
    """Cohorts that are combined with a first one.

    Attributes:
        specs: their definitions.
        roots: their folders, or tables of their scans.
        links: which participants are one person.
    """

    specs: tuple[CohortSpec, ...] = ()
    roots: tuple[Path, ...] = ()
    links: Links | None = None


@dataclass(frozen=True)
class CohortSource:
    """A cohort that was read, before any check of its images.

    Attributes:
        cohort: its table, without people who are in no split where splits are given.
        config: of the run; ``data.folds`` is the number that sites or splits make, and ``data.splits`` a digest of
            who is where in the splits instead of a folder, whose name could name a person.
        folders: of the cohorts by name; more than one if they are combined.
        splits: ClinicaDL's, if given.
    """

    cohort: CohortTable
    config: RunConfig
    folders: Mapping[str, Path]
    splits: Splits | None = None


def read_cohort(
    spec: CohortSpec, root: Path, config: RunConfig, *, more: MoreCohorts | None = None
) -> CohortSource:
    """Read a cohort, or several that are combined, and find out how many folds they make.

    Args:
        spec: the cohort's definition.
        root: its folder, or a table of its scans.
        config: of the run.
        more: further cohorts, and who is who in them.

    Raises:
        CohortError: unreadable tables, a leak in the splits, or too few sites.
        ConfigError: ``data.folds`` was set and is not the number of folds that sites or splits make.
    """
    exclusions = None if config.data.exclude is None else read_exclusions(Path(config.data.exclude))
    if exclusions is not None:  # a folder's name could name a person
        kept = config.data.model_copy(update={"exclude": f"sha256:{exclusions.digest}"})
        config = config.model_copy(update={"data": kept})
    data = config.data
    splits = None if data.splits is None else read_splits(Path(data.splits))
    more = more or MoreCohorts()
    specs, roots = (spec, *more.specs), (root, *more.roots)
    tables = [load_cohort(each, place) for each, place in zip(specs, roots, strict=True)]
    cohort = combine_tables(specs, tables, more.links)
    if exclusions is not None:
        cohort = leave_out(cohort, exclusions, spec)
    folders = {
        each.name: place.parent if place.is_file() else place
        for each, place in zip(specs, roots, strict=True)
    }
    if splits is not None:
        number, why = len(splits.test), f"the splits in {data.splits} are"
        source = CohortSource(
            restrict_to_splits(cohort, splits, spec),
            _with_folds(config, number, why, f"sha256:{splits.digest}"),
            folders,
            splits,
        )
        _draw(source, spec)  # refused now if it cannot be used, before a run is started
        return source
    if data.scheme == "leave_site_out":
        number = _draw(CohortSource(cohort, config, folders), spec).num_folds
        return CohortSource(cohort, _with_folds(config, number, "the sites of the cohort make"), folders)
    return CohortSource(cohort, config, folders)


def saved_or_new_folds(path: Path, source: CohortSource, spec: CohortSpec) -> Folds:
    """Return the folds of an interrupted run, or draw new ones.

    Args:
        path: folds.tsv, which need not be there.
        source: the cohort.
        spec: its definition.

    Raises:
        CohortError: if the cohort, or what its folds follow from, changed since they were saved; or as drawing does.
    """
    if not path.exists():
        folds = _draw(source, spec)
        _tell_sites(source, folds)
        return folds
    folds = load_folds(path, source.cohort.table)
    follows = source.splits is not None or source.config.data.scheme == "leave_site_out"
    if follows and not _draw(source, spec).frame.astype(str).equals(folds.frame.astype(str)):
        raise CohortError(
            f"{path}: the sites or splits changed since these folds were drawn; restore them, choose another --out, "
            "or start over with --fresh"
        )
    return folds


def _with_folds(config: RunConfig, number: int, why: str, splits: str | None = None) -> RunConfig:
    data = config.data
    if "folds" in data.model_fields_set and data.folds != number:
        raise ConfigError(
            f"data.folds={data.folds} (--folds): {why} {number} folds; leave it out, or set it to {number}"
        )
    return config.model_copy(update={"data": data.model_copy(update={"folds": number, "splits": splits})})


def _draw(source: CohortSource, spec: CohortSpec) -> Folds:
    table, data, seed = source.cohort.table, source.config.data, source.config.seed
    fraction, rule = data.validation_fraction, spec.session_rule
    if source.splits is not None:
        train, test = source.splits.train, source.splits.test
        parts = {number: (train[number].people, test[number].people) for number in test}
        return given_folds(table, parts, fraction, seed, session_rule=rule)
    if data.scheme == "leave_site_out":
        return site_folds(table, data.min_site_people, fraction, seed, session_rule=rule)
    return make_folds(table, data.folds, fraction, seed, session_rule=rule)


def _tell_sites(source: CohortSource, folds: Folds) -> None:
    """Log which sites each fold tests, where folds follow sites."""
    if source.config.data.scheme != "leave_site_out":
        return
    table = source.cohort.table
    for number in range(1, folds.num_folds + 1):
        rows = table.iloc[folds.positions(table, number, "test")]
        sites, people = sorted(set(rows["site"])), rows["participant_id"].nunique()
        shown = ", ".join(sites[:8]) + (", …" if len(sites) > 8 else "")
        _LOG.info("fold %d tests %d people of %d sites: %s", number, people, len(sites), shown)
