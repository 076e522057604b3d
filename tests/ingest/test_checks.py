from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.checks import refuse_leaks, voxel_hash, voxel_hashes

VOXELS = np.random.default_rng(0).integers(-50, 900, (5, 6, 7)).astype(np.int16)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> str:
    nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine).to_filename(path)
    return str(path)


def test_hash_sees_through_compression_type_and_storage_order(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.nii", VOXELS)
    packed = save(tmp_path / "b.nii.gz", VOXELS)
    real = save(tmp_path / "c.nii.gz", VOXELS.astype(np.float32)[..., None])
    stored = np.array([[0, -1, 0, 5], [2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float)
    turned = save(tmp_path / "d.nii", np.flip(VOXELS, 0).transpose(1, 0, 2), stored)
    hashes = voxel_hashes([plain, packed, real, turned])
    assert len(hashes) == 4
    assert len(set(hashes.values())) == 1


def test_hash_changes_with_one_voxel_and_with_the_shape(tmp_path: Path) -> None:
    other = VOXELS.copy()
    other[1, 2, 3] += 1
    names = [
        save(tmp_path / "a.nii", VOXELS),
        save(tmp_path / "b.nii", other),
        save(tmp_path / "c.nii", VOXELS.reshape(6, 5, 7)),
    ]
    assert len(set(voxel_hashes(names).values())) == 3


def test_all_undecodable_files_are_named_at_once(tmp_path: Path) -> None:
    good = save(tmp_path / "good.nii", VOXELS)
    names = [str(tmp_path / f"bad{number}.nii.gz") for number in range(7)]
    for name in names:
        Path(name).write_bytes(b"")
    with pytest.raises(CohortError) as caught:
        voxel_hashes([good, *names])
    assert str(caught.value).count("cannot be decoded") == 5
    assert "bad4.nii.gz" in str(caught.value)
    assert str(caught.value).endswith("; and 2 more")


@pytest.mark.parametrize("content", [b"", b"id,age\n1,2\n", b"\x1f\x8b" + bytes(40)])
def test_undecodable_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=r"bad\.nii\.gz: cannot be decoded"):
        voxel_hash(path)


def test_truncated_and_absurd_files(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "a.nii.gz", np.random.default_rng(1).normal(size=(20, 20, 20))))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CohortError, match="cannot be decoded"):
        voxel_hash(path)
    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    (tmp_path / "huge.nii").write_bytes(header.binaryblock + bytes(8))
    with pytest.raises(CohortError, match="header claims"):
        voxel_hash(tmp_path / "huge.nii")


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    people = ["sub-1", "sub-2", "sub-3", "sub-3"]
    sessions = ["n/a", "n/a", "ses-1", "ses-2"]
    paths = [save(tmp_path / f"{i}.nii.gz", VOXELS + np.int16(i)) for i in range(4)]
    table = pd.DataFrame({"participant_id": people, "session_id": sessions, "path": paths})
    folds = table[["participant_id", "session_id"]].assign(
        fold=[1, 2, 1, 1],
        role_1=["test", "train", "test", "test"],
        role_2=["validation", "test", "train", "train"],
    )
    return table, folds


def test_a_clean_cohort_passes(cohort: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, folds = cohort
    hashes = voxel_hashes(table["path"])
    refuse_leaks(table, folds, hashes)
    # A rescan of one subject that is byte for byte the same stays in one fold: no leak.
    hashes[table["path"][3]] = hashes[table["path"][2]]
    refuse_leaks(table, folds.sample(frac=1, random_state=0), hashes)


@pytest.mark.parametrize(("column", "value"), [("fold", 2), ("role_2", "validation")])
def test_a_subject_in_two_parts_is_refused(
    cohort: tuple[pd.DataFrame, pd.DataFrame], column: str, value: object
) -> None:
    table, folds = cohort
    folds.loc[3, column] = value
    with pytest.raises(CohortError, match=rf"leak: participant 'sub-3' .*'{column}'"):
        refuse_leaks(table, folds, voxel_hashes(table["path"]))


def test_a_later_session_without_a_part_is_no_leak(cohort: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, folds = cohort
    folds.loc[3, "role_1"] = "unused"
    refuse_leaks(table, folds, voxel_hashes(table["path"]))


def test_one_file_listed_twice_is_refused_through_links(
    cohort: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    table, folds = cohort
    link = tmp_path / "link.nii.gz"
    link.symlink_to(table["path"][0])
    table.loc[1, "path"] = str(link)
    with pytest.raises(CohortError, match=r"listed twice: 'sub-1' \(0\.nii\.gz\) and 'sub-2' \(link"):
        refuse_leaks(table, folds, voxel_hashes(table["path"]))


def test_identical_voxels_under_two_subjects_are_refused_even_in_one_fold(
    cohort: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    table, folds = cohort
    table.loc[2, "path"] = save(tmp_path / "again.nii", VOXELS)
    with pytest.raises(CohortError) as caught:
        refuse_leaks(table, folds, voxel_hashes(table["path"]))
    assert "'sub-1' (0.nii.gz) and 'sub-3' (again.nii)" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_rows_without_a_hash_or_fold_are_a_bug(cohort: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, folds = cohort
    hashes = voxel_hashes(table["path"])
    with pytest.raises(ValueError, match="hash and a fold"):
        refuse_leaks(table, folds.iloc[:3], hashes)
    with pytest.raises(ValueError, match="hash and a fold"):
        refuse_leaks(table, folds, {})


def test_a_surface_is_no_volume(tmp_path: Path) -> None:
    nib.GiftiImage().to_filename(tmp_path / "surface.gii")
    with pytest.raises(CohortError, match="not a volume"):
        voxel_hash(tmp_path / "surface.gii")
