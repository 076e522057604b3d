"""Frame counts are kept while a file stays what it is, and known to every process."""

import multiprocessing
import os
from pathlib import Path

import pytest
from data.video.clips import number_of, write_video

from neurofocus.data.video.counts import FrameCounts
from neurofocus.data.video.decoder import Decoder
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FullSize


def test_a_file_that_changed_is_unknown(tmp_path: Path) -> None:
    path, other = tmp_path / "a.avi", tmp_path / "b.avi"
    path.write_bytes(b"12")
    other.write_bytes(b"12")
    counts = FrameCounts([path, path])
    counts.note(path, 30)
    counts.note(other, 7)  # not one of its files
    assert (counts.known(path), counts.known(other)) == (30, 0)
    os.utime(path, ns=(0, 10**9))
    assert counts.known(path) == 0
    counts.note(path, 31)
    path.write_bytes(b"123")
    os.utime(path, ns=(0, 10**9))
    assert counts.known(path) == 0


def test_what_a_worker_counts_all_know(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"12")
    counts = FrameCounts([path])
    worker = multiprocessing.get_context("fork").Process(target=counts.note, args=(path, 40))
    worker.start()
    worker.join()
    assert counts.known(path) == 40


def test_frames_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H.264 in AVI has no time stamps: without the count, opening decodes the whole file."""
    path = write_video(tmp_path / "a.avi", frames=40)
    counts = FrameCounts([path])
    decoded = 0
    decode = Decoder._decode

    def counted(self: Decoder, packet: object) -> None:
        nonlocal decoded
        decoded += packet is not None
        decode(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "_decode", counted)
    costs, shown = [], []
    for _ in range(2):
        decoded = 0
        with open_video(path, threads=1, counts=counts) as video:
            assert video.num_frames == 40
            costs.append(decoded)
            shown.append([number_of(frame) for frame in video.read([3, 30, 39], size=FullSize())])
    assert costs[0] >= 40
    assert costs[1] < 20
    assert shown == [[3, 30, 39]] * 2
    write_video(path, frames=55)
    with open_video(path, threads=1, counts=counts) as video:
        assert video.num_frames == 55
