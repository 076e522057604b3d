"""A scan whose header does not say how it is stored: by the cohort's rule it becomes the same frames."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.analyze import AnalyzeHeader, AnalyzeImage
from nilearn.datasets import load_mni152_template

from neurofocus.data.cache import CaseCache, CaseRequest, case_key
from neurofocus.data.frames import frame_grid
from neurofocus.data.geometry import affine_of_storage, orientation_name, voxel_sizes
from neurofocus.data.prepare_cohort import prepare_cohort
from neurofocus.data.preprocess import PreparedCase
from neurofocus.data.volume import read_volume, to_canonical
from neurofocus.errors import VolumeError
from neurofocus.schema.cohort import ORIENTATIONS
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig(pixel_mm=4.0, slice_spacing_mm=8.0, bias_correction=False)
GRID = frame_grid(PREPARE, 48)


def put_analyze(path: Path, array: np.ndarray, zooms: tuple[float, float, float]) -> Path:
    """Write a big-endian int16 pair whose orient byte says transverse, with a trailing axis of length one."""
    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    image = AnalyzeImage(array[..., None], None, header)
    image.header.set_zooms((*zooms, 1.0))
    image.to_filename(path)
    return path.with_suffix(".hdr")


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    """The MNI152 brain at 2 mm, RAS, made asymmetric: one side is brighter."""
    values = np.asarray(load_mni152_template(resolution=2).dataobj, dtype=np.float64)
    side = np.linspace(0.9, 1.1, values.shape[0])[:, None, None]
    return np.round(values / values.max() * side * 1000).astype(np.int16)


@pytest.mark.parametrize("orientation", sorted(ORIENTATIONS))
def test_every_way_of_storage_is_named_and_centred(orientation: str) -> None:
    affine = affine_of_storage(orientation, np.array([1.0, 1.25, 1.5]), (4, 5, 6))
    assert orientation_name(affine) == orientation
    np.testing.assert_allclose(voxel_sizes(affine), (1.0, 1.25, 1.5))
    np.testing.assert_allclose(affine @ np.array([1.5, 2.0, 2.5, 1.0]), (0, 0, 0, 1), atol=1e-12)


def test_there_are_48_ways() -> None:
    assert len(ORIENTATIONS) == 48
    assert {"RAS", "LAS", "ASL", "PSR"} <= ORIENTATIONS
    assert "RRS" not in ORIENTATIONS


def test_sagittal_storage_by_hand(tmp_path: Path) -> None:
    """Stored [front, top, left]: right 1, front 2, top 3 of 8 x 9 x 10 voxels is stored at [2, 3, 8 - 1 - 1]."""
    ras = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    path = put_analyze(tmp_path / "a.img", np.flip(ras.transpose(1, 2, 0), axis=2), (20.0, 15.0, 25.0))
    volume = read_volume(path, "ASL")
    assert volume.array[2, 3, 6] == ras[1, 2, 3]
    canonical = to_canonical(volume)
    np.testing.assert_array_equal(canonical.array, ras)
    np.testing.assert_allclose(voxel_sizes(canonical.affine), (25.0, 20.0, 15.0))
    (told,) = (text for text in volume.warnings if "stored as" in text)
    assert told == "stored as ASL by a rule, not by its header: left and right are unverified"
    assert not any("radiological" in text for text in volume.warnings)


def test_what_is_no_orientation_is_refused(tmp_path: Path) -> None:
    path = put_analyze(tmp_path / "a.img", np.arange(24, dtype=np.int16).reshape(2, 3, 4), (90.0, 60.0, 50.0))
    with pytest.raises(VolumeError, match=r"^a\.hdr: orientation 'ALS '; accepted are 'header' and three"):
        read_volume(path, "ALS ")


@pytest.fixture(scope="module")
def stored(brain: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The brain as a NIfTI file in RAS order, and as an Analyze pair stored sagittally."""
    folder = tmp_path_factory.mktemp("stored")
    affine = affine_of_storage("RAS", np.array([2.0, 2.0, 2.0]), brain.shape)
    nib.Nifti1Image(brain, affine).to_filename(folder / "scan.nii.gz")
    return {
        "nifti": folder / "scan.nii.gz",
        "analyze": put_analyze(
            folder / "scan.img", np.flip(brain.transpose(1, 2, 0), axis=2), (2.0, 2.0, 2.0)
        ),
    }


def prepared(path: Path, orientation: str, folder: Path) -> PreparedCase:
    return CaseCache(folder).get_or_prepare(path, PREPARE, GRID, False, orientation)


@pytest.mark.slow
def test_prepared_frames_equal_those_of_the_nifti_file(stored: dict[str, Path], tmp_path: Path) -> None:
    """Through registration and the cache."""
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2"],
            "path": [str(stored["nifti"]), str(stored["analyze"])],
            "space": "native",
            "orientation": ["header", "ASL"],
        }
    )
    result = prepare_cohort(table, PREPARE, grid=GRID, cache_folder=tmp_path / "c")
    nifti, analyze = result.cases
    np.testing.assert_array_equal(analyze.frames, nifti.frames)
    np.testing.assert_array_equal(analyze.world_to_template, nifti.world_to_template)
    assert analyze.quality == nifti.quality
    assert any("left and right are unverified" in text for text in analyze.warnings)


def test_a_flipped_rule_gives_the_mirrored_head(stored: dict[str, Path]) -> None:
    """Registration cannot tell left from right: the template is symmetric."""
    left = read_volume(stored["analyze"], "ASL")
    right = read_volume(stored["analyze"], "ASR")
    np.testing.assert_array_equal(to_canonical(left).array, np.flip(to_canonical(right).array, axis=0))


def test_the_orientation_is_part_of_the_key(stored: dict[str, Path]) -> None:
    keys = {
        case_key(
            CaseRequest(
                path=stored["analyze"], prepare=PREPARE, grid=GRID, in_template=False, orientation=letters
            )
        )
        for letters in ("header", "ASL", "ASR")
    }
    assert len(keys) == 3
