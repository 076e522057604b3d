"""Series and sessions of PPMI by the shipped definition: names met there, geometry, the first visit."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from ingest.ida_delivery import IdaDelivery
from ingest.ppmi_delivery import (
    EVERYONE,
    IMAGES,
    ROWS,
    SHIPPED,
    SPEC,
    dropped,
    labels,
    row,
    scan,
    status,
)

from neurofocus.ingest.load import load_cohort
from neurofocus.ingest.series import unusable_series


@pytest.mark.parametrize(
    "name",
    [
        *(
            "MPRAGE",
            "MPRAGE_GRAPPA",
            "MPRAGE GRAPPA2(adni)",
            "SAG_3D_MPRAGE",
            "MPRAGEadni",
            "rpt_PPMI_MPRAGE_GRAPPA2",
        ),
        *("3D T1-weighted", "3D_T1-weighted", "3DT1weighted", "3D Sagittal T1", "T1-weighted, 3D VOLUMETRIC"),
        *("sT1W_3D_TFE", "sT1W_3D_FFE", "sT1W_3D_ISO", "T1W_3D_FFE COR", "Accelerated Sag IR-FSPGR"),
        *(
            "SAG FSPGR 3D VOLUMETRIC T1",
            "axial spgr",
            "SAG FSPGR BRAVO",
            "t1_mpr_ns_sag_p2_iso",
            "SAG 3D MPR",
        ),
        *("T1", "T1 REPEAT2", "Sag T1", "SAG MPRAGE GRAPPA2-NEW2016", "3D SAG"),
    ],
)
def test_series_names_accepted(name: str) -> None:
    folder = name.replace(" ", "_").replace(",", "_")
    assert [name_ for name_ in (name, folder) if reason(name_)] == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "2D GRE-MT",
            "2D GRE - MT",
            "AX GRE -MT",
            "NM-GRE",
            "Axial oblique 2D T1w Neuromelanin",
            "AX T1 SE C+",
        ),
        *(
            "SAG T1 SE",
            "3D T1-weighted_MPR_Cor",
            "3D T1-weighted_MPR_tra",
            "MPRAGE GRAPPA_ND",
            "3D T1-weighted_ND",
        ),
        *(
            "LOCALIZER",
            "3 Plane Localizer",
            "MPRAGE Phantom GRAPPA2",
            "3D T2 FLAIR",
            "Axial PD-T2 TSE",
            "DTI_gated",
        ),
        *("ax t1 reformat", "SURVEY", "SAG", "COR", "DaTSCAN", "T1 AXIAL", "rsfMRI_RL", "MPR - SmartBrain"),
    ],
)
def test_series_names_left_out(name: str) -> None:
    folder = name.replace(" ", "_").replace("+", "_")
    assert reason(name) and reason(folder)


def reason(description: str) -> str:
    return str(unusable_series(pd.Series([description]), SHIPPED.series).iloc[0])


def test_thin_slices_of_a_whole_head_only(delivery: IdaDelivery) -> None:
    thick = scan("3004", "PD", description="T1")
    few = scan("3005", "PD", description="SAG_3D_MPRAGE")
    delivery.put(thick, voxel_mm=(5.0, 1.0, 1.0), form="nii.gz")
    delivery.put(few, shape=(2, 4, 5), form="dicom")
    delivery.collection([*EVERYONE, thick, few], name=IMAGES)
    status(delivery, [*ROWS, row("3004", "1"), row("3005", "1")])
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    reasons = dropped(cohort)
    assert reasons["voxels longer than 1.6 mm: 'T1' (1)"] == 1
    assert reasons["fewer than 3 slices: 'SAG_3D_MPRAGE' (1)"] == 1
    assert (SHIPPED.series.min_slices, SHIPPED.series.max_voxel_mm) == (100, 1.6)


def test_the_first_session_counts(delivery: IdaDelivery) -> None:
    later = scan("3000", "Control", day="2012-03-14", visit="Month 12")
    later = replace(later, image=300001)
    earlier = replace(later, image=300002, day="2011-01-02", visit="Screening")
    for item in (later, earlier):
        delivery.put(item, leaf="S", form="dicom")
    delivery.collection([*EVERYONE, later, earlier], name=IMAGES)
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    first = cohort.table.iloc[0]
    assert (first["session_id"], first["image_id"]) == ("ses-Screening", "I300002")
    assert Path(first["path"]).is_dir()
    assert dropped(cohort)["a later session of the same participant"] == 2
