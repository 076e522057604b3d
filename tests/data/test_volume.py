"""Good scans of every format are read exactly, with the right world coordinates; writing is exact and repeatable."""

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.freesurfer import MGHImage
from nibabel.spm99analyze import Spm99AnalyzeImage
from scipy.spatial.transform import Rotation

from neurofocus.data.geometry import (
    apply_affine,
    canonical,
    corners,
    flip_lps_ras,
    inverse,
    orientation_name,
    voxel_sizes,
)
from neurofocus.data.volume import read_volume, stem_of, to_canonical, volume_files, write_volume

SHAPE = (24, 20, 16)
VALUES = np.random.default_rng(0).integers(0, 120, SHAPE)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", (12, -8, 20), degrees=True).as_matrix() * (1.0, 1.2, 0.9)
OBLIQUE[:3, 3] = (-90.5, 3.25, 40.0)


def save(path: Path, array: np.ndarray, affine: np.ndarray, **fields: Any) -> Path:
    """Write NIfTI by nibabel, with header fields set in the file's bytes."""
    image = nib.Nifti1Image(array, affine)
    data = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_number_type_and_byte_order(tmp_path: Path, kind: str, order: str) -> None:
    image = nib.Nifti1Image(
        VALUES.astype(kind), OBLIQUE, nib.Nifti1Header(endianness=order), dtype=np.dtype(kind)
    )
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["a.nii", "a.nii.gz", "A.NII.GZ", "a.hdr", "a.img", "a.mgz", "a.mgh", "n2.nii"]
)
def test_every_format_agrees_with_nibabel(tmp_path: Path, name: str) -> None:
    kinds = {
        "a.hdr": nib.Nifti1Pair,
        "a.img": nib.Nifti1Pair,
        "a.mgz": MGHImage,
        "a.mgh": MGHImage,
        "n2.nii": nib.Nifti2Image,
    }
    image = kinds.get(name, nib.Nifti1Image)(VALUES.astype(np.int16), OBLIQUE)
    nib.save(image, tmp_path / name)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-4)
    assert volume.stem == name.split(".")[0]


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_agrees_with_simpleitk(tmp_path: Path, encoding: str) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(VALUES.T.astype(np.int16)))
    lps = flip_lps_ras(OBLIQUE)
    image.SetSpacing(voxel_sizes(lps).tolist())
    image.SetDirection((lps[:3, :3] / voxel_sizes(lps)).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"), useCompression=encoding == "gzip")
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "signs"), [("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LPS", (-1, -1, 1))]
)
def test_nrrd_spaces(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    header = f"NRRD0005\n# note\ntype: uint16\ndimension: 4\nspace: {space}\nsizes: 24 20 16 1\nendian: big\n"
    header += "space directions: (2,0,0) (0,1,0) (0,0,1) none\nspace origin: (10,20,30)\nencoding: raw\nkey:=value\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + VALUES.astype(">u2").tobytes(order="F"))
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(
        volume.affine, np.diag([*signs, 1.0]) @ _affine(np.diag([2.0, 1, 1]), (10, 20, 30))
    )


def _affine(matrix: np.ndarray, origin: tuple[float, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize(
    ("fields", "note"),
    [("", "no orientation"), ("space directions: (1,0,0) (0,2,0) (0,0,1)\n", "no known space")],
)
def test_nrrd_without_a_space_is_read_with_a_warning(tmp_path: Path, fields: str, note: str) -> None:
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nsizes: 24 20 16\nspacings: 1 2 1\nencoding: raw\n{fields}\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + VALUES.astype("<i2").tobytes(order="F"))
    volume = read_volume(tmp_path / "a.nrrd")
    assert any(note in line for line in volume.warnings)
    np.testing.assert_allclose(voxel_sizes(volume.affine), (1, 2, 1))


def test_trailing_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VALUES[..., None, None].astype(np.int16), OBLIQUE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, VALUES)


@pytest.mark.parametrize(
    ("slope", "inter", "factor", "shift"), [(0.5, -3.0, 0.5, -3.0), (0.0, 9.0, 1, 0), (np.nan, 9.0, 1, 0)]
)
def test_scaling_of_the_header(
    tmp_path: Path, slope: float, inter: float, factor: float, shift: float
) -> None:
    path = save(tmp_path / "a.nii", VALUES.astype(np.int16), OBLIQUE, scl_slope=slope, scl_inter=inter)
    np.testing.assert_allclose(read_volume(path).array, VALUES * factor + shift, rtol=1e-6)


def test_sform_wins_over_a_conflicting_qform_with_a_warning(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES.astype(np.int16), None)
    image.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    image.set_qform(np.diag([-3.0, 3, 3, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine, np.diag([2.0, 2, 2, 1]))
    assert any("disagree" in line and "sform is used" in line for line in volume.warnings)


def test_agreeing_forms_give_no_warning(tmp_path: Path) -> None:
    affine = np.diag([8.0, 9, 10, 1])
    nib.save(nib.Nifti1Image(VALUES.astype(np.int16), affine), tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert not any("form" in line for line in volume.warnings)


def test_qform_alone_is_used(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES.astype(np.int16), None)
    image.set_qform(OBLIQUE, 1)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-4)
    assert not any("form" in line for line in volume.warnings)


def test_sform_against_voxel_sizes_is_named(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.nii", VALUES.astype(np.int16), np.diag([2.0, 2, 2, 1]), pixdim=[1, 3, 3, 3, 0, 0, 0, 0]
    )
    assert any("3 x 3 x 3" in line and "sform is used" in line for line in read_volume(path).warnings)


def test_no_form_at_all_is_guessed_with_a_warning(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VALUES.astype(np.int16), np.eye(4), sform_code=0, qform_code=0)
    volume = read_volume(path)
    assert orientation_name(volume.affine) == "LAS"
    assert any("guessed" in line for line in volume.warnings)


@pytest.mark.parametrize(("orient", "axes"), [(0, "LAS"), (1, "LSA"), (2, "ASL"), (9, "LAS")])
@pytest.mark.parametrize("half", ["a.hdr", "a.img"])
def test_analyze_orientation_follows_the_orient_byte(
    tmp_path: Path, orient: int, axes: str, half: str
) -> None:
    image = Spm99AnalyzeImage(VALUES.astype(np.int16), None)
    image.header.set_zooms((1.0, 1.25, 1.5))
    image.to_filename(str(tmp_path / "a.img"))
    header = bytearray((tmp_path / "a.hdr").read_bytes())
    header[252] = orient
    (tmp_path / "a.hdr").write_bytes(header)
    (tmp_path / "a.mat").unlink(missing_ok=True)
    volume = read_volume(tmp_path / half)
    np.testing.assert_array_equal(volume.array, VALUES)
    assert orientation_name(volume.affine) == axes
    np.testing.assert_allclose(voxel_sizes(volume.affine), (1.0, 1.25, 1.5))
    assert any("left from right" in line for line in volume.warnings)


def test_implausible_sizes_are_warned_about(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VALUES.astype(np.int16), np.eye(4)), tmp_path / "a.nii")
    assert any(
        "field of view of 24 x 20 x 16 mm" in line for line in read_volume(tmp_path / "a.nii").warnings
    )
    nib.save(nib.Nifti1Image(VALUES.astype(np.int16), np.diag([6, 9, 9, 1])), tmp_path / "a.nii")
    assert any("voxels of 6 x 9 x 9 mm" in line for line in read_volume(tmp_path / "a.nii").warnings)


WAYS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def stored(order: tuple[int, ...], signs: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The same scan, its axes permuted and flipped, with the affine that says so."""
    array, affine = VALUES.transpose(order), OBLIQUE.copy()
    affine[:, :3] = OBLIQUE[:, list(order)]
    for axis, sign in enumerate(signs):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, axis)
    return array, affine


@pytest.mark.parametrize(("order", "signs"), WAYS)
def test_all_48_ways_to_store_a_scan_are_one_canonical_scan(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    array, affine = stored(order, signs)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array).astype(np.int16), affine), tmp_path / "a.nii")
    volume = to_canonical(read_volume(tmp_path / "a.nii"))
    assert volume.array.tobytes(order="A") == VALUES.astype(np.float32).tobytes(order="F")
    assert volume.array.flags.f_contiguous
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=2e-5)
    assert orientation_name(volume.affine) == "RAS"


@settings(max_examples=60)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    sizes=st.tuples(*[st.floats(0.5, 3.0)] * 3),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
)
def test_canonical_moves_no_voxel_in_the_world(
    angles: tuple[float, ...], sizes: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    affine = _affine(Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * sizes, origin)
    array = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    moved, turned = canonical(array, affine)
    where = {
        float(array[tuple(index)]): apply_affine(affine, index.astype(float))
        for index in np.argwhere(array >= 0)
    }
    for index in np.argwhere(moved >= 0):
        np.testing.assert_allclose(
            apply_affine(turned, index.astype(float)), where[float(moved[tuple(index)])], atol=1e-9
        )
    assert orientation_name(turned) == "RAS"
    np.testing.assert_allclose(inverse(turned) @ turned, np.eye(4), atol=1e-9)


def test_canonical_agrees_with_nibabel() -> None:
    for order, signs in WAYS[::5]:
        array, affine = stored(order, signs)
        image = nib.as_closest_canonical(nib.Nifti1Image(array.astype(np.float32), affine))
        moved, turned = canonical(array.astype(np.float32), affine)
        np.testing.assert_array_equal(moved, image.get_fdata(dtype=np.float32))
        np.testing.assert_allclose(turned, image.affine, atol=1e-9)
    assert corners(SHAPE).shape == (8, 3)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_written_volumes_are_exact_and_repeatable(tmp_path: Path, name: str) -> None:
    values = np.random.default_rng(1).normal(3, 2, SHAPE).astype(np.float32)
    write_volume(tmp_path / name, values, OBLIQUE)
    first = (tmp_path / name).read_bytes()
    write_volume(tmp_path / name, values, OBLIQUE)
    assert (tmp_path / name).read_bytes() == first
    volume = read_volume(tmp_path / name)
    np.testing.assert_allclose(volume.array, values, atol=np.ptp(values) / 60000)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert not any("form" in line for line in volume.warnings)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert nib.load(tmp_path / name).get_data_dtype() == np.int16


def test_written_masks_stay_integers_and_sheared_affines_survive(tmp_path: Path) -> None:
    sheared = OBLIQUE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_volume(tmp_path / "a.nii", VALUES > 60, sheared)
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, VALUES > 60)
    np.testing.assert_allclose(volume.affine, sheared, atol=1e-5)
    assert not any("form" in line for line in volume.warnings)
    assert nib.load(tmp_path / "a.nii").get_data_dtype() == np.uint8


def test_files_that_decide_a_volume(tmp_path: Path) -> None:
    for name in ("a.hdr", "a.img", "b.nii"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in volume_files(tmp_path / "a.img")] == ["a.hdr", "a.img"]
    assert [file.name for file in volume_files(tmp_path / "b.nii")] == ["b.nii"]
    assert [file.name for file in volume_files(tmp_path)] == ["a.hdr", "a.img", "b.nii"]
    assert stem_of(Path("x/sub-1_T1w.nii.gz")) == "sub-1_T1w"
    assert stem_of(tmp_path) == tmp_path.name
