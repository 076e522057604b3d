"""Movies are files that decoders read back as they were."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from data.video.clips import decoded, number_of, picture

from neurofocus import movies
from neurofocus.errors import NeurofocusError, VideoError
from neurofocus.movies import movie_encoder, write_movie


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4", None])
def test_frames_come_back(tmp_path: Path, encoder: str | None) -> None:
    images = [picture(number) for number in range(40)]
    write_movie(tmp_path / "a.mp4", images, fps=25, title="An <odd> & title", encoder=encoder)
    shown = decoded(tmp_path / "a.mp4")
    assert [number_of(image) for image in shown] == list(range(40))
    inside = [
        abs(one[2:-2, :].astype(int) - two[2:-2, :]).mean() for one, two in zip(shown, images, strict=True)
    ]
    assert max(inside) < 6  # of 255; colours are stored at half the resolution
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert container.metadata["title"] == "An <odd> & title"
        assert (stream.codec_context.pix_fmt, stream.average_rate) == ("yuv420p", 25)
        assert stream.codec_context.name == ("mpeg4" if encoder == "mpeg4" else "h264")


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(17, 2), 8])
def test_frame_rates(tmp_path: Path, fps: Fraction | int) -> None:
    write_movie(tmp_path / "a.mp4", [picture(number) for number in range(9)], fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = sorted(
            float(frame.pts * frame.time_base)
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        )
    np.testing.assert_allclose(times, np.arange(9) / float(fps), atol=1e-3)


def test_one_frame_is_a_movie(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", [picture(200)], fps=8)
    assert [number_of(image) for image in decoded(tmp_path / "a.mp4")] == [200]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_movie(tmp_path / f"{name}.mp4", [picture(number) for number in range(20)], fps=25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_no_half_movie_is_left(tmp_path: Path) -> None:
    def breaks() -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        yield picture(1)
        raise VideoError("clip.mp4: frame 1 cannot be decoded; copy it again")

    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(VideoError, match="frame 1"):
        write_movie(tmp_path / "a.mp4", breaks(), fps=25)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"older"
    with pytest.raises(ValueError, match="a movie needs a frame"):
        write_movie(tmp_path / "a.mp4", [], fps=25)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NeurofocusError, match="a file is where a folder is needed"):
        write_movie(tmp_path / "file/a.mp4", [picture(1)], fps=25)


def test_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert movie_encoder() == "libx264"
    monkeypatch.setattr(movies.av, "codecs_available", {"mpeg4"})
    assert movie_encoder() == "mpeg4"
    monkeypatch.setattr(movies.av, "codecs_available", {"h264"})
    with pytest.raises(VideoError, match="neither the encoder libx264 nor mpeg4; install PyAV"):
        movie_encoder()
