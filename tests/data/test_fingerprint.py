"""One hash for the same voxels however they are stored, one small image for the same head wherever it lies."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from neurofocus.data.fingerprint import Fingerprint, fingerprint_scan, head_image
from neurofocus.data.stored_type import file_format, number_type
from neurofocus.errors import VolumeError

SHAPE = (12, 14, 16)
VOXELS = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
RAS = np.diag([2.0, 2.0, 2.0, 1.0])


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = RAS) -> Path:
    kind = nib.MGHImage if path.suffix == ".mgz" else nib.Nifti1Image
    kind(voxels, affine).to_filename(path)
    return path


def save_scaled(path: Path, stored: np.ndarray, slope: float) -> Path:
    image = nib.Nifti1Image(stored, RAS)
    image.header.set_slope_inter(slope, 0)
    image.header.set_data_offset(352)
    path.write_bytes(image.header.binaryblock + b"\0" * 4 + stored.tobytes(order="F"))
    return path


def save_dicom(folder: Path, voxels: np.ndarray) -> Path:
    """Write one axial series: LPS axes, slice by slice from below."""
    folder.mkdir()
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing((2.0, 2.0, 2.0))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(image.GetDepth()):
        piece = image[:, :, number]
        for tag, value in {
            "0008|0060": "MR",
            "0020|000d": "1.2.3",
            "0020|000e": "1.2.3.4",
            "0008|0018": f"1.2.3.4.{number + 1}",
            "0020|0013": str(number + 1),
            "0020|0032": f"0\\0\\{2 * number}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number:03}.dcm"))
        writer.Execute(piece)
    return folder


def test_the_same_voxels_in_every_format_have_one_hash(tmp_path: Path) -> None:
    """DICOM and NRRD keep LPS axes, so their array is the canonical one turned around in x and y."""
    turned = np.array([[0, -2, 0, 26], [2, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]], dtype=float)
    lps = np.ascontiguousarray(VOXELS[::-1, ::-1])
    nrrd = sitk.GetImageFromArray(np.ascontiguousarray(lps.T))
    nrrd.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(nrrd, str(tmp_path / "g.nrrd"))
    paths = [
        save(tmp_path / "a.nii", VOXELS),
        save(tmp_path / "b.nii.gz", VOXELS),
        save(tmp_path / "c.nii.gz", VOXELS.astype(np.float64)[..., None]),
        save(tmp_path / "d.nii", np.flip(VOXELS, 0).transpose(1, 0, 2), turned),
        save(tmp_path / "e.mgz", VOXELS.astype(np.float32)),
        save_scaled(tmp_path / "f.nii", (VOXELS * 2).astype(np.int32), 0.5),
        tmp_path / "g.nrrd",
        save_dicom(tmp_path / "h", lps),
    ]
    prints = [fingerprint_scan(path) for path in paths]
    assert len({found.voxels for found in prints}) == 1
    assert [found.file_format for found in prints] == [
        "nii",
        "nii.gz",
        "nii.gz",
        "nii",
        "mgz",
        "nii",
        "nrrd",
        "dicom",
    ]
    assert [found.number_type for found in prints] == (
        ["int16", "int16", "float64", "int16", "float32", "int32", "int16", "dicom"]
    )
    assert [found.axes for found in prints] == ["RAS", "RAS", "RAS", "ALS", "RAS", "RAS", "LPS", "LPS"]
    assert {found.matrix for found in prints} == {SHAPE}
    assert {found.voxel_mm for found in prints} == {(2.0, 2.0, 2.0)}
    for found in prints[1:]:
        np.testing.assert_allclose(found.image, prints[0].image, atol=1e-5)


def test_one_voxel_the_shape_and_the_sign_of_zero(tmp_path: Path) -> None:
    other = VOXELS.copy()
    other[1, 2, 3] += 1
    reshaped = VOXELS.reshape(14, 12, 16)
    names = [save(tmp_path / f"{i}.nii", voxels) for i, voxels in enumerate((VOXELS, other, reshaped))]
    assert len({fingerprint_scan(name).voxels for name in names}) == 3
    zero = VOXELS.astype(np.float32)
    zero[0, 0, 0] = 0.0
    negative = zero.copy()
    negative[0, 0, 0] = -0.0
    both = [save(tmp_path / "z.nii", zero), save(tmp_path / "n.nii", negative)]
    assert len({fingerprint_scan(name).voxels for name in both}) == 1


def test_analyze_pairs_are_one_format(tmp_path: Path) -> None:
    nib.AnalyzeImage(VOXELS, RAS).to_filename(tmp_path / "scan.img")
    for half in ("scan.img", "scan.hdr"):
        assert file_format(tmp_path / half) == "analyze"
        assert number_type(tmp_path / half) == "int16"


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"id,age\n1,2\n")
    with pytest.raises(VolumeError, match=r"^bad\.nii\.gz: "):
        fingerprint_scan(tmp_path / "bad.nii.gz")


def ellipsoid(
    shape: tuple[int, int, int], center: tuple[float, float, float], axes: tuple[float, float, float]
) -> np.ndarray:
    places = np.indices(shape) + 0.5
    distance = sum(((places[i] - center[i]) / axes[i]) ** 2 for i in range(3))
    return np.where(distance < 1, 800 + 10 * places[0], 5).astype(np.float32)


def test_the_small_image_follows_the_head_not_the_field_of_view() -> None:
    """The same head elsewhere in a larger field of view, and at half the voxel size, gives the same blocks."""
    plain = head_image(ellipsoid((60, 70, 60), (30, 36, 30), (20, 26, 18)), np.array([2.0, 2.0, 2.0]))
    moved = head_image(ellipsoid((90, 80, 75), (42, 38, 40), (20, 26, 18)), np.array([2.0, 2.0, 2.0]))
    fine = head_image(ellipsoid((120, 140, 120), (60, 72, 60), (40, 52, 36)), np.array([1.0, 1.0, 1.0]))
    assert plain.shape == (24, 24, 24)
    assert plain.dtype == np.float32
    assert abs(plain.mean()) < 1e-6
    assert plain.std() == pytest.approx(1.0, abs=1e-5)
    assert np.corrcoef(plain.ravel(), moved.ravel())[0, 1] > 0.99
    assert np.corrcoef(plain.ravel(), fine.ravel())[0, 1] > 0.99


def test_block_means_by_hand() -> None:
    """A cube of 3 x 3 x 3 coarse blocks: its spread is known, and so is where the box ends."""
    array = np.zeros((48, 48, 48), dtype=np.float32)
    array[12:36, 12:36, 12:36] = 1.0
    image = head_image(array, np.array([4.0, 4.0, 4.0]))
    # Uniform over 24 places: the variance is (24² - 1) / 12, and the box spans 2.6 of its roots to both sides.
    half = 2.6 * np.sqrt((24**2 - 1) / 12)
    edges = np.linspace(24 - half, 24 + half, 25)
    share = np.clip(np.minimum(edges[1:], 36) - np.maximum(edges[:-1], 12), 0, None) / np.diff(edges)
    expected = share[:, None, None] * share[:, None] * share
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(image, expected, atol=1e-4)


@pytest.mark.parametrize("values", [np.eye(8)[:, :, None] * np.ones(8), np.indices((8, 8, 8)).sum(0) % 2])
def test_odd_patterns_give_finite_images(values: np.ndarray) -> None:
    for sizes in (np.ones(3), np.full(3, 4.0)):
        image = head_image(values.astype(np.float32), sizes)
        assert np.isfinite(image).all()


def test_fingerprints_can_be_replaced(tmp_path: Path) -> None:
    found = fingerprint_scan(save(tmp_path / "a.nii", VOXELS))
    assert isinstance(replace(found, axes="LAS"), Fingerprint)
