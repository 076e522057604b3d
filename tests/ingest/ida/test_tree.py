"""The folders of LONI IDA deliveries: both namings of leaves, any depth, and what lies in the wrong place."""

import os
from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery, Scan

from neurofocus.errors import CohortError
from neurofocus.ingest.ida.tree import walk_ida

ONE = Scan("002_S_0816", 40817)
TWO = Scan("002_S_0817", 45107, description="MPR-R; ; N3; Scaled", day="2007-03-01")


@pytest.mark.parametrize("below", ["", "ADNI", "ADNI1/ADNI", "a/b/c/PPMI"])
@pytest.mark.parametrize("leaf", ["I", "S"])
def test_both_namings_at_any_depth(tmp_path: Path, below: str, leaf: str) -> None:
    delivery = IdaDelivery(tmp_path, below=below)
    path = delivery.put(ONE, leaf=leaf)  # type: ignore[arg-type]
    tree = walk_ida(tmp_path)
    (image,) = tree.images
    assert image.path == path
    assert image.image_id == "40817"
    assert image.subject == "002_S_0816"
    assert image.description == "MPR__GradWarp__B1_Correction__N3__Scaled"
    assert image.acquired == "2006-09-12T08:20:30"
    assert (tree.unplaced, tree.empty, tree.unreadable, tree.repeated) == (0, 0, 0, 0)


@pytest.mark.parametrize("start", ["ADNI", "ADNI/002_S_0816"])
def test_the_root_may_be_a_project_or_a_subject(tmp_path: Path, start: str) -> None:
    path = IdaDelivery(tmp_path).put(ONE)
    (image,) = walk_ida(tmp_path / start).images
    assert (image.path, image.subject) == (path, "002_S_0816")


@pytest.mark.parametrize("form", ["dicom", "bare"])
def test_a_dicom_leaf_is_one_scan(tmp_path: Path, form: str) -> None:
    path = IdaDelivery(tmp_path).put(ONE, leaf="S", form=form)  # type: ignore[arg-type]
    (image,) = walk_ida(tmp_path).images
    assert image.path == path
    assert path.is_dir()
    assert len(list(path.iterdir())) == 3
    assert image.image_id == "40817"  # of the files: the leaf is named after the series


def test_image_identifier_of_the_leaf_if_files_have_none(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    path = delivery.put(ONE, form="nii.gz")
    path.rename(path.with_name("converted.nii.gz"))
    other = delivery.put(TWO, leaf="S")
    other.rename(other.with_name("converted.nii"))
    tree = walk_ida(tmp_path)
    assert [image.image_id for image in tree.images] == ["40817"]
    assert tree.unplaced == 1  # S18402/converted.nii: no identifier anywhere


def test_two_files_of_a_leaf_are_two_scans(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    delivery.put(ONE, leaf="S")
    delivery.put(Scan("002_S_0816", 40999), leaf="S")
    assert [image.image_id for image in walk_ida(tmp_path).images] == ["40817", "40999"]


@pytest.mark.parametrize("first", ["nii", "dicom"])
def test_a_dicom_folder_is_one_image_and_others_in_it_are_counted(tmp_path: Path, first: str) -> None:
    """The path of a DICOM scan is its folder: a second image in it would be read as part of the first."""
    delivery = IdaDelivery(tmp_path)
    delivery.put(ONE, leaf="S", form=first)  # type: ignore[arg-type]
    delivery.put(Scan("002_S_0816", 40999), leaf="S", form="dicom")
    tree = walk_ida(tmp_path)
    assert [image.image_id for image in tree.images] == (["40817"] if first == "nii" else [])
    assert tree.unplaced == (1 if first == "nii" else 2)


def test_an_image_in_both_formats_is_one_scan(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    delivery.put(ONE, form="dicom")
    path = delivery.put(ONE)
    tree = walk_ida(tmp_path)
    assert [image.path for image in tree.images] == [path]
    assert (tree.unplaced, tree.repeated) == (0, 0)


def test_what_fits_nowhere_is_counted(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    leaf = delivery.put(ONE).parent
    (tmp_path / "loose.nii.gz").touch()
    (leaf.parent / "beside.nii").touch()  # in the date folder
    odd = leaf.parent / "other"
    odd.mkdir()
    (odd / "1.dcm").touch()
    (odd / "2.dcm").touch()
    (leaf.parent / "I7").mkdir()  # empty
    analyze = leaf.parent / "I8"
    analyze.mkdir()
    (analyze / "x_I8.img").touch()
    (leaf / "._hidden_I9.nii").touch()
    (leaf / "gone_I10.nii").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.csv").touch()
    tree = walk_ida(tmp_path)
    assert [image.image_id for image in tree.images] == ["40817"]
    assert (tree.unplaced, tree.empty, tree.unreadable, tree.repeated) == (4, 2, 1, 0)


def test_overlapping_downloads_give_each_image_once(tmp_path: Path) -> None:
    IdaDelivery(tmp_path, below="ADNI_b/ADNI").put(ONE)
    path = IdaDelivery(tmp_path, below="ADNI_a/ADNI").put(ONE)
    tree = walk_ida(tmp_path)
    assert [image.path for image in tree.images] == [path]
    assert tree.repeated == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_sidecars_the_first_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    """Folders come in another order on another disk."""
    tops = [IdaDelivery(tmp_path, below=f"download_{name}").xml(ONE) for name in "abc"]
    real = os.scandir

    class Listing:
        def __init__(self, path: str) -> None:
            with real(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=backwards)

        def __enter__(self) -> list["os.DirEntry[str]"]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(os, "scandir", Listing)
    assert walk_ida(tmp_path).sidecars == {"40817": tops[0]}


def test_one_image_under_two_subjects_is_refused(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    delivery.put(ONE)
    delivery.put(Scan("002_S_0999", 40817))
    with pytest.raises(
        CohortError, match=r"I40817 lies in the folders of two subjects, 002_S_0816.*002_S_0999"
    ):
        walk_ida(tmp_path)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    IdaDelivery(tmp_path).put(ONE)
    (tmp_path / "ADNI" / "again").symlink_to(tmp_path, target_is_directory=True)
    elsewhere = tmp_path / "data"
    elsewhere.mkdir()
    (elsewhere / "002_S_0816").symlink_to(tmp_path / "ADNI" / "002_S_0816", target_is_directory=True)
    tree = walk_ida(tmp_path)
    assert [image.image_id for image in tree.images] == ["40817"]
    assert tree.repeated == 1


def test_a_folder_that_cannot_be_opened_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = IdaDelivery(tmp_path)
    closed = delivery.put(ONE).parent
    delivery.put(TWO)
    real = os.scandir

    def scandir(path: str) -> object:
        if path == str(closed):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    tree = walk_ida(tmp_path)
    assert [image.image_id for image in tree.images] == ["45107"]
    assert tree.unreadable == 1


def test_sidecars_are_found_anywhere(tmp_path: Path) -> None:
    delivery = IdaDelivery(tmp_path)
    leaf = delivery.put(ONE).parent
    top = delivery.xml(TWO)
    inside = leaf / "ADNI_002_S_0816_MPR_S18402_I40817.xml"
    inside.touch()
    (tmp_path / "settings.xml").touch()
    assert walk_ida(tmp_path).sidecars == {"45107": top, "40817": inside}
