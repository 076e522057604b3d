"""The one way in: a cohort definition and a folder become a table."""

from pathlib import Path

from neurofocus.ingest.bids.caps import read_caps
from neurofocus.ingest.bids.reader import read_bids
from neurofocus.ingest.flow import CohortTable, FlowStep
from neurofocus.ingest.ida.reader import read_ida
from neurofocus.ingest.inclusion import include
from neurofocus.ingest.oasis.oasis1 import read_oasis1
from neurofocus.ingest.oasis.oasis2 import read_oasis2
from neurofocus.ingest.oasis.oasis3 import read_oasis3
from neurofocus.ingest.table.reader import read_table
from neurofocus.schema.cohort import CohortSpec

__all__ = ["CohortTable", "FlowStep", "load_cohort"]

_READERS = {
    "bids": read_bids,
    "caps": read_caps,
    "ida": read_ida,
    "oasis1": read_oasis1,
    "oasis2": read_oasis2,
    "oasis3": read_oasis3,
    "table": read_table,
}


def load_cohort(spec: CohortSpec, data: Path) -> CohortTable:
    """Read a delivered cohort by the layout that its definition names, and apply the definition's rules.

    Args:
        spec: the cohort definition.
        data: the cohort's folder. A file is a table of scans, whatever the layout: what ``cohort scan`` wrote.

    Raises:
        CohortError: naming the file, column, row or value to mend.
    """
    reader = read_table if data.is_file() else _READERS[spec.layout]
    return include(reader(data, spec), spec)
