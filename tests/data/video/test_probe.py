"""The facts of a video, cheaply or thoroughly."""

import math
from pathlib import Path

import pytest
from data.video.clips import write_folder, write_video

from neurofocus.data.video.decoder import Decoder
from neurofocus.data.video.probe import probe
from neurofocus.errors import VideoError


def test_facts_of_a_file(tmp_path: Path) -> None:
    facts = probe(write_video(tmp_path / "a.mp4", frames=40, size=(48, 64), rotation=90))
    assert (facts.num_frames, facts.height, facts.width, facts.codec) == (40, 64, 48, "h264")
    assert (facts.fps, facts.duration, facts.even) == (pytest.approx(25), pytest.approx(1.6), True)
    assert (facts.corrupt_frames, facts.unreadable, facts.thorough, facts.warnings) == (0, (), False, ())


def test_milliseconds_are_even_and_pauses_are_not(tmp_path: Path) -> None:
    assert probe(write_video(tmp_path / "a.mkv", frames=40)).even
    stamps = [0, 1, 2, 10, 11, 12]
    facts = probe(write_video(tmp_path / "b.mp4", frames=6, stamps=stamps))
    assert not facts.even
    assert (facts.fps, facts.duration) == (pytest.approx(5 / 12 * 25), pytest.approx(13 / 25))


def test_one_frame_has_no_rate(tmp_path: Path) -> None:
    facts = probe(write_video(tmp_path / "a.mp4", frames=1))
    assert facts.num_frames == 1 and math.isnan(facts.fps) and math.isnan(facts.duration)


def test_facts_of_a_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "img_%05d.jpg", [1, 2, 4])
    facts = probe(folder)
    assert (facts.num_frames, facts.height, facts.width, facts.codec) == (3, 48, 64, "frames")
    assert math.isnan(facts.fps) and facts.warnings[0].startswith("1 of the numbers 1 to 4 are missing")
    timed = probe(folder, templates=["img_%05d.jpg"], fps=10)
    assert (timed.duration, timed.even) == (pytest.approx(0.45), False)


def test_damage_in_the_middle_needs_a_thorough_look(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "%d.jpg", range(5))
    (folder / "2.jpg").write_bytes(b"no picture")
    assert probe(folder).unreadable == ()
    facts = probe(folder, thorough=True)
    assert (facts.unreadable, facts.corrupt_frames, facts.thorough) == (("2.jpg",), 1, True)
    (folder / "4.jpg").write_bytes(b"no picture")
    assert "4.jpg: frame 4 of v: no picture" in probe(folder).unreadable[0]


def test_a_cheap_look_decodes_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", frames=200, gop=10)
    count = 0
    decode = Decoder._decode

    def counted(self: Decoder, packet: object) -> int:
        nonlocal count
        count += packet is not None
        return decode(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "_decode", counted)
    probe(path)
    assert count <= 2 * 10
    probe(path, thorough=True)
    assert count >= 200


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        probe(tmp_path / "a.mp4")
