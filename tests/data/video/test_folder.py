"""Folders of extracted frames: names are recognised, gaps reported, unreadable pictures named and never replaced."""

from pathlib import Path

import numpy as np
import pytest
from data.video.clips import number_of, picture, write_folder
from PIL import Image

from neurofocus.data.video.folder import FrameFolder
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import ExactSize, FullSize, ShortSide
from neurofocus.errors import VideoError

TEMPLATES = [
    "image_%05d.jpg",
    "img_%05d.jpg",
    "%05d.jpg",
    "%06d.jpg",
    "frame-%d.png",
    "v_x_g01_%04d.jpeg",
    "a%%b_%03d.JPG",
]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_are_recognised(tmp_path: Path, template: str, first: int) -> None:
    folder = write_folder(tmp_path / "v", template, range(first, first + 12))
    for given in ((), (template,), ("other_%d.jpg", template), ("other_%d.jpg",)):
        with open_video(folder, templates=given) as video:
            assert isinstance(video, FrameFolder)
            assert (video.names.template, video.num_frames, video.frame_size) == (template, 12, (48, 64))
            assert [number_of(frame) for frame in video.read([11, 0, 3, 0], size=FullSize())] == [11, 0, 3, 0]
            assert video.warnings == () and video.corrupt_frames == 0


def test_numbers_may_outgrow_their_padding(tmp_path: Path) -> None:
    with FrameFolder(write_folder(tmp_path / "v", "%02d.jpg", [9, 10, 99, 100])) as video:
        assert video.names.template == "%02d.jpg"
        assert [number_of(frame) for frame in video.read(range(4), size=FullSize())] == [0, 1, 2, 3]


def test_a_known_template_decides_between_kinds(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "shot%05d.jpg", range(1, 4))
    Image.fromarray(picture(9)).save(folder / "thumb00009.png")
    with pytest.raises(
        VideoError, match=r"several kinds of numbered frames \(shot\*.jpg, thumb\*.png\); leave one"
    ):
        open_video(folder)
    with open_video(folder, templates=["img_%05d.jpg", "shot%05d.jpg"]) as video:
        assert video.num_frames == 3
    both = ["thumb%05d.png", "shot%05d.jpg"]
    with pytest.raises(
        VideoError, match=r"several kinds of numbered frames \(thumb%05d.png, shot%05d.jpg\); leave"
    ):
        open_video(folder, templates=both)


def test_two_templates_of_the_same_files_are_no_doubt(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "%05d.jpg", [99_998, 99_999, 100_000, 100_001])
    with FrameFolder(folder, templates=["%06d.jpg", "%05d.jpg"]) as video:
        assert video.num_frames == 4


def test_optical_flow_beside_the_frames_is_left_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "img_%05d.jpg", range(1, 5))
    for name in ("flow_x_00001.jpg", "flow_y_00001.jpg", "cover.jpg", "labels.txt", ".img_00009.jpg"):
        Image.fromarray(picture(9)).save(folder / name, format="JPEG")
    with FrameFolder(folder) as video:
        assert (video.names.template, video.num_frames) == ("img_%05d.jpg", 4)
    with FrameFolder(folder, templates=["flow_x_%05d.jpg"]) as video:
        assert video.num_frames == 1


def test_gaps_are_reported_and_keep_their_time(tmp_path: Path) -> None:
    with FrameFolder(write_folder(tmp_path / "v", "img_%05d.jpg", [1, 2, 5, 6, 9]), fps=10) as video:
        assert video.warnings == ("4 of the numbers 1 to 9 are missing, the first is img_00003.jpg",)
        assert video.timestamps([0, 2, 4]) == pytest.approx([0, 0.4, 0.8])
        assert [number_of(frame) for frame in video.read(range(5), size=FullSize())] == [0, 1, 2, 3, 4]


def test_pictures_have_no_clock(tmp_path: Path) -> None:
    video = FrameFolder(write_folder(tmp_path / "v", "%d.jpg", [1]))
    with pytest.raises(
        VideoError, match="v: pictures without a frame rate have no times; give their frames a"
    ):
        video.timestamps([0])


def test_a_folder_without_numbered_pictures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "frame%d-x.jpg", range(3))
    with pytest.raises(
        VideoError,
        match=r"v: a folder without numbered frames \(3 pictures, 0 other entries\); .*image_%05d\.jpg",
    ):
        open_video(folder, templates=["img_%05d.jpg"])


def test_numbers_of_mixed_widths_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "%05d.jpg", range(3))
    Image.fromarray(picture(9)).save(folder / "1.jpg")
    with pytest.raises(VideoError, match=r"numbers of different widths in \*.jpg \(00000, 00001, 00002\)"):
        open_video(folder)


@pytest.mark.parametrize("damage", ["cut early", "text", "empty", "gone", "folder"])
def test_an_unreadable_picture_is_named_and_counted_not_replaced(tmp_path: Path, damage: str) -> None:
    folder = write_folder(tmp_path / "v", "img_%05d.jpg", range(1, 7))
    bad = folder / "img_00004.jpg"
    data = bad.read_bytes()
    with FrameFolder(folder) as video:
        bad.unlink()
        if damage == "folder":
            bad.mkdir()
        elif damage != "gone":
            bad.write_bytes(
                {"cut early": data[: len(data) // 2], "text": b"no picture", "empty": b""}[damage]
            )
        with pytest.raises(VideoError) as caught:
            video.read([0, 3], size=FullSize())
        message = str(caught.value)
        assert message.startswith("img_00004.jpg: frame 3 of v: ") and "\n" not in message
        assert message.endswith("; extract the frames again, or leave the video out")
        assert [number_of(frame) for frame in video.read([0, 1, 2, 4, 5], size=FullSize())] == [0, 1, 2, 4, 5]
        assert video.unreadable() == ("img_00004.jpg",)
        assert video.corrupt_frames == 1
        assert video.flaws == ("1 damaged pictures met so far, the first is img_00004.jpg",)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_that_is_cut_off_late_is_shown_and_counted_but_not_in_strict_reading(
    tmp_path: Path, suffix: str
) -> None:
    folder = write_folder(tmp_path / "v", f"%d.{suffix}", range(6), size=(240, 320))
    bad = folder / f"3.{suffix}"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size * 9 // 10])
    with FrameFolder(folder) as video:
        assert video.flaws == ()
        assert [number_of(frame) for frame in video.read([2, 3], size=FullSize())] == [2, 3]
        assert (video.corrupt_frames, video.unreadable()) == (1, ())
        assert video.flaws == video.warnings == (f"1 damaged pictures met so far, the first is 3.{suffix}",)
    with open_video(folder, strict=True) as video:
        with pytest.raises(VideoError, match=rf"3\.{suffix}: frame 3 of v: damaged or cut off"):
            video.read([2, 3], size=FullSize())
        assert video.unreadable() == (f"3.{suffix}",)


def test_strict_reading_refuses_a_folder_with_a_picture_left_out(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "img_%05d.jpg", [1, 2, 4])
    with open_video(folder) as video:
        assert video.flaws == ("1 of the numbers 1 to 4 are missing, the first is img_00003.jpg",)
    with pytest.raises(VideoError, match=r"v: 1 of the numbers .* img_00003\.jpg; extract the frames again"):
        open_video(folder, strict=True)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "%d.png", [1])
    Image.new("1", (9000, 9000)).save(folder / "2.png")
    Image.new("1", (20_000, 20_000)).save(folder / "3.png")
    with FrameFolder(folder) as video:
        with pytest.raises(VideoError, match=r"2\.png: frames of 9000 x 9000 pixels announced; at most"):
            video.read([1], size=FullSize())
        with pytest.raises(VideoError, match=r"3\.png: frame 2 of v: cannot be opened"):
            video.read([2], size=FullSize())
        assert video.corrupt_frames == 2


def test_pictures_of_other_sizes_are_scaled_to_the_first_and_reported(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", "%d.png", [0, 1])
    Image.fromarray(picture(2, 96, 130)).save(folder / "2.png")
    with FrameFolder(folder) as video:
        frames = video.read([0, 2], size=FullSize())
        assert frames.shape == (2, 48, 64, 3) and number_of(frames[1]) == 2
        assert video.warnings == ("1 pictures read so far differ in size from the first, as 2.png",)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK", "1"])
def test_any_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    for number in range(3):
        image = Image.fromarray(picture(number))
        if mode == "I;16":
            deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
            image = Image.fromarray(deep)
        else:
            image = image.convert(mode, dither=Image.Dither.NONE)
        image.save(folder / f"{number}.{'jpg' if mode == 'CMYK' else 'png'}")
    with FrameFolder(folder) as video:
        assert [number_of(frame) for frame in video.read(range(3), size=FullSize())] == [0, 1, 2]


def textured(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)).resize((width, height), 3)
    grain = rng.integers(-25, 26, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(smooth).astype(int) + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [ShortSide(128), ShortSide(256), ExactSize(224, 224), ShortSide(720)])
def test_reduced_jpeg_decoding_stays_near_the_full_one(tmp_path: Path, size: ShortSide | ExactSize) -> None:
    """Stated in benchmarks/frame_folders.py: a mean of at most 1 grey level of 255."""
    folder = tmp_path / "v"
    folder.mkdir()
    textured(720, 1280).save(folder / "1.jpg", quality=90)
    with FrameFolder(folder) as video:
        ours = video.read([0], size=size)[0].astype(float)
    full = Image.open(folder / "1.jpg").convert("RGB").resize(ours.shape[1::-1], Image.Resampling.BILINEAR)
    assert np.abs(ours - np.asarray(full)).mean() <= 1


def test_reduced_jpeg_decoding_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    textured(720, 1280).save(folder / "1.jpg", quality=90)
    decoded: list[tuple[int, int]] = []
    load = Image.Image.resize

    def noted(image: Image.Image, *arguments: object) -> Image.Image:
        decoded.append(image.size)
        return load(image, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", noted)
    with FrameFolder(folder) as video:
        for side in (90, 180, 200, 400):
            video.read([0], size=ShortSide(side))
    assert decoded == [(320, 180), (640, 360), (1280, 720), (1280, 720)]


def test_no_file_stays_open(tmp_path: Path) -> None:
    with FrameFolder(write_folder(tmp_path / "v", "%d.jpg", range(5))) as video:
        before = len(list(Path("/proc/self/fd").iterdir()))
        video.read(range(5), size=FullSize())
        assert len(list(Path("/proc/self/fd").iterdir())) == before
