"""Prediction of one scan: every file, on the scan's own grid, and honest about where it comes from."""

import dataclasses
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from neurofocus.data.dataset import evaluation_frames
from neurofocus.data.frames import frame_grid
from neurofocus.data.preprocess import prepare_case
from neurofocus.data.volume import read_volume
from neurofocus.errors import VolumeError
from neurofocus.training.inference import predict_frames
from neurofocus.workflows import predict as module
from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.predict import Prediction, predict

SUFFIXES = {
    "prediction": "_prediction.json",
    "saliency": "_desc-saliency_map.nii.gz",
    "overlay": "_overlay.png",
    "report": "_report.html",
}


def store(path: Path, array: NDArray[Any], affine: NDArray[Any]) -> Path:
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def scan_arrays(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    volume = read_volume(path)
    return volume.array, volume.affine


def test_four_files(done: Prediction, tiny_scan: Path) -> None:
    stem = tiny_scan.name.removesuffix(".nii.gz")
    out = done.files["prediction"].parent
    assert done.files == {kind: out / f"{stem}{suffix}" for kind, suffix in SUFFIXES.items()}
    assert sorted(out.iterdir()) == sorted(done.files.values())
    assert json.loads(done.files["prediction"].read_text(encoding="utf-8")) == done.document
    assert done.files["overlay"].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_saliency_lies_on_the_scans_own_grid(done: Prediction, tiny_scan: Path) -> None:
    scan, saliency = nib.load(tiny_scan), nib.load(done.files["saliency"])
    assert saliency.shape == scan.shape
    assert np.array_equal(saliency.affine, scan.affine)
    values = saliency.get_fdata()
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() > 0


def test_probabilities_are_the_mean_of_the_fold_models(
    done: Prediction, bundle: ModelBundle, tiny_scan: Path
) -> None:
    config = bundle.manifest.config
    grid = frame_grid(config.prepare, config.model.frame_size)
    case = prepare_case(read_volume(tiny_scan), config.prepare, grid, in_template=True)
    frames, _ = evaluation_frames(case.frames, config.model.num_frames)
    expected = np.mean([predict_frames(model, frames[None])[0][0] for model in bundle.models], axis=0)
    assert list(done.probabilities) == ["CN", "AD"]
    assert list(done.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-12)
    threshold = bundle.threshold
    assert threshold is not None
    assert done.predicted == ("AD" if done.probabilities["AD"] >= threshold else "CN")


def test_document(done: Prediction, bundle: ModelBundle) -> None:
    document = done.document
    assert document.keys() >= {"predicted", "probabilities", "gflops", "frames", "warnings", "model"}
    assert document["predicted"] in document["probabilities"]
    assert sum(document["probabilities"].values()) == pytest.approx(1)
    assert document["gflops"] == pytest.approx(2 * bundle.manifest.gflops_per_model)
    assert "multiply-adds" in document["gflops_unit"]
    assert document["threshold"] == bundle.threshold
    assert document["synthetic"] is True
    assert any("SYNTHETIC" in line for line in document["warnings"])
    assert "Not a medical device" in document["intended_use"]
    assert document["model"]["sha256"] == bundle.sha256
    assert document["model"]["classes"] == ["CN", "AD"]
    assert document["model"]["fold_models"] == 2
    assert document["model"]["cross_validation"] == bundle.manifest.metrics["pooled"]


def test_frames_in_world_millimetres(done: Prediction, bundle: ModelBundle) -> None:
    """In template space the scan's world is the template's: coronal frames are planes of constant y."""
    config = bundle.manifest.config
    frames = done.document["frames"]
    assert [frame["fold_model"] for frame in frames] == [1] * 4 + [2] * 4
    for frame in frames:
        y = config.prepare.range_mm[0] + frame["frame"] * config.prepare.slice_spacing_mm
        assert frame["center_mm"] == frame["template_center_mm"]
        assert frame["center_mm"][1] == pytest.approx(y, abs=0.01)
        corners = np.array(frame["corners_mm"])
        assert corners.shape == (4, 3)
        np.testing.assert_allclose(corners.mean(axis=0), frame["center_mm"], atol=0.02)
        width, height = np.ptp(corners[:, 0]), np.ptp(corners[:, 2])
        limits = config.model.patches
        side = config.model.frame_size * config.prepare.pixel_mm
        for length in (width, height):
            assert limits.min_fraction * side - 0.1 <= length <= limits.max_fraction * side + 0.1
        assert frame["weight"] > 0
        assert frame["relevance"] >= 0


class Sources(HTMLParser):
    """Collects what a page loads or links to, also inside its frames."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "poster", "srcset") and value:
                self.found.append(value)
            if name == "srcdoc" and value:
                self.found += Sources(value).found


def test_the_page_works_offline_and_says_synthetic(done: Prediction) -> None:
    text = done.files["report"].read_text(encoding="utf-8")
    assert "SYNTHETIC" in text
    found = Sources(text).found
    assert found
    assert not [source[:80] for source in found if not source.startswith(("data:", "#"))]


def test_summary(done: Prediction) -> None:
    lines = done.summary_lines()
    assert lines[0].startswith(f"{done.explained.scan.stem}: {done.predicted}  (CN 0.")
    assert any("warning: SYNTHETIC" in line for line in lines)
    assert sum(str(path) in line for path in done.files.values() for line in lines) == 4


def test_nothing_names_this_machine(done: Prediction, tiny_scan: Path) -> None:
    out = done.files["prediction"].parent
    for kind in ("prediction", "report"):
        text = done.files[kind].read_text(encoding="utf-8")
        assert str(out.parent) not in text
        assert str(tiny_scan.parent) not in text


def test_the_same_scan_gives_the_same_files(
    done: Prediction, tiny_scan: Path, bundle: ModelBundle, tmp_path: Path
) -> None:
    again = predict(tiny_scan, bundle, out=tmp_path)
    for kind in ("prediction", "saliency", "overlay", "report"):
        assert again.files[kind].read_bytes() == done.files[kind].read_bytes(), kind


@pytest.mark.parametrize(("order", "signs"), [((2, 0, 1), (1, 1, -1)), ((1, 2, 0), (-1, -1, -1))])
def test_other_axis_orders(
    done: Prediction,
    tiny_scan: Path,
    bundle: ModelBundle,
    tmp_path: Path,
    order: tuple[int, int, int],
    signs: tuple[int, int, int],
) -> None:
    array, affine = scan_arrays(tiny_scan)
    orientation = np.array(list(zip(np.argsort(order), signs, strict=True)))
    turned = nib.orientations.apply_orientation(array, orientation)
    change = nib.orientations.inv_ornt_aff(orientation, array.shape)
    path = store(tmp_path / "sub-1_space-MNI152_T1w.nii", turned, affine @ change)
    other = predict(path, bundle, out=tmp_path / "out")
    for name, value in done.probabilities.items():
        assert other.probabilities[name] == pytest.approx(value, abs=1e-3)
    saliency = nib.load(other.files["saliency"])
    assert saliency.shape == turned.shape
    np.testing.assert_allclose(saliency.affine, affine @ change, atol=1e-5)
    back, straight = (
        nib.as_closest_canonical(nib.load(each.files["saliency"])).get_fdata() for each in (other, done)
    )
    np.testing.assert_allclose(back, straight, atol=2e-3 * straight.max())


def test_contradicting_forms_are_a_warning(tiny_scan: Path, bundle: ModelBundle, tmp_path: Path) -> None:
    array, affine = scan_arrays(tiny_scan)
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=4)
    image.set_qform(np.diag([4.0, 4, 4, 1]), code=1)
    path = tmp_path / "sub-1_space-MNI152NLin2009aSym_T1w.nii.gz"
    image.to_filename(path)
    found = predict(path, bundle, out=tmp_path)
    assert any("sform" in line and "qform" in line for line in found.document["warnings"])
    assert "qform" in found.files["report"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["sub-1_T1w", "sub-1_desc-MNI152_T1w", "space-MNI152", "sub-1_space-T1w_T1w"]
)
def test_only_a_space_entity_skips_registration(
    tiny_scan: Path, bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[bool] = []

    def note(*_: object, in_template: bool) -> NoReturn:
        seen.append(in_template)
        raise VolumeError("stop here")

    monkeypatch.setattr(module, "prepare_case", note)
    path = shutil.copy(tiny_scan, tmp_path / f"{name}.nii.gz")
    for each in (path, tiny_scan):
        with pytest.raises(VolumeError, match="stop here"):
            predict(Path(each), bundle, out=None)
    assert seen == [False, True]


def test_names_are_shown_and_never_run(tiny_scan: Path, bundle: ModelBundle, tmp_path: Path) -> None:
    name = "a&b <script>alert(1)<script> 'x' \"y\"_space-MNI152_T1w"
    shutil.copy(tiny_scan, tmp_path / f"{name}.nii.gz")
    found = predict(tmp_path / f"{name}.nii.gz", bundle, out=tmp_path / "out")
    text = found.files["report"].read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_real_models_are_not_called_synthetic(tiny_scan: Path, bundle: ModelBundle, tmp_path: Path) -> None:
    real = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"synthetic": False}))
    shutil.copy(tiny_scan, tmp_path / "a_space-MNI152_T1w.nii.gz")
    found = predict(tmp_path / "a_space-MNI152_T1w.nii.gz", real, out=tmp_path / "out")
    assert found.document["synthetic"] is False
    assert "SYNTHETIC" not in found.files["prediction"].read_text(encoding="utf-8")
    assert "SYNTHETIC" not in found.files["report"].read_text(encoding="utf-8")


# A scan in its own space: registered.


@pytest.mark.slow
def test_native_scans_are_registered(
    done: Prediction, tiny_scan: Path, bundle: ModelBundle, tmp_path: Path
) -> None:
    array, affine = scan_arrays(tiny_scan)
    angle = np.deg2rad(12)
    move = np.eye(4)
    move[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    move[:3, 3] = (15, -20, 30)
    path = store(tmp_path / "patient.nii.gz", array, move @ affine)
    found = predict(path, bundle, out=tmp_path / "out")
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == sorted(
        f"patient{suffix}" for suffix in SUFFIXES.values()
    )
    saliency = nib.load(found.files["saliency"])
    assert saliency.shape == array.shape
    np.testing.assert_allclose(saliency.affine, move @ affine, atol=1e-4)
    for name, value in done.probabilities.items():
        assert found.probabilities[name] == pytest.approx(value, abs=0.1)
    for frame in found.document["frames"]:  # boxes follow the head
        expected = move @ [*frame["template_center_mm"], 1.0]
        np.testing.assert_allclose(frame["center_mm"], expected[:3], atol=6.0)
