"""The cache of prepared cases: never stale, never damaged, never twice, whatever is killed."""

import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofocus import processes
from neurofocus.data import alignment_cache as alignment_cache_module
from neurofocus.data import cache as cache_module
from neurofocus.data import cases as cases_module
from neurofocus.data import entries as entries_module
from neurofocus.data import prepare_cohort as prepare_cohort_module
from neurofocus.data.cache import CaseCache
from neurofocus.data.cases import CaseRequest, case_key
from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.prepare_cohort import prepare_cohort
from neurofocus.data.preprocess import PreparedCase
from neurofocus.data.template import load_template
from neurofocus.data.volume import write_volume
from neurofocus.errors import CohortError, NeurofocusError, VolumeError
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig(pixel_mm=4.0, slice_spacing_mm=8.0)
GRID = frame_grid(PREPARE, 48)

CHILD = """
import sys, time, os
from pathlib import Path
from neurofocus import files
from neurofocus.data import cache as module
from neurofocus.data.frames import frame_grid
from neurofocus.schema.run import PrepareConfig
scan, folder, log, mode = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
real = module.prepare_case
def logged(*arguments, **options):
    with log.open("a") as stream:
        stream.write(f"{os.getpid()}\\n")
    time.sleep(0.5)
    return real(*arguments, **options)
module.prepare_case = logged
if mode == "hang":
    files.os.fsync = lambda handle: time.sleep(600)
prepare = PrepareConfig(pixel_mm=4.0, slice_spacing_mm=8.0)
case = module.CaseCache(folder).get_or_prepare(scan, prepare, frame_grid(prepare, 48), True)
print(float(case.frames.sum()))
"""


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_scan(tmp_path / "scan.nii.gz")


def write_scan(path: Path, seed: int = 0) -> Path:
    template = load_template()
    array = template.array[::4, ::4, ::4]
    noisy = array + 0.02 * np.random.default_rng(seed).standard_normal(array.shape).astype(np.float32)
    write_volume(path, noisy, template.affine @ np.diag([4.0, 4, 4, 1]))
    return path


def request(
    path: Path, prepare: PrepareConfig = PREPARE, grid: FrameGrid = GRID, in_template: bool = True
) -> CaseRequest:
    return CaseRequest(path=path, prepare=prepare, grid=grid, in_template=in_template, orientation="header")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("case.bin"))


def same(one: PreparedCase, two: PreparedCase) -> bool:
    return (
        one.frames.tobytes() == two.frames.tobytes()
        and one.world_to_template.tobytes() == two.world_to_template.tobytes()
        and one.quality == two.quality
        and one.warnings == two.warnings
    )


def detached(case: PreparedCase) -> PreparedCase:
    """The case without its entry, which these tests overwrite in place."""
    return replace(case, frames=np.array(case.frames), world_to_template=np.array(case.world_to_template))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a scan is really prepared."""
    calls: list[int] = []
    real = cache_module.prepare_case

    def logged(*arguments: object, **options: object) -> PreparedCase:
        calls.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(cache_module, "prepare_case", logged)
    return calls


def test_second_read_comes_from_disk_and_is_identical(scan: Path, tmp_path: Path, counted: list[int]) -> None:
    first = CaseCache(tmp_path / "c").get_or_prepare(scan, PREPARE, GRID, True)
    second = CaseCache(tmp_path / "c").get_or_prepare(scan, PREPARE, GRID, True)
    assert len(counted) == 1
    assert same(first, second)
    assert first.frames.shape == GRID.shape


def test_it_is_a_monai_data_set(scan: Path, tmp_path: Path, counted: list[int]) -> None:
    from monai.data import PersistentDataset

    data = CaseCache(tmp_path / "c", [request(scan), request(scan)])
    assert isinstance(data, PersistentDataset)
    assert len(data) == 2
    assert same(data[0]["case"], data[1]["case"])
    assert len(counted) == 1


def test_key_follows_content_not_name_or_time(scan: Path, tmp_path: Path) -> None:
    key = case_key(request(scan))
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scan.read_bytes())
    os.utime(other, (0, 0))
    assert case_key(request(other)) == key
    write_scan(scan, seed=1)
    assert case_key(request(scan)) != key


@pytest.mark.parametrize(
    "changed",
    [
        {"prepare": PREPARE.model_copy(update={"clip_percentiles": (1.0, 99.0)})},
        {"prepare": PREPARE.model_copy(update={"brain_mask": "none"})},
        {"grid": frame_grid(PREPARE, 40)},
        {"grid": frame_grid(PREPARE.model_copy(update={"range_mm": (-72.0, 38.0)}), 48)},
        {"in_template": False},
        {"orientation": "LAS"},
    ],
)
def test_any_changed_setting_changes_the_key(scan: Path, changed: dict[str, object]) -> None:
    assert case_key({**request(scan), **changed}) != case_key(request(scan))


def test_other_versions_change_the_key(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = case_key(request(scan))
    monkeypatch.setattr(cases_module, "PREPARE_VERSION", 10**6)
    assert case_key(request(scan)) != before
    monkeypatch.undo()
    monkeypatch.setattr(alignment_cache_module, "version", lambda name: "0")
    assert case_key(request(scan)) != before


def test_changed_file_is_prepared_again(scan: Path, tmp_path: Path, counted: list[int]) -> None:
    cache = CaseCache(tmp_path / "c")
    before = cache.get_or_prepare(scan, PREPARE, GRID, True)
    write_scan(scan, seed=1)
    assert not same(before, cache.get_or_prepare(scan, PREPARE, GRID, True))
    assert len(counted) == 2


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage", "grow"])
def test_damaged_entry_is_rebuilt_with_a_line_in_the_log(
    scan: Path, tmp_path: Path, counted: list[int], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    cache = CaseCache(tmp_path / "c")
    truth = detached(cache.get_or_prepare(scan, PREPARE, GRID, True))
    (entry,) = entries(tmp_path / "c")
    data = entry.read_bytes()
    middle = len(data) // 2
    damages = {
        "flip": data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :],
        "truncate": data[:middle],
        "empty": b"",
        "garbage": b"hello",
        "grow": data + b"x",
    }
    entry.write_bytes(damages[damage])
    with caplog.at_level(logging.WARNING):
        again = cache.get_or_prepare(scan, PREPARE, GRID, True)
    assert same(truth, again)
    assert len(counted) == 2
    assert "is damaged: preparing the scan again" in caplog.text
    assert entry.read_bytes() == data


def test_every_flipped_bit_is_found(scan: Path, tmp_path: Path) -> None:
    cache = CaseCache(tmp_path / "c")
    cache.get_or_prepare(scan, PREPARE, GRID, True)
    (entry,) = entries(tmp_path / "c")
    data = bytearray(entry.read_bytes())
    rng = np.random.default_rng(0)
    for at in [0, 20, 60, 90, len(data) - 1, *rng.integers(0, len(data), 300)]:
        bit = 1 << int(rng.integers(8))
        data[at] ^= bit
        entry.write_bytes(data)
        assert cache.find(request(scan)) is None
        data[at] ^= bit
    entry.write_bytes(data)
    assert cache.find(request(scan)) is not None


def test_entry_of_another_layout_is_rebuilt(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import save

    cache = CaseCache(tmp_path / "c")
    truth = detached(cache.get_or_prepare(scan, PREPARE, GRID, True))
    (entry,) = entries(tmp_path / "c")
    with monkeypatch.context() as patch:
        patch.setattr(entries_module, "save", lambda tensors: save({"frames": tensors["frames"]}))
        entry.write_bytes(entries_module.pack_entry({"frames": truth.frames}, {}))
    assert cache.find(request(scan)) is None
    assert same(truth, cache.get_or_prepare(scan, PREPARE, GRID, True))


@pytest.mark.slow
def test_parallel_workers_prepare_a_scan_once(scan: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", CHILD, str(scan), str(tmp_path / "c"), str(log), "run"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sums = [worker.communicate(timeout=300)[0] for worker in workers]
    assert len(set(sums)) == 1
    assert sums[0]
    assert len(log.read_text().splitlines()) == 1
    assert len(entries(tmp_path / "c")) == 1


@pytest.mark.slow
def test_kill_in_the_middle_of_writing_leaves_a_usable_cache(
    scan: Path, tmp_path: Path, counted: list[int]
) -> None:
    folder = tmp_path / "c"
    command = [sys.executable, "-c", CHILD, str(scan), str(folder), str(tmp_path / "log"), "hang"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 300
        while not list(folder.rglob(".*partial*")):
            assert worker.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    assert not entries(folder)
    case = CaseCache(folder).get_or_prepare(scan, PREPARE, GRID, True)
    assert len(counted) == 1
    assert np.isfinite(case.frames).all()
    assert len(entries(folder)) == 1
    assert not list(folder.rglob(".*partial*"))


def test_file_that_changes_while_it_is_read_is_refused(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cache_module.read_volume

    def slow(path: Path, orientation: str) -> object:
        volume = real(path, orientation)
        write_scan(scan, seed=2)
        return volume

    monkeypatch.setattr(cache_module, "read_volume", slow)
    with pytest.raises(VolumeError, match=r"scan\.nii\.gz: changed while it was read"):
        CaseCache(tmp_path / "c").get_or_prepare(scan, PREPARE, GRID, True)
    assert not entries(tmp_path / "c")


def test_unreadable_scan_raises_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"^missing\.nii\.gz: no such file; "):
        CaseCache(tmp_path / "c").get_or_prepare(tmp_path / "missing.nii.gz", PREPARE, GRID, True)


def test_full_disk_is_said_in_one_line(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NeurofocusError, match="the disk is full"):
        CaseCache(tmp_path / "c").get_or_prepare(scan, PREPARE, GRID, True)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.slow
def test_cohort_in_table_order_and_failures_named(tmp_path: Path, jobs: int) -> None:
    paths = [
        write_scan(tmp_path / f"{name}.nii.gz", seed) for seed, name in enumerate(("a", "b", "bad", "d"))
    ]
    paths[2].write_bytes(paths[2].read_bytes()[:3000])
    table = pd.DataFrame(
        {
            "participant_id": ["sub-a", "sub-b", "sub-bad", "sub-d"],
            "path": map(str, paths),
            "space": "template",
            "orientation": "header",
        }
    )
    seen: list[tuple[int, int]] = []
    result = prepare_cohort(
        table,
        PREPARE,
        grid=GRID,
        cache_folder=tmp_path / "c",
        jobs=jobs,
        progress=lambda done, all_: seen.append((done, all_)),
    )
    assert result.rows == [0, 1, 3]
    assert [name for name, _ in result.failures] == ["sub-bad"]
    assert result.failures[0][1].startswith("bad.nii.gz: ")
    cache = CaseCache(tmp_path / "c")
    for case, row in zip(result.cases, result.rows, strict=True):
        assert same(case, cache.get_or_prepare(paths[row], PREPARE, GRID, True))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(entries(tmp_path / "c")) == 3, "what could be prepared is kept"


def test_a_killed_worker_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool())
            return future

    monkeypatch.setattr(processes, "worker_pool", Broken)
    for module in (processes, prepare_cohort_module):
        monkeypatch.setattr(module, "can_spawn", lambda: True)  # not so under xdist
    paths = [write_scan(tmp_path / f"{name}.nii.gz", seed) for seed, name in enumerate("ab")]
    table = pd.DataFrame(
        {
            "participant_id": ["sub-a", "sub-b"],
            "path": map(str, paths),
            "space": "template",
            "orientation": "header",
        }
    )
    with pytest.raises(CohortError, match=r"ended abruptly; .*memory.*fewer data\.prepare_jobs"):
        prepare_cohort(table, PREPARE, grid=GRID, cache_folder=tmp_path / "c", jobs=2)
