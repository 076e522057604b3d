"""Movies: nearly lossless, the same bytes again, in either codec."""

from pathlib import Path

import av
import numpy as np
import pytest

from neurofocus.movies import movie_encoder, write_movie


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_what_is_written_is_nearly_what_is_read(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = np.broadcast_to(ramp[None, :, None, None], (6, 64, 64, 3)).copy()
    path = tmp_path / "ramp.mp4"
    write_movie(path, frames, fps=12, title="a ramp")
    error = decoded(path).astype(float) - frames
    assert 10 * np.log10(255**2 / (error**2).mean()) > 38  # dB: visually lossless
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 12
        assert container.metadata["title"] == "a ramp"
    first = path.read_bytes()
    write_movie(path, iter(frames), fps=12, title="a ramp", encoder=movie_encoder())
    assert path.read_bytes() == first


def test_the_older_codec_works_too(tmp_path: Path) -> None:
    frames = np.full((3, 64, 64, 3), 100, np.uint8)
    write_movie(tmp_path / "gray.mp4", frames, fps=12, encoder="mpeg4")
    np.testing.assert_allclose(decoded(tmp_path / "gray.mp4"), frames, atol=3)


def test_a_movie_without_frames_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a movie needs a frame"):
        write_movie(tmp_path / "none.mp4", [], fps=12)
    assert not list(tmp_path.iterdir())
