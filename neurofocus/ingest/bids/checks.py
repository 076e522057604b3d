"""Labels of BIDS data sets that are known to be wrong or lost, found before anyone trains on them.

Both cases are faults of Clinica 0.12.0's converters, found by running its functions on made-up tables.
"""

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.labels import class_of
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["lost_labels", "mixed_labels"]


def lost_labels(found: pd.DataFrame, spec: CohortSpec) -> tuple[str, ...]:
    """Warn of scans without a label whose CDR says demented: ``oasis-to-bids`` loses exactly these labels.

    Args:
        found: columns diagnosis and cdr_global, one row a scan.
        spec: the cohort definition.

    Raises:
        CohortError: if a class has no scan at all and such scans are there.
    """
    ratings = pd.to_numeric(found["cdr_global"].astype(str).str.replace(",", "."), errors="coerce")
    lost = (ratings > 0) & (found["diagnosis"] == MISSING)
    if not lost.any():
        return ()
    text = (
        f"column {spec.label_column!r} is n/a for {int(lost.sum())} scans whose column 'cdr_global' is above 0 "
        "(Clinica's oasis-to-bids loses the diagnosis of demented people)"
    )
    mend = (
        "use the cohort oasis1 on the folder that OASIS delivered, or set 'label_column: cdr_global' with classes "
        'such as CN: ["0", "0.0"] and AD: ["0.5", "1", "1.0", "2", "2.0"] in the cohort definition'
    )
    known = {class_of(value, spec) for value in found["diagnosis"]}
    if empty := [name for name in spec.classes if name not in known]:
        raise CohortError(f"{text}, and no scan is left of class {', '.join(empty)}; {mend}")
    return (f"{text}: the labels that remain are no random part; {mend}",)


def mixed_labels(found: pd.DataFrame) -> tuple[str, ...]:
    """Refuse OASIS-3 labels from sessions tables that ``oasis3-to-bids`` made: they may belong to other people.

    That converter joins clinical scores on the session alone, so that everybody of a six-month session gets the
    first person's scores. Its sessions are called ses-M000, ses-M006 …; OASIS-3's own are called ses-d0129.

    Args:
        found: columns participant_id, session_id, diagnosis and diagnosis_source, one row a scan.

    Returns:
        A warning if such scans have labels from another table, which may have been made from those.

    Raises:
        CohortError: naming the number of scans and what to do instead.
    """
    clinica = (
        found["participant_id"].str.fullmatch(r"sub-OAS3\d{4}").astype(bool)
        & found["session_id"].str.fullmatch(r"ses-M\d+").astype(bool)
        & (found["diagnosis"] != MISSING)
    )
    if not clinica.any():
        return ()
    wrong = clinica & found["diagnosis_source"].str.contains("_sessions.tsv:", regex=False).astype(bool)
    fault = "Clinica's oasis3-to-bids gives people the clinical scores of others"
    mend = "use the cohort oasis3 on the tables that OASIS delivered"
    if wrong.any():
        first = found[wrong].iloc[0]
        raise CohortError(
            f"{first['diagnosis_source']}: {int(wrong.sum())} labels of OASIS-3 scans (first: "
            f"{first['participant_id']} {first['session_id']}) come from sessions tables; {fault}; {mend}, "
            "or give labels of your own as a table (cohort table)"
        )
    stands = found["diagnosis_source"][clinica].iloc[0]
    text = f"{int(clinica.sum())} OASIS-3 scans in six-month sessions: {fault}"
    return (f"{text}; if {stands} was made from its sessions tables, {mend}",)
