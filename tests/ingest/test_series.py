"""Which series are used: by the words of a description, and by what headers say of the geometry."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from ingest.ida_delivery import write_dicom

from neurofocus.ingest import series_geometry
from neurofocus.ingest.inclusion import include
from neurofocus.ingest.scans import FoundScans
from neurofocus.ingest.series import plain_words, series_rank, unusable_series
from neurofocus.ingest.series_geometry import Geometry, read_geometry, unusable_geometry
from neurofocus.schema.cohort import CohortSpec, SeriesRule

Triple = tuple[float, float, float]


def put(path: Path, shape: tuple[int, ...], voxel_mm: Triple) -> str:
    nib.Nifti1Image(np.zeros(shape, np.uint8), np.diag([*voxel_mm, 1.0])).to_filename(path)
    return str(path)


def test_words_are_the_same_in_tables_and_folders() -> None:
    table, folder = "MPR; GradWarp; B1 Correction; N3; Scaled", "MPR__GradWarp__B1_Correction__N3__Scaled"
    assert plain_words(table) == plain_words(folder) == "mpr gradwarp b1 correction n3 scaled"


def test_accept_exclude_prefer() -> None:
    rule = SeriesRule(accept=("*MP-RAGE*", "*mprage*"), exclude=("* _ND",), prefer=("* scaled", "*n3m"))
    names = pd.Series(["MP-RAGE", "MPRAGE_GRAPPA_ND", "Localizer", "n/a", "MPRAGE; N3m", "MPRAGE Scaled"])
    assert [reason[:12] for reason in unusable_series(names, rule)] == [
        "",
        "series exclu",
        "series not a",
        "",
        "",
        "",
    ]
    assert list(series_rank(names, rule)) == [2, 2, 2, 2, 1, 0]


@pytest.mark.parametrize(
    ("shape", "voxel_mm", "slices", "extent"),
    [
        ((160, 240, 256), (1.2, 1.0, 1.0), 160, 192.0),
        ((256, 256, 55), (1.0, 1.0, 3.0), 55, 165.0),
        ((176, 240, 256), (1.0, 1.0, 1.0), 176, 176.0),  # no coarsest axis: the fewest
        ((240, 180, 256), (1.0, 1.2 * (1 - 1e-7), 1.2), 180, 216.0),  # equal but for rounding
    ],
)
def test_slices_and_extent(shape: tuple[int, int, int], voxel_mm: Triple, slices: int, extent: float) -> None:
    geometry = Geometry(shape, voxel_mm)
    assert geometry.slices == slices
    assert geometry.extent_mm == pytest.approx(extent)


RULE = SeriesRule(min_slices=100, max_voxel_mm=1.6, min_extent_mm=140)


@pytest.mark.parametrize(
    ("shape", "voxel_mm", "reason"),
    [
        ((100, 140, 150), (1.6, 1.0, 1.0), ""),
        ((99, 140, 150), (1.6, 1.0, 1.0), "fewer than 100 slices"),
        ((100, 140, 150), (1.61, 1.0, 1.0), "voxels longer than 1.6 mm"),
        ((150, 139, 150), (1.0, 1.0, 1.0), "field of view below 140 mm"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".img"])
def test_limits_are_inclusive(
    tmp_path: Path, shape: tuple[int, int, int], voxel_mm: Triple, reason: str, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    maker = nib.AnalyzeImage if suffix == ".img" else nib.Nifti1Image
    maker(np.zeros(shape, np.uint8), np.diag([*voxel_mm, 1.0])).to_filename(path)
    assert unusable_geometry([str(path)], RULE) == [reason]


def test_units_of_the_header_count(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.diag([0.0012, 0.001, 0.001, 1.0]))
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "x.nii")
    geometry = read_geometry(tmp_path / "x.nii")
    assert geometry is not None
    assert geometry.voxel_mm == pytest.approx((1.2, 1.0, 1.0))


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_dicom_folder_counts_files_and_reads_one_header(tmp_path: Path, suffix: str) -> None:
    write_dicom(tmp_path, "PPMI_3000_I7", (6, 8, 10), (1.5, 0.9, 1.0), suffix=suffix)
    (tmp_path / ".DS_Store").touch()
    geometry = read_geometry(tmp_path)
    assert geometry is not None
    assert geometry.shape == (8, 10, 6)
    assert geometry.voxel_mm == pytest.approx((0.9, 1.0, 1.5))
    assert geometry.slices == 6


def test_slice_thickness_serves_where_scanners_write_no_distance(tmp_path: Path) -> None:
    write_dicom(tmp_path, "PPMI_3000_I7", (1, 8, 10), (1.5, 0.9, 1.0))
    (path,) = tmp_path.iterdir()
    # Spacing Between Slices becomes another tag (Echo Numbers), as if Siemens had written the file.
    data = path.read_bytes()
    assert data.count(b"\x18\x00\x88\x00") == 1
    path.write_bytes(data.replace(b"\x18\x00\x88\x00", b"\x18\x00\x86\x00"))
    geometry = read_geometry(tmp_path)
    assert geometry is not None
    assert geometry.voxel_mm == pytest.approx((0.9, 1.0, 1.5))  # GDCM alone says 1 mm


def test_other_formats_are_read_by_simpleitk(tmp_path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.Image([4, 5, 6], sitk.sitkUInt8)
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    assert read_geometry(tmp_path / "x.nrrd") == Geometry((4, 5, 6), (1.0, 1.0, 2.0))


def test_headers_that_cannot_be_read_are_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.nii").touch()
    (tmp_path / "text.nii.gz").write_bytes(b"no gzip")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "1.dcm").write_text("no DICOM")
    put(tmp_path / "flat.nii", (4, 5), (1, 1, 1))
    names = ["empty.nii", "text.nii.gz", "flat.nii", "folder", "text", "absent.nii"]
    paths = [str(tmp_path / name) for name in names]
    assert unusable_geometry(paths, RULE) == ["header cannot be read"] * 6


def spec(rule: SeriesRule) -> CohortSpec:
    return CohortSpec(
        name="m", title="m", description="m", layout="ida", classes={"A": ["A"], "B": ["B"]}, series=rule
    )


def scans(tmp_path: Path) -> FoundScans:
    good = put(tmp_path / "good.nii", (4, 4, 4), (1, 1, 1))
    thick = put(tmp_path / "thick.nii", (4, 4, 4), (1, 1, 5))
    rows = [
        ("1", good, "MPRAGE", "A"),
        ("2", thick, "MPRAGE", "A"),
        ("3", thick, "T1", "B"),
        ("4", str(tmp_path / "absent.nii"), "MPRAGE", "B"),
        ("5", good, "T1", "B"),
        ("6", str(tmp_path / "absent.nii"), "Localizer", "A"),
    ]
    columns = ["participant_id", "path", "description", "diagnosis"]
    return FoundScans(pd.DataFrame(rows, columns=columns), "T.csv")


def test_geometry_is_counted_by_reason_and_class(tmp_path: Path) -> None:
    rule = SeriesRule(exclude=("localizer",), max_voxel_mm=1.6)
    cohort = include(scans(tmp_path), spec(rule))
    dropped = {step.step: dict(step.by_label) for step in cohort.flow if step.kind == "dropped"}
    assert dropped == {
        "header cannot be read: 'MPRAGE' (1)": {"B": 1},
        "series excluded by the cohort definition: 'Localizer' (1)": {"A": 1},
        "voxels longer than 1.6 mm: 'MPRAGE' (1), 'T1' (1)": {"A": 1, "B": 1},
    }
    assert list(cohort.table["participant_id"]) == ["1", "5"]


def test_headers_are_read_only_where_they_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def read_and_note(path: Path) -> Geometry | None:
        read.append(path.name)
        return read_geometry(path)

    monkeypatch.setattr(series_geometry, "read_geometry", read_and_note)
    include(scans(tmp_path), spec(SeriesRule()))
    assert read == []
    include(scans(tmp_path), spec(SeriesRule(exclude=("localizer", "t1"), max_voxel_mm=1.6)))
    assert sorted(read) == ["absent.nii", "good.nii", "thick.nii"]
