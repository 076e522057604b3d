"""Every broken or odd input ends in one helpful line or is read for what it is; nothing stands in for a frame."""

import errno
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from data.video.clips import (
    RATE,
    decoded,
    number_of,
    write_audio,
    write_folder,
    write_video,
    write_without_frames,
)

from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FullSize
from neurofocus.errors import VideoError


def copied(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cut(folder: Path, suffix: str, share: float, codec: str = "libx264", **mux: str) -> Path:
    """Write 60 frames and keep a share of the bytes."""
    whole = write_video(folder / f"whole{suffix}", frames=60, codec=codec, mux=mux)
    return copied(folder / f"cut{suffix}", whole.read_bytes()[: int(share * whole.stat().st_size)])


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "a.mp4", "a.mp4: no such file; check the path"),
    "empty": (lambda d: copied(d / "a.mp4", b""), "a.mp4: an empty file; copy it again"),
    "text": (lambda d: copied(d / "a.mp4", b"not a video\n" * 50), "a.mp4: text, not a video; accepted are "),
    "noise": (
        lambda d: copied(d / "a.mp4", np.random.default_rng(0).bytes(5000)),
        "no video format that is known",
    ),
    "picture": (
        lambda d: write_folder(d / "f", "%d.jpg", [7]) / "7.jpg",
        "7.jpg: one picture, not a video; give the folder",
    ),
    "audio only": (
        lambda d: write_audio(d / "a.mp4"),
        "a.mp4: no video stream (it holds audio); give a file with",
    ),
    "no frames": (lambda d: write_without_frames(d / "a.mp4"), "a.mp4: no video stream (it holds nothing); "),
    "a codec that nobody knows": (
        lambda d: copied(d / "a.mp4", write_video(d / "b.mp4").read_bytes().replace(b"avc1", b"zzzz")),
        "a.mp4: a video stream without a decoder; convert it to H.264 in MP4",
    ),
    "a name that is too long": (
        lambda d: d / ("n" * 300),
        ": cannot be read (File name too long); check the path",
    ),
    "cut before the index": (lambda d: cut(d, ".mp4", 0.6), "cut.mp4: an MP4 without its index (moov)"),
    "cut in the first frame": (
        lambda d: cut(d, ".mp4", 0.22, movflags="faststart"),
        "cut.mp4: no frame that can be shown; ",
    ),
    "a folder without frames": (
        lambda d: d,
        ": a folder without numbered frames (0 pictures, 0 other entries); give a folder",
    ),
    "a name of two lines": (lambda d: d / "a\nb.mp4", "a?b.mp4: no such file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    make, expected = REFUSED[kind]
    path = make(tmp_path)
    with pytest.raises(VideoError) as caught:
        open_video(path)
    message = str(caught.value)
    assert expected in message and "\n" not in message and "; " in message


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", frames=2)

    def refuse(*_: object, **__: object) -> None:
        raise av.error.PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match=r"a\.mp4: no permission to read it; change its permissions"):
        open_video(path)


def test_no_permission_to_list_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(VideoError, match=r"cannot be listed \(Permission denied\); check"):
        open_video(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="not a regular file"):
        open_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"],
    ids=["m3u8", "concat"],
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str) -> None:
    other = write_video(tmp_path / "other.mp4", frames=2)
    with pytest.raises(VideoError, match="text, not a video"):
        open_video(copied(tmp_path / "list.mp4", text.format(other).encode()))


def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "x.mp4", frames=2).rename(tmp_path / "http:x.mp4")
    monkeypatch.chdir(tmp_path)
    with open_video(Path("http:x.mp4")) as video:
        assert video.num_frames == 2


CUT = {
    "mp4": (".mp4", "libx264", {"movflags": "faststart"}, "of 60 frames are there"),
    "mkv": (".mkv", "libx264", {}, "s are there"),
    "webm": (".webm", "libvpx-vp9", {}, "s are there"),
    "avi": (".avi", "mpeg4", {}, "of 60 frames are there"),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", CUT)
def test_a_cut_off_file_is_as_long_as_what_is_there(tmp_path: Path, kind: str, threads: int) -> None:
    suffix, codec, mux, expected = CUT[kind]
    path = cut(tmp_path, suffix, 0.7, codec, **mux)
    with VideoFile(path, threads=threads) as video:
        assert 10 < video.num_frames < 55
        numbers = [number_of(frame) for frame in video.read(range(video.num_frames), size=FullSize())]
        assert any("the file is cut off: " in note and expected in note for note in video.warnings)
        # Behind the cut some frames are lost although later ones are there; the clock knows.
        assert numbers == np.rint(video.timestamps(range(video.num_frames)) * RATE).astype(int).tolist()
    with pytest.raises(VideoError, match="the file is cut off"):
        open_video(path, strict=True)


def test_a_stream_that_starts_between_key_frames_begins_at_the_next(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.ts", frames=60).read_bytes()
    path = copied(tmp_path / "b.ts", data[188 * (len(data) // 188 // 3) :])
    reference = decoded(path)
    with open_video(path) as video:
        assert np.array_equal(video.read(range(video.num_frames), size=FullSize()), reference)
        assert number_of(reference[0]) % 12 == 0
        assert "cannot be decoded and are left out" in video.warnings[0]


def damaged(folder: Path) -> Path:
    """Flip twenty bytes in the second third of the pictures."""
    data = bytearray(write_video(folder / "whole.mp4", frames=60).read_bytes())
    start, end = data.index(b"mdat") + 700, data.index(b"moov")
    rng = np.random.default_rng(1)
    for place in rng.integers(start + (end - start) // 3, start + 2 * (end - start) // 3, 20):
        data[place] ^= 0xFF
    return copied(folder / "a.mp4", bytes(data))


@pytest.mark.parametrize("threads", [1, 2])
def test_damaged_frames_are_counted_or_refused_by_name_but_never_replaced(
    tmp_path: Path, threads: int
) -> None:
    refused, read = [], []
    with VideoFile(damaged(tmp_path), threads=threads) as video:
        assert video.num_frames == 60
        for index in range(60):
            try:
                read.append((index, number_of(video.read([index], size=FullSize())[0])))
            except VideoError as error:
                refused.append(index)
                assert f"frame {index} of 60 (at {index / RATE:.3f} s) cannot be decoded; " in str(error)
        assert video.corrupt_frames > 0
        assert "damaged frames met so far" in video.warnings[-1]
        assert [
            index for index in range(60) if f"frame {index} of 60" in " ".join(video.unreadable())
        ] == refused
    # Concealed pictures differ a little; but whole frames before the damage and after it are the right ones.
    assert {index for index, number in read if index == number} >= {*range(12), *range(48, 60)}


def test_strict_reading_stops_at_damage(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    with VideoFile(path, strict=True) as video, pytest.raises(VideoError, match=r"damage") as caught:
        video.read([59], size=FullSize())
    assert "; copy the file again" in str(caught.value)
    with VideoFile(tmp_path / "whole.mp4", strict=True) as video:
        assert number_of(video.read([59], size=FullSize())[0]) == 59


def test_strict_reading_accepts_a_sound_file_with_open_groups(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:b-adapt=0:scenecut=0"}
    path = write_video(tmp_path / "a.mp4", frames=60, gop=8, options=options)
    with VideoFile(path, strict=True) as video:
        assert [number_of(frame) for frame in video.read([59, 13, 14, 3], size=FullSize())] == [59, 13, 14, 3]


CHILD = """
import json, pathlib, sys
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import ShortSide

def peak():  # of this process alone: ru_maxrss begins at the parent's
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

before = peak()
try:
    with open_video(pathlib.Path(sys.argv[1])) as video:
        video.read([video.num_frames - 1], size=ShortSide(8))
    text = "accepted"
except Exception as error:
    text = f"{type(error).__name__}: {error}"
print(json.dumps([text, peak() - before]))
"""


def opened_elsewhere(path: Path) -> tuple[str, float]:
    """Open and read a file in a process of its own; return what happened and the memory it took in MiB."""
    run = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    text, megabytes = json.loads(run.stdout)
    return text, megabytes


def huge_motion_jpeg(path: Path, *, frames: int) -> Path:
    """A small file of gray pictures of 9000 x 9000 pixels, 116 MiB each when decoded."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 9000, 9000, "yuvj420p"
        frame = av.VideoFrame(9000, 9000, "yuvj420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        for number in range(frames):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_huge_pictures_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = huge_motion_jpeg(tmp_path / "a.avi", frames=2)
    assert path.stat().st_size < 5 * 2**20
    text, megabytes = opened_elsewhere(path)
    assert text.startswith(
        "VideoError: a.avi: frames of 9000 x 9000 pixels announced; at most 67108864 pixels"
    )
    assert megabytes < 50


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_huge_picture_behind_small_ones_is_refused(tmp_path: Path) -> None:
    """Both are bare JPEG streams, so one may follow the other; no header tells beforehand."""
    small = write_video(tmp_path / "s.mjpeg", codec="mjpeg", frames=3).read_bytes()
    huge = huge_motion_jpeg(tmp_path / "h.mjpeg", frames=1).read_bytes()
    text, megabytes = opened_elsewhere(copied(tmp_path / "b.mjpeg", small + huge))
    assert text.startswith("VideoError: b.mjpeg: frame 3 of 4 (at 0.120 s) cannot be decoded; ")
    assert megabytes < 50


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_table_that_claims_billions_of_frames_takes_no_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", codec="mpeg4", frames=10, options={"bf": "0"})
    data = bytearray(path.read_bytes())
    for box, at, values in (
        (b"stsz", 8, (1, 2**31 - 1)),
        (b"stts", 12, (2**31 - 1,)),
        (b"stsc", 16, (2**27,)),
    ):
        place = data.index(box) + at
        data[place : place + 4 * len(values)] = struct.pack(f">{len(values)}I", *values)
    text, megabytes = opened_elsewhere(copied(tmp_path / "b.mp4", bytes(data)))
    assert text.startswith("VideoError: b.mp4: ") and megabytes < 100


def test_a_read_that_would_not_fit_into_memory_is_refused(tmp_path: Path) -> None:
    from neurofocus.data.video.source import ExactSize

    with open_video(write_video(tmp_path / "a.mp4", frames=2)) as video:
        with pytest.raises(VideoError, match="do not fit into 4 GiB; ask for fewer or smaller frames"):
            video.read([0, 1], size=ExactSize(50_000, 50_000))
        with pytest.raises(IndexError, match="no frame 2: there are 2"):
            video.read([2], size=FullSize())
        with pytest.raises(IndexError, match="no frame -1"):
            video.read([-1], size=FullSize())
