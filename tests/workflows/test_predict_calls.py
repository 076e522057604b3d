"""Prediction from Python, and what happens when it cannot be done or written."""

import errno
import shutil
from pathlib import Path
from typing import NoReturn

import nibabel as nib
import numpy as np
import pytest

import neurofocus
from neurofocus.data import alignment
from neurofocus.errors import BundleError, NeurofocusError, VolumeError
from neurofocus.workflows import predict as module
from neurofocus.workflows import runtime
from neurofocus.workflows.bundle import ModelBundle, default_bundle, load_bundle
from neurofocus.workflows.predict import Prediction, predict
from neurofocus.workflows.runtime import load_for_prediction


def test_public_function(done: Prediction, tiny_scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    found = neurofocus.predict(str(tiny_scan), model=str(tiny_bundle), out=tmp_path, device="cpu")
    assert found.document == done.document
    assert len(list(tmp_path.iterdir())) == 4


def test_without_a_folder_nothing_is_written(
    done: Prediction, tiny_scan: Path, bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = predict(tiny_scan, bundle)
    assert found.files == {}
    assert found.probabilities == done.probabilities
    assert not list(tmp_path.iterdir())


def test_bundles_are_checked_before_the_scan(tmp_path: Path, tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        predict(tmp_path / "absent.nii", tmp_path)
    with pytest.raises(NeurofocusError, match="accepted are auto, cpu, cuda"):
        predict(tmp_path / "absent.nii", tiny_bundle, device="gpu")


def test_the_shipped_bundle_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path
) -> None:
    seen: list[Path] = []

    def note(folder: Path, device: object) -> ModelBundle:
        seen.append(folder)
        return load_bundle(tiny_bundle)

    monkeypatch.setattr(runtime, "load_bundle", note)
    load_for_prediction(None, "cpu")
    load_for_prediction(str(tmp_path), "cpu")
    assert seen == [default_bundle(), tmp_path]


def test_scans_that_cannot_be_aligned(
    bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("ITK ERROR: All samples map outside moving image buffer.\n(lines more)")

    monkeypatch.setattr(alignment, "register_coarse", fail)
    array = np.random.default_rng(0).random((20, 20, 20), dtype=np.float32)
    for name, size, words in (
        ("odd", 8.0, "odd: cannot be aligned with the brain template; give a T1 scan of a whole head"),
        ("huge", 40.0, "huge: a field of view of 800 x 800 x 800 mm; at most 600 mm are searched"),
    ):
        path = tmp_path / f"{name}.nii.gz"
        nib.Nifti1Image(array, np.diag([size, size, size, 1])).to_filename(path)
        with pytest.raises(VolumeError, match=words):
            predict(path, bundle, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(
    done: Prediction, tiny_scan: Path, bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half of the new answer nor an old answer beside new pictures."""
    for path in done.files.values():
        shutil.copy(path, tmp_path)

    def fail(*_: object) -> NoReturn:
        raise NeurofocusError("the disk is full")

    monkeypatch.setattr(module, "write_overlay", fail)
    with pytest.raises(NeurofocusError, match="the disk is full"):
        predict(tiny_scan, bundle, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(
    tiny_scan: Path, bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(NeurofocusError, match="file: a file is where a folder is needed"):
        predict(tiny_scan, bundle, out=tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NeurofocusError, match="not writable"):
        predict(tiny_scan, bundle, out=tmp_path / "new")
