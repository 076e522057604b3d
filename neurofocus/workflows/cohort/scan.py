"""``neurofocus cohort scan``: a delivered folder becomes one table, with the count of what left and why."""

from pathlib import Path

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import write_tsv

__all__ = ["scan_cohort"]


def scan_cohort(spec: CohortSpec, root: Path, out: Path) -> CohortTable:
    """Read a cohort and write its table: one row a scan that a cross-validation would use.

    ``label`` holds the class name, ``path`` is absolute, ``*_source`` columns say where each value stands.
    ``neurofocus cohort check`` reads the file, and so does ``cv --cohort table --data FILE``.

    Args:
        spec: the cohort definition.
        root: the delivered folder.
        out: the file to write, .tsv.

    Raises:
        CohortError: unreadable tables or images, no usable diagnosis, or another suffix than .tsv.
    """
    if out.suffix.lower() != ".tsv":
        raise CohortError(f"--out {out}: the table is tab-separated; give a name that ends in .tsv")
    cohort = load_cohort(spec, root)
    classes = list(spec.classes)
    named = cohort.table.assign(label=[classes[number] for number in cohort.table["label"]])
    write_tsv(out, named)
    return cohort
