"""Colours, scaling and orientation of decoded frames, against NumPy and Pillow."""

from pathlib import Path

import numpy as np
import pytest
from data.video.clips import Pixels, number_of, picture, write_video
from PIL import Image

from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.source import ExactSize, FullSize, ShortSide


def mean_difference(ours: Pixels, theirs: Pixels) -> float:
    return float(np.abs(ours.astype(float) - theirs.astype(float)).mean())


def scene(height: int = 240, width: int = 320) -> Pixels:
    """Smooth blobs with fine grain: scaling without averaging would show."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-40, 41, (height, width, 1)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_videos_are_read_upright(tmp_path: Path, rotation: int, hflip: bool) -> None:
    """The side data turns counter-clockwise, then mirrors."""
    path = write_video(tmp_path / "a.mp4", frames=3, rotation=rotation, hflip=hflip)
    with VideoFile(write_video(tmp_path / "plain.mp4", frames=3)) as plain, VideoFile(path) as video:
        expected = [np.rot90(frame, rotation // 90) for frame in plain.read(range(3), size=FullSize())]
        expected = [np.fliplr(frame) if hflip else frame for frame in expected]
        assert video.frame_size == expected[0].shape[:2] == ((64, 48) if rotation % 180 else (48, 64))
        assert np.array_equal(video.read(range(3), size=FullSize()), expected)
        small = video.read([1], size=ShortSide(24))[0]
        assert small.shape == ((32, 24, 3) if rotation % 180 else (24, 32, 3))
        assert (
            mean_difference(small, np.asarray(Image.fromarray(expected[1]).resize(small.shape[1::-1], 2))) < 3
        )


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "size"),
    [
        ("gray.mkv", "ffv1", "gray", (48, 64)),
        ("ten-bit.mp4", "libx264", "yuv420p10le", (48, 64)),
        ("ten-bit.mov", "prores", "yuv422p10le", (48, 64)),
        ("alpha.mov", "qtrle", "argb", (48, 64)),
        ("alpha.webm", "libvpx-vp9", "yuva420p", (48, 64)),
        ("rgb.mkv", "ffv1", "bgr0", (48, 64)),
        ("odd.webm", "libvpx-vp9", "yuv420p", (49, 65)),
        ("odd.mp4", "libx264", "yuv444p", (47, 63)),
        ("tiny.mp4", "libx264", "yuv420p", (16, 32)),
    ],
)
def test_any_pixel_format_becomes_rgb(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, size: tuple[int, int]
) -> None:
    options = {"auto-alt-ref": "0"} if name == "alpha.webm" else {}
    path = write_video(tmp_path / name, frames=9, codec=codec, pix_fmt=pix_fmt, size=size, options=options)
    with VideoFile(path) as video:
        frames = video.read(range(9), size=FullSize())
        assert video.frame_size == size and frames.shape == (9, *size, 3)
        assert [number_of(frame) for frame in frames] == list(range(9))
        if pix_fmt == "gray":
            assert np.array_equal(frames[..., 0], frames[..., 1])
        else:
            assert mean_difference(frames[5], picture(5, *size)) < 12


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("colours", ["tv", "pc"])
def test_the_colour_matrix_and_range_are_those_of_the_file(tmp_path: Path, matrix: str, colours: str) -> None:
    """Y'CbCr of saturated green computed by hand (ITU-R BT.709 and BT.601); read as the other it is off by 20."""
    red, green, blue = 20, 200, 40
    weights = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114)}[matrix]
    luma = weights[0] * red + (1 - sum(weights)) * green + weights[1] * blue
    chroma = (blue - luma) / (2 - 2 * weights[1]), (red - luma) / (2 - 2 * weights[0])
    y_scale, c_scale, offset = (219 / 255, 224 / 255, 16) if colours == "tv" else (1, 1, 0)
    planes = [offset + y_scale * luma, 128 + c_scale * chroma[0], 128 + c_scale * chroma[1]]
    yuv = np.concatenate(
        [
            np.full((rows, 64), round(value), np.uint8)
            for rows, value in zip((64, 16, 16), planes, strict=True)
        ]
    )
    path = tmp_path / "a.mkv"
    write_video(
        path,
        size=(64, 64),
        options={"qp": "0", "x264-params": "bframes=0"},
        yuv=[yuv] * 2,
        matrix=matrix,
        full=colours == "pc",
    )
    with VideoFile(path) as video:
        frame = video.read([1], size=FullSize())[0]
        assert np.abs(frame.astype(int) - [red, green, blue]).max() <= 3


@pytest.mark.parametrize("size", [ShortSide(60), ShortSide(128), ExactSize(100, 100), ShortSide(300)])
def test_scaling_averages_as_pillow_does(tmp_path: Path, size: ShortSide | ExactSize) -> None:
    """Within 2 grey levels of Pillow's anti-aliased bilinear filter on the full frame."""
    image = scene()
    path = write_video(tmp_path / "a.mkv", codec="ffv1", size=image.shape[:2], pix_fmt="bgr0", images=[image])
    with VideoFile(path) as video:
        assert np.array_equal(video.read([0], size=FullSize())[0], image)
        ours = video.read([0], size=size)[0]
    theirs = np.asarray(Image.fromarray(image).resize(ours.shape[1::-1], Image.Resampling.BILINEAR))
    nearest = np.asarray(Image.fromarray(image).resize(ours.shape[1::-1], Image.Resampling.NEAREST))
    assert mean_difference(ours, theirs) < 2
    assert mean_difference(nearest, theirs) > 4


def test_pixels_that_are_not_square_are_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=2, options={"x264-params": "sar=4/3"})
    with VideoFile(path) as video:
        assert video.frame_size == (48, 64)
        assert video.warnings == ("its pixels are not square (4/3): frames are taken as stored",)


def test_frames_that_change_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{n}.h264", frames=5, size=size, gop=5)
        for n, size in enumerate([(48, 64), (96, 128)])
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoFile(path) as video:
        frames = video.read(range(10), size=FullSize())
        assert frames.shape == (10, 48, 64, 3)
        assert [number_of(frame) for frame in frames] == [*range(5), *range(5)]
