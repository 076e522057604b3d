"""Alignments are computed once a scan and settings, whatever the frames look like."""

from pathlib import Path

import numpy as np
import pytest

from neurofocus.data import alignment as alignment_module
from neurofocus.data import alignment_cache as module
from neurofocus.data.alignment import Alignment
from neurofocus.data.alignment_cache import AlignmentCache, alignment_key, scan_digest
from neurofocus.data.cache import CaseCache
from neurofocus.data.frames import frame_grid
from neurofocus.data.preprocess import prepare_case
from neurofocus.data.template import load_template
from neurofocus.data.volume import Volume, read_volume, write_volume
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig(registration="none", pixel_mm=4.0, slice_spacing_mm=8.0)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A shaded template, as a native scan that lies right already."""
    template = load_template()
    array = template.array[::4, ::4, ::4]
    shade = np.linspace(0.7, 1.3, array.shape[0], dtype=np.float32)[:, None, None]
    path = tmp_path / "scan.nii.gz"
    write_volume(path, array * shade, template.affine @ np.diag([4.0, 4, 4, 1]))
    return path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a scan is really aligned."""
    calls: list[int] = []
    real = alignment_module.align

    def logged(volume: Volume, prepare: PrepareConfig) -> Alignment:
        calls.append(1)
        return real(volume, prepare)

    monkeypatch.setattr(module, "align", logged)
    return calls


@pytest.mark.slow
def test_another_grid_axis_or_clip_aligns_nothing_again(
    scan: Path, tmp_path: Path, counted: list[int]
) -> None:
    cache = CaseCache(tmp_path / "c")
    for change in (
        {},
        {"axis": "axial"},
        {"pixel_mm": 5.0},
        {"clip_percentiles": (1.0, 99.0)},
        {"brain_mask": "none"},
    ):
        prepare = PREPARE.model_copy(update=change)
        grid = frame_grid(prepare, 48)
        case = cache.get_or_prepare(scan, prepare, grid)
        direct = prepare_case(read_volume(scan), prepare, grid)
        assert case.frames.tobytes() == direct.frames.tobytes(), "a stored alignment gives the same bits"
    assert len(counted) == 1
    cache.get_or_prepare(scan, PREPARE.model_copy(update={"bias_correction": False}), frame_grid(PREPARE, 48))
    assert len(counted) == 2


def test_key_follows_content_settings_and_versions(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = scan_digest(scan, "header")
    key = alignment_key(content, PREPARE)
    assert alignment_key(content, PREPARE.model_copy(update={"axis": "axial"})) == key
    assert alignment_key(content, PREPARE.model_copy(update={"registration": "affine"})) != key
    assert alignment_key((*content, "more"), PREPARE) != key
    monkeypatch.setattr(module, "ALIGN_VERSION", 10**6)
    assert alignment_key(content, PREPARE) != key


@pytest.mark.slow
def test_a_damaged_alignment_is_computed_again(
    scan: Path, tmp_path: Path, counted: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    cache = AlignmentCache(tmp_path / "c")
    volume, content = read_volume(scan), scan_digest(scan, "header")
    first = cache.get_or_align(scan, PREPARE, volume=volume, content=content)
    (entry,) = (tmp_path / "c").rglob("alignment.bin")
    data = bytearray(entry.read_bytes())
    data[-5] ^= 1
    entry.write_bytes(bytes(data))
    again = cache.get_or_align(scan, PREPARE, volume=volume, content=content)
    assert len(counted) == 2
    assert "is damaged" in caplog.text
    third = cache.get_or_align(scan, PREPARE, volume=volume, content=content)
    assert len(counted) == 2
    for other in (again, third):
        assert first.field is not None
        assert other.field is not None
        assert np.array_equal(other.field[0], first.field[0])
        assert np.array_equal(other.world_to_template, first.world_to_template)
    assert set(third.seconds) == {"coarse", "n4"}


def test_a_scan_that_changed_meanwhile_is_refused(scan: Path, tmp_path: Path) -> None:
    volume, content = read_volume(scan), scan_digest(scan, "header")
    scan.write_bytes(scan.read_bytes() + b"x")
    with pytest.raises(VolumeError, match="changed while it was read"):
        AlignmentCache(tmp_path / "c").get_or_align(scan, PREPARE, volume=volume, content=content)
    assert not list((tmp_path / "c").rglob("alignment.bin"))
