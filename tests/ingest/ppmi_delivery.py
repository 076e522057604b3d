"""A miniature PPMI delivery: four people of four cohorts, and the tables that PPMI gives beside the images."""

from pathlib import Path

from ingest.ida_delivery import IdaDelivery, Scan

from neurofocus.ingest.flow import CohortTable
from neurofocus.schema.cohort import CohortSpec, SeriesRule
from neurofocus.schema.load import load_cohort_spec

__all__ = ["EVERYONE", "HC", "IMAGES", "PD", "PRODROMAL", "ROWS", "SHIPPED", "SPEC", "STATUS", "SWEDD"]
__all__ += ["dropped", "labels", "ppmi_delivery", "row", "scan", "status"]

IMAGES = "PPMI_T1_3_12_2024.csv"
SHIPPED = load_cohort_spec("ppmi")
# Miniature volumes are not 100 slices thick.
SPEC: CohortSpec = SHIPPED.model_copy(
    update={
        "series": SeriesRule.model_validate(
            SHIPPED.series.model_dump() | {"min_slices": 3, "max_voxel_mm": 1.6}
        )
    }
)
STATUS = ["PATNO", "COHORT", "COHORT_DEFINITION", "ENROLL_DATE", "ENROLL_STATUS", "STATUS_DATE", "ENROLL_AGE"]
NAMES = {"1": "Parkinson's Disease", "2": "Healthy Control", "3": "SWEDD", "4": "Prodromal"}


def scan(patno: str, group: str, *, description: str = "MPRAGE GRAPPA", **other: str) -> Scan:
    plain = {"day": "2011-03-14", "visit": "Baseline", "kind": "Original", "sex": "M", "age": "61.2"}
    return Scan(patno, int(patno) + 200000, description=description, group=group, **(plain | other))  # type: ignore[arg-type]


PD = scan("3001", "PD")
HC = scan("3000", "Control", sex="F", age="69.1")
SWEDD = scan("3002", "SWEDD")
PRODROMAL = scan("3003", "Prodromal")
EVERYONE = [HC, PD, SWEDD, PRODROMAL]


def row(
    patno: str, code: str, *, status: str = "enrolled", age: str = "60.5", text: str | None = None
) -> list[str]:
    words = NAMES.get(code, "") if text is None else text
    return [patno, code, words, "01/2011", status, "05/2021", age]


ROWS = [row("3000", "2"), row("3001", "1"), row("3002", "3"), row("3003", "4")]


def ppmi_delivery(root: Path) -> IdaDelivery:
    """Write everyone's image and the image table; no other table."""
    made = IdaDelivery(root, project="PPMI")
    for item in EVERYONE:
        made.put(item)
    made.collection(EVERYONE, name=IMAGES)
    return made


def status(
    delivery: IdaDelivery, rows: list[list[str]], name: str = "Participant_Status_12Mar2024.csv"
) -> None:
    delivery.table(name, STATUS, rows)


def dropped(cohort: CohortTable) -> dict[str, int]:
    return {step.step: step.count for step in cohort.flow if step.kind == "dropped"}


def labels(cohort: CohortTable) -> dict[str, int]:
    return dict(zip(cohort.table["participant_id"], cohort.table["label"], strict=True))
