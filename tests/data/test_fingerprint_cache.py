"""Fingerprints are kept by content: the second call reads no scan, a damaged entry is made again."""

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofocus.data import fingerprint_cache as module
from neurofocus.data.fingerprint import Fingerprint
from neurofocus.data.fingerprint_cache import Fingerprints


def save(path: Path, seed: int) -> str:
    voxels = np.random.default_rng(seed).integers(0, 900, (10, 10, 10)).astype(np.int16)
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    return str(path)


def fingerprint_all(names: list[str], folder: Path, **options: Any) -> Fingerprints:
    return module.fingerprint_all(dict.fromkeys(names, "header"), folder, **options)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the scans that were read."""
    seen: list[str] = []
    real = module.fingerprint_scan

    def count(path: Path, orientation: str) -> Fingerprint:
        seen.append(path.name)
        return real(path, orientation)

    monkeypatch.setattr(module, "fingerprint_scan", count)
    return seen


def same(first: Fingerprint, second: Fingerprint) -> bool:
    plain = [{k: v for k, v in vars(found).items() if k != "image"} for found in (first, second)]
    return plain[0] == plain[1] and np.array_equal(first.image, second.image)


def test_a_second_call_reads_no_scan(tmp_path: Path, reads: list[str]) -> None:
    names = [save(tmp_path / f"{i}.nii.gz", i) for i in range(4)]
    first = fingerprint_all([*names, names[0]], tmp_path / "cache", jobs=2)
    assert sorted(reads) == ["0.nii.gz", "1.nii.gz", "2.nii.gz", "3.nii.gz"]
    assert list(first.found) == names
    reads.clear()
    moved = tmp_path / "elsewhere.nii.gz"
    Path(names[0]).rename(moved)
    os.utime(moved, (1, 1))
    second = fingerprint_all([str(moved), *names[1:]], tmp_path / "cache")
    assert reads == []
    assert all(same(a, b) for a, b in zip(first.found.values(), second.found.values(), strict=True))


def test_changed_bytes_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    name = save(tmp_path / "a.nii", 0)
    stat = Path(name).stat()
    before = fingerprint_all([name], tmp_path / "cache").found[name]
    save(tmp_path / "a.nii", 1)
    os.utime(name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = fingerprint_all([name], tmp_path / "cache").found[name]
    assert len(reads) == 2
    assert before.voxels != after.voxels


@pytest.mark.parametrize("damage", ["flip", "short", "empty"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, reads: list[str], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = save(tmp_path / "a.nii", 0)
    good = fingerprint_all([name], tmp_path / "cache").found[name]
    (entry,) = (tmp_path / "cache").rglob("*.bin")
    data = bytearray(entry.read_bytes())
    data[-3] ^= 1
    entry.write_bytes({"flip": bytes(data), "short": bytes(data[:100]), "empty": b""}[damage])
    assert same(fingerprint_all([name], tmp_path / "cache").found[name], good)
    assert len(reads) == 2
    assert "is damaged" in caplog.text
    assert same(fingerprint_all([name], tmp_path / "cache").found[name], good)
    assert len(reads) == 2


def test_another_version_reads_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save(tmp_path / "a.nii", 0)
    fingerprint_all([name], tmp_path / "cache")
    monkeypatch.setattr(module, "FINGERPRINT_VERSION", module.FINGERPRINT_VERSION + 1)
    fingerprint_all([name], tmp_path / "cache")
    assert len(reads) == 2


def test_all_unreadable_scans_come_back_with_reasons(tmp_path: Path) -> None:
    good = save(tmp_path / "good.nii", 0)
    bad = [str(tmp_path / f"bad{number}.nii.gz") for number in range(3)]
    for name in bad[:2]:
        Path(name).write_bytes(b"no gzip")
    steps: list[tuple[int, int]] = []
    answer = fingerprint_all([bad[0], good, *bad[1:]], tmp_path / "c", progress=lambda *at: steps.append(at))
    assert list(answer.found) == [good]
    assert list(answer.failures) == bad
    assert answer.failures[bad[0]].startswith("bad0.nii.gz: not gzip-compressed")
    assert answer.failures[bad[2]] == "bad2.nii.gz: cannot be read (no such file); check the path"
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_scan_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = save(tmp_path / "a.nii", 0)
    real = module.fingerprint_scan

    def change(path: Path, orientation: str) -> Fingerprint:
        found = real(path, orientation)
        save(path, 1)
        return found

    monkeypatch.setattr(module, "fingerprint_scan", change)
    answer = fingerprint_all([name], tmp_path / "cache")
    assert answer.failures == {name: "a.nii: changed while it was read; run again when it is copied"}
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_another_orientation_is_another_scan(tmp_path: Path, reads: list[str]) -> None:
    """Where a header does not say how axes run, the cohort's rule does, and it changes the voxels' order."""
    name = save(tmp_path / "a.nii", 0)
    plain = module.fingerprint_all({name: "header"}, tmp_path / "cache").found[name]
    turned = module.fingerprint_all({name: "ASL"}, tmp_path / "cache").found[name]
    assert (plain.axes, turned.axes) == ("RAS", "ASL")
    assert plain.voxels != turned.voxels
    assert len(reads) == 2
