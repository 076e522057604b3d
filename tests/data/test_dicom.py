"""DICOM folders: one series is read with the right geometry; anything ambiguous is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofocus.data.geometry import apply_affine, flip_lps_ras, orientation_name, voxel_sizes
from neurofocus.data.volume import read_volume, volume_files
from neurofocus.errors import VolumeError

ROWS, COLUMNS, SLICES = 20, 24, 12
VALUES = np.random.default_rng(0).integers(0, 900, (COLUMNS, ROWS, SLICES))
ACROSS, DOWN, THICK = 1.5, 1.25, 2.0
# A sagittal series (LPS): columns to the back, rows to the feet, slices to the right... as many T1 scans are.
DIRECTIONS = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
ORIGIN = np.array([11.0, -70.0, 90.0])


def write_series(
    folder: Path,
    uid: str = "1.2.3.4",
    modality: str = "MR",
    skip: Callable[[int], bool] | None = None,
    *,
    more: dict[str, str] | None = None,
    compressor: str = "",
    place: Callable[[int], float] = float,
) -> None:
    """Write slices as a scanner does, names in an order that means nothing."""
    import SimpleITK as sitk

    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetUseCompression(bool(compressor))
    writer.SetCompressor(compressor)
    for number in range(SLICES):
        if skip is not None and skip(number):
            continue
        image = sitk.GetImageFromArray(np.ascontiguousarray(VALUES[:, :, number].T.astype(np.int16))[None])
        image.SetSpacing((ACROSS, DOWN, THICK))
        position = ORIGIN + DIRECTIONS[:, 2] * THICK * place(number)
        image.SetOrigin(position.tolist())
        image.SetDirection(DIRECTIONS.ravel().tolist())
        tags = {
            "0008|0060": modality,
            "0020|000e": uid,
            "0020|000d": "1.2.9",
            "0008|0018": f"{uid}.{number + 1}",
            "0020|0032": "\\".join(f"{value:g}" for value in position),
            "0020|0037": "\\".join(f"{value:g}" for value in [*DIRECTIONS[:, 0], *DIRECTIONS[:, 1]]),
            "0020|0013": str(number),
            "0010|0010": "SYNTHETIC^NOBODY",
            **(more or {}),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{(number * 7) % SLICES:03d}.dcm"))
        writer.Execute(image)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom") / "series"
    write_series(folder)
    return folder


def expected_affine() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS * (ACROSS, DOWN, THICK)
    affine[:3, 3] = ORIGIN
    return flip_lps_ras(affine)


def test_one_series(series: Path) -> None:
    volume = read_volume(series)
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.affine, expected_affine(), atol=1e-6)
    np.testing.assert_allclose(voxel_sizes(volume.affine), (ACROSS, DOWN, THICK))
    assert orientation_name(volume.affine) == orientation_name(expected_affine())
    assert volume.stem == "series"
    assert not any("modality" in line for line in volume.warnings)
    np.testing.assert_allclose(
        apply_affine(volume.affine, np.zeros(3)), (-ORIGIN[0], -ORIGIN[1], ORIGIN[2]), atol=1e-6
    )


def test_order_of_slices_comes_from_their_positions(series: Path, tmp_path: Path) -> None:
    shuffled = tmp_path / "shuffled"
    shutil.copytree(series, shuffled)
    for number, file in enumerate(sorted(shuffled.iterdir(), reverse=True)):
        file.rename(shuffled / f"IM{number:04d}")  # scanners often write no suffix
    volume = read_volume(shuffled)
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.affine, expected_affine(), atol=1e-6)


def test_two_series_are_refused_and_one_file_chooses(series: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(series, both)
    write_series(both, "1.2.3.5", skip=lambda number: number >= 9)
    with pytest.raises(
        VolumeError, match=r"^both: 2 DICOM series in one folder \(12, 9 images\); give one file"
    ):
        read_volume(both)
    assert read_volume(both / "1.2.3.4-000.dcm").array.shape == VALUES.shape
    assert read_volume(both / "1.2.3.5-000.dcm").array.shape == (COLUMNS, ROWS, 9)
    (both / "1.2.3.5-000.dcm").rename(both / "IM7")
    assert read_volume(both / "IM7").array.shape == (COLUMNS, ROWS, 9)
    assert both / "1.2.3.4-000.dcm" in volume_files(both / "IM7")


@pytest.mark.parametrize(("missing", "says"), [({5}, "1 slice"), ({4, 5, 6}, "3 slice")])
def test_missing_slices_are_refused(tmp_path: Path, missing: set[int], says: str) -> None:
    write_series(tmp_path / "gap", skip=lambda number: number in missing)
    with pytest.raises(
        VolumeError, match=rf"gap: {says}\(s\) missing, the first gap after slice {min(missing)} of"
    ):
        read_volume(tmp_path / "gap")


def test_doubled_positions_are_refused(series: Path, tmp_path: Path) -> None:
    double = tmp_path / "double"
    shutil.copytree(series, double)
    shutil.copy(double / "1.2.3.4-000.dcm", double / "copy.dcm")
    with pytest.raises(VolumeError, match="several at one position"):
        read_volume(double)


def test_truncated_pixels_are_refused(series: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(series, cut)
    file = cut / "1.2.3.4-003.dcm"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(VolumeError, match=r"^cut: .*; .*cop"):
        read_volume(cut)


def test_one_slice_and_other_modalities(series: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(series / "1.2.3.4-000.dcm", lone)
    with pytest.raises(VolumeError, match="one DICOM slice"):
        read_volume(lone)
    write_series(tmp_path / "ct", modality="CT")
    assert "the DICOM modality is CT, not MR" in read_volume(tmp_path / "ct").warnings


def test_a_file_that_is_no_slice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"not DICOM" * 100)
    with pytest.raises(VolumeError, match=r"^a\.dcm: "):
        read_volume(tmp_path / "a.dcm")


def test_stray_files_beside_a_series_do_no_harm(series: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stray"
    shutil.copytree(series, folder)
    (folder / "README.txt").write_text("scanned on a Tuesday")
    (folder / ".DS_Store").write_bytes(bytes(100))
    np.testing.assert_array_equal(read_volume(folder).array, VALUES)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_lossless_compression_is_read(tmp_path: Path, compressor: str) -> None:
    write_series(tmp_path / "packed", compressor=compressor)
    assert b"1.2.840.10008.1.2.4." in (tmp_path / "packed" / "1.2.3.4-000.dcm").read_bytes()
    volume = read_volume(tmp_path / "packed")
    np.testing.assert_array_equal(volume.array, VALUES)
    assert not any("lossy" in line for line in volume.warnings)


def test_a_compression_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_series(tmp_path / "packed", compressor="JPEG2000")
    for file in (tmp_path / "packed").iterdir():
        data = file.read_bytes()
        file.write_bytes(data.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.94", 1))
    with pytest.raises(
        VolumeError, match=r"^packed: DICOM pixels .*JPIP \(1\.2\.840\.10008\.1\.2\.4\.94\).*gdcmconv"
    ):
        read_volume(tmp_path / "packed")


def test_lossy_compression_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "lossy", more={"0028|2110": "01"})
    assert "the DICOM pixels went through lossy compression" in read_volume(tmp_path / "lossy").warnings


def test_a_localiser_beside_the_scan_is_set_aside(series: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(series, both)
    localizer = {"0008|0008": "ORIGINAL\\PRIMARY\\M\\LOCALIZER"}
    write_series(both, "1.2.3.1", skip=lambda number: number % 4 != 0, more=localizer)
    volume = read_volume(both)
    np.testing.assert_array_equal(volume.array, VALUES)
    assert "a localiser beside the scan was set aside (3 images)" in volume.warnings
    write_series(both, "1.2.3.5", skip=lambda number: number >= 9)
    with pytest.raises(VolumeError, match=r"2 DICOM series in one folder \(12, 9 images\)"):
        read_volume(both)


def test_a_localiser_alone_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "only", more={"0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"})
    with pytest.raises(
        VolumeError, match=r"^only: only localisers \(12 images\); give the folder of the 3-D T1"
    ):
        read_volume(tmp_path / "only")


def test_uneven_slices_are_said(tmp_path: Path) -> None:
    write_series(tmp_path / "uneven", place=lambda number: number + (0.3 if number == 5 else 0.0))
    (line,) = [line for line in read_volume(tmp_path / "uneven").warnings if "unevenly" in line]
    assert "1.4 to 2.6 mm apart" in line
