"""Clips as items: what an item shows is a function of (seed, fold, epoch, index), the same crop for both streams."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from neurofocus.data.dataset import Batch
from neurofocus.data.loaders import EpochBatchSampler
from neurofocus.data.video.dataset import Clip, VideoDataset, evaluation_clip
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import Frames, FrameSource
from neurofocus.errors import VideoError
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.video_run import VideoConfig

MODEL = ModelConfig(frame_size=32, patch_size=16, num_frames=12, num_glance_frames=4, num_focus_frames=4)
SHARED = VideoConfig(normalisation="kinetics")
SEPARATE = MODEL.model_copy(update={"streams": "separate"})


class Painted(FrameSource):
    """Frame t is t in red, its row in green and its column in blue, in 240ths of the frame's sides."""

    corrupt_frames = 0
    flaws: tuple[str, ...] = ()
    warnings = ()

    def __init__(self, num_frames: int, size: tuple[int, int]) -> None:
        self.num_frames, self.frame_size = num_frames, size
        self.decoded: list[int] = []
        self.closed = False

    def timestamps(self, indices: Sequence[int]) -> Any:
        raise NotImplementedError

    def unreadable(self) -> tuple[str, ...]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        for number, arrays in zip(numbers, out, strict=True):
            if number == 99:
                raise VideoError("painted: frame 99 is damaged; paint it again")
            self.decoded.append(number)
            for array in arrays:
                height, width, _ = array.shape
                array[..., 0] = number
                array[..., 1] = (np.arange(height) * 240 // height)[:, None]
                array[..., 2] = np.arange(width) * 240 // width


class Striped(Painted):
    """Of every four columns the middle two are bright."""

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        for array in (array for arrays in out for array in arrays):
            array[...] = np.where(np.arange(array.shape[1]) % 4 % 3 > 0, 240, 0)[:, None]


class Shelf:
    """Opens painted clips and remembers them."""

    def __init__(self, num_frames: int = 90, size: tuple[int, int] = (48, 64)) -> None:
        self.num_frames, self.size = num_frames, size
        self.opened: list[Painted] = []

    def __call__(self, name: str) -> FrameSource:
        if name == "broken":
            raise VideoError("broken.mp4: an empty file; copy it again")
        self.opened.append(Painted(100 if name == "torn" else self.num_frames, self.size))
        return self.opened[-1]


CLIPS = [Clip(f"clip {number}", (number % 3,)) for number in range(6)]


def painted(frames: torch.Tensor) -> np.ndarray:
    """Undo the normalisation, [..., 3, H, W] in 0..255."""
    return np.rint((frames.numpy() * 0.225 + 0.45) * 255).astype(int)


def numbers(frames: torch.Tensor) -> list[int]:
    return painted(frames)[:, 0, 0, 0].tolist()


def same(one: Batch, two: Batch) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)  # type: ignore[literal-required]


def test_items_have_the_agreed_shapes() -> None:
    for stream in (None, (0, 1)):
        item = VideoDataset(CLIPS, Shelf(), SHARED, MODEL, stream=stream)[4]
        assert item.keys() == {"frames", "label", "index"}
        assert item["frames"].shape == (12, 3, 32, 32) and item["frames"].dtype == torch.float32
        assert (item["label"].item(), item["index"].item()) == (1, 4)
        assert item["label"].dtype == item["index"].dtype == torch.int64
        item = VideoDataset(CLIPS, Shelf(), SHARED, SEPARATE, stream=stream)[4]
        assert item["glance_frames"].shape == (4, 3, 32, 32)


def test_evaluation_shows_the_centre_of_the_middle_frames() -> None:
    item = VideoDataset(CLIPS, Shelf(90), SHARED, SEPARATE)[0]
    assert numbers(item["frames"]) == [int((i + 0.5) * 7.5) for i in range(12)]
    assert numbers(item["glance_frames"]) == [int((i + 0.5) * 22.5) for i in range(4)]
    # The short side becomes 32 * 256 / 224 = 36, the long one 48: rows 2..33 and columns 8..39.
    shown = painted(item["frames"])[0]
    assert shown[1, :, 0].tolist() == [row * 240 // 36 for row in range(2, 34)]
    assert shown[2, 0].tolist() == [column * 240 // 48 for column in range(8, 40)]


def test_training_draws_one_frame_of_each_segment_and_one_crop() -> None:
    dataset = VideoDataset(CLIPS, Shelf(96), SHARED, SEPARATE, stream=(0, 1))
    crops, chosen = set(), set()
    for epoch in range(30):
        dataset.set_epoch(epoch)
        item = dataset[2]
        assert [number // 8 for number in numbers(item["frames"])] == list(range(12))
        assert [number // 24 for number in numbers(item["glance_frames"])] == list(range(4))
        both = painted(torch.cat([item["frames"], item["glance_frames"]]))[:, 1:]
        assert (both == both[0]).all()  # one rectangle and one flip for all frames of both streams
        crops.add(both[0].tobytes())
        chosen.add(tuple(numbers(item["frames"])))
    assert len(crops) > 20 and len(chosen) > 20


def test_streams_are_drawn_independently() -> None:
    dataset = VideoDataset(CLIPS, Shelf(96), SHARED, SEPARATE, stream=(0, 1))
    apart = 0
    for epoch in range(20):
        dataset.set_epoch(epoch)
        item = dataset[0]
        apart += len(set(numbers(item["glance_frames"])) - set(numbers(item["frames"])))
    assert apart > 40  # of 80


def test_every_frame_is_decoded_once_and_the_clip_is_closed() -> None:
    for num_frames in (5, 96):
        shelf = Shelf(num_frames)
        dataset = VideoDataset(CLIPS, shelf, SHARED, SEPARATE, stream=(0, 1))
        item = dataset[0]
        (source,) = shelf.opened
        assert source.closed
        assert source.decoded == sorted({*numbers(item["frames"]), *numbers(item["glance_frames"])})
        assert len(numbers(item["frames"])) == 12


def test_draws_depend_on_seed_fold_epoch_and_index() -> None:
    def items(stream: tuple[int, int], epoch: int) -> list[Batch]:
        dataset = VideoDataset(CLIPS, Shelf(), SHARED, SEPARATE, stream=stream)
        dataset.set_epoch(epoch)
        return [dataset[index] for index in reversed(range(6))][::-1]

    dataset = VideoDataset(CLIPS, Shelf(), SHARED, SEPARATE, stream=(3, 1))
    dataset.set_epoch(7)
    reference = [dataset[index] for index in range(6)]
    assert all(map(same, reference, items((3, 1), 7)))
    for other in (items((4, 1), 7), items((3, 2), 7), items((3, 1), 8)):
        assert not any(map(same, reference, other))
    assert not torch.equal(reference[0]["frames"], reference[1]["frames"])


def test_workers_change_nothing_and_see_the_next_epoch() -> None:
    def run(workers: int) -> list[Batch]:
        dataset = VideoDataset(CLIPS, Shelf(), SHARED, SEPARATE, stream=(0, 1))
        sampler = EpochBatchSampler(len(dataset), 2, (0, 1))
        loader = DataLoader(
            dataset, batch_sampler=sampler, num_workers=workers, persistent_workers=workers > 0
        )
        batches = []
        for epoch in range(2):
            dataset.set_epoch(epoch)
            sampler.set_epoch(epoch)
            batches += list(loader)
        return batches

    alone, shared = run(0), run(2)
    assert len(alone) == len(shared) == 6
    assert alone[0]["frames"].shape == (2, 12, 3, 32, 32)
    assert alone[0]["glance_frames"].shape == (2, 4, 3, 32, 32)
    assert all(map(same, alone, shared))


def test_a_clip_of_several_labels_shows_each_equally_often() -> None:
    clips = [Clip("one", (4,)), Clip("three", (2, 7, 5))]
    dataset = VideoDataset(clips, Shelf(), SHARED, MODEL, stream=(0, 1))
    seen = []
    for epoch in range(600):
        dataset.set_epoch(epoch)
        seen.append(dataset.labels[1])
        assert dataset.labels[0] == 4
        if epoch < 5:
            assert dataset[1]["label"].item() == seen[-1]
    counts = np.bincount(seen, minlength=8)
    assert set(np.flatnonzero(counts)) == {2, 5, 7}
    assert counts[[2, 5, 7]].min() > 160
    still = VideoDataset(clips, Shelf(), SHARED, MODEL)
    still.set_epoch(3)
    assert still.labels == [4, 2] and still[1]["label"].item() == 2
    assert still.clips[1].labels == (2, 7, 5)


def mirrored(item: Batch) -> bool:
    columns = painted(item["frames"])[0, 2, 0]
    assert columns[0] != columns[-1]
    return bool(columns[0] > columns[-1])


@pytest.mark.parametrize(("flip", "low", "high"), [("none", 0, 0), ("horizontal", 70, 130)])
def test_clips_are_mirrored_where_the_data_set_allows_it(flip: str, low: int, high: int) -> None:
    config = SHARED.model_copy(update={"flip": flip})
    dataset = VideoDataset(CLIPS, Shelf(14), config, MODEL, stream=(0, 1))
    count = 0
    for epoch in range(200):
        dataset.set_epoch(epoch)
        count += mirrored(dataset[1])
        assert dataset.labels == [0, 1, 2, 0, 1, 2]
    assert low <= count <= high
    assert not mirrored(VideoDataset(CLIPS, Shelf(), config, MODEL)[1])


def test_a_mirrored_clip_swaps_its_label() -> None:
    config = VideoConfig(flip="labelmap", flip_labels=((0, 2),), normalisation="kinetics")
    dataset = VideoDataset(CLIPS, Shelf(14), config, MODEL, stream=(0, 1))
    flips = set()
    for epoch in range(20):
        dataset.set_epoch(epoch)
        for index in range(3):
            item = dataset[index]
            flips.add(mirrored(item))
            assert item["label"].item() == (2 - index if mirrored(item) else index) == dataset.labels[index]
    assert flips == {True, False}
    assert VideoDataset(CLIPS, Shelf(), config, MODEL).labels == [0, 1, 2, 0, 1, 2]


def test_three_crops_are_an_axis_before_time() -> None:
    config = SHARED.model_copy(update={"test_crops": 3})
    item = VideoDataset(CLIPS, Shelf(), config, SEPARATE)[0]
    assert item["frames"].shape == (3, 12, 3, 32, 32)
    assert item["glance_frames"].shape == (3, 4, 3, 32, 32)
    for crop, left in enumerate((0, 8, 16)):
        assert numbers(item["frames"][crop]) == [int((i + 0.5) * 7.5) for i in range(12)]
        columns = painted(item["glance_frames"][crop])[0, 2, 0].tolist()
        assert columns == [column * 240 // 48 for column in range(left, left + 32)]
    trained = VideoDataset(CLIPS, Shelf(), config, SEPARATE, stream=(0, 1))[0]
    assert trained["frames"].shape == (12, 3, 32, 32)


def test_shrinking_averages_unless_told_otherwise() -> None:
    values = []
    for antialias in (True, False):
        config = VideoConfig(scales=(1.0,), short_side=128, antialias=antialias, normalisation="kinetics")
        dataset = VideoDataset(CLIPS, lambda name: Striped(20, (128, 128)), config, MODEL, stream=(0, 1))
        values.append(np.unique(painted(dataset[0]["frames"])[..., 4:-4]))
    # 128 columns become 32, each read between the two bright ones.
    assert values[0].min() >= 120 and values[0].max() < 180
    assert values[1].tolist() == [240]


@pytest.mark.parametrize("stream", [None, (0, 1)])
def test_an_unreadable_clip_is_named_and_never_replaced(stream: tuple[int, int] | None) -> None:
    clips = [Clip("good", (0,)), Clip("broken", (1,)), Clip("torn", (2,))]
    model = MODEL.model_copy(update={"num_frames": 100})
    dataset = VideoDataset(clips, Shelf(), SHARED, model, stream=stream)
    assert dataset[0]["index"].item() == 0
    with pytest.raises(
        VideoError,
        match=r"^clip 'broken' cannot be used: broken.mp4: an empty file; .*--exclude FILE: a training goes on after its last epoch$",
    ):
        dataset[1]
    with pytest.raises(VideoError, match=r"^clip 'torn' cannot be used: painted: frame 99 is damaged"):
        dataset[2]
    rest = VideoDataset(clips, Shelf(), SHARED, model, stream=stream, excluded={"broken", "torn"})
    assert (len(rest), rest.labels, [clip.name for clip in rest.clips]) == (1, [0], ["good"])


def test_labels_are_checked() -> None:
    for labels in ((), (1, 1), (-1,)):
        with pytest.raises(ValueError, match="clip 'x' has labels"):
            Clip("x", labels)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_real_files(tmp_path: Path, kind: str) -> None:
    """Gray level 8 t in frame t, through H.264 and JPEG, at another size than stored."""
    frames = np.repeat(np.arange(30, dtype=np.uint8)[:, None] * 8, 96 * 128 * 3, axis=1).reshape(
        30, 96, 128, 3
    )
    if kind == "file":
        path = tmp_path / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "1", "g": "10"})
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    else:
        path = tmp_path / "clip"
        path.mkdir()
        for number, frame in enumerate(frames, start=1):
            Image.fromarray(frame).save(path / f"image_{number:05d}.jpg", quality=95)
    dataset = VideoDataset([Clip(str(path), (0,))], lambda name: open_video(Path(name)), SHARED, SEPARATE)
    expected = [int((i + 0.5) * 2.5) for i in range(12)]
    shown = painted(dataset[0]["frames"])
    assert np.abs(shown - np.array(expected)[:, None, None, None] * 8).max() <= 3
    with open_video(path) as source:
        again, glance, chosen = evaluation_clip(source, SHARED, SEPARATE)
    assert glance is not None and chosen.glance is not None
    assert torch.equal(again, dataset[0]["frames"])
    assert (chosen.frames.tolist(), chosen.glance.tolist()) == (expected, [3, 11, 18, 26])
