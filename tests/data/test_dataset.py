"""Datasets: what an item shows is a function of (seed, fold, epoch, index)."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from neurofocus.data.augment import Augmenter
from neurofocus.data.dataset import FrameDataset, evaluation_frames
from neurofocus.schema.run import AugmentConfig

FloatArray = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def cases() -> list[FloatArray]:
    """Six cases of 12 frames; the pixels of frame t hold t + 1."""
    frame = np.arange(1, 13, dtype=np.float32)[:, None, None]
    return [np.broadcast_to(frame, (12, 16, 16)).copy() for _ in range(6)]


def shown(dataset: FrameDataset, index: int) -> list[float]:
    return dataset[index]["frames"][:, 0, 0, 0].tolist()


def test_item_has_the_agreed_shape(cases: list[FloatArray]) -> None:
    item = FrameDataset(cases, [0, 1] * 3, 4)[3]
    assert item["frames"].shape == (4, 1, 16, 16) and item["frames"].dtype == torch.float32
    assert (item["label"].item(), item["index"].item()) == (1, 3)
    assert item["label"].dtype == item["index"].dtype == torch.int64


def test_evaluation_takes_the_middle_frames(cases: list[FloatArray]) -> None:
    dataset = FrameDataset(cases, [0] * 6, 4)
    frames, chosen = evaluation_frames(cases[0], 4)
    assert chosen.tolist() == [1, 4, 7, 10]
    assert shown(dataset, 0) == [2, 5, 8, 11] == shown(dataset, 5)
    torch.testing.assert_close(frames, dataset[0]["frames"], rtol=0, atol=0)


def test_training_draws_one_frame_of_each_segment(cases: list[FloatArray]) -> None:
    dataset = FrameDataset(cases, [0] * 6, 4, stream=(0, 1))
    seen = set()
    for epoch in range(30):
        dataset.set_epoch(epoch)
        values = shown(dataset, 2)
        assert [int(value - 1) // 3 for value in values] == [0, 1, 2, 3]
        seen.add(tuple(values))
    assert len(seen) > 10


def test_draw_depends_on_seed_fold_epoch_and_index(cases: list[FloatArray]) -> None:
    def draws(stream: tuple[int, int], epoch: int) -> list[list[float]]:
        dataset = FrameDataset(cases, [0] * 6, 6, stream=stream)
        dataset.set_epoch(epoch)
        return [shown(dataset, index) for index in range(6)]

    reference = draws((0, 1), 4)
    assert draws((0, 1), 4) == reference
    assert len({tuple(row) for row in reference}) > 1
    for other in (draws((1, 1), 4), draws((0, 2), 4), draws((0, 1), 5)):
        assert other != reference


def test_asking_in_another_order_gives_the_same_items(cases: list[FloatArray]) -> None:
    augmenter = Augmenter(AugmentConfig(probability=1), np.diag([2.0, 1, 1, 1]))
    dataset = FrameDataset(cases, [0] * 6, 6, augmenter=augmenter, stream=(3, 1))
    forward = [dataset[index]["frames"] for index in range(6)]
    backward = [dataset[index]["frames"] for index in reversed(range(6))][::-1]
    for one, other in zip(forward, backward, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_mismatched_arguments_are_refused(cases: list[FloatArray]) -> None:
    with pytest.raises(ValueError, match="6 cases but 5 labels"):
        FrameDataset(cases, [0] * 5, 4)
    with pytest.raises(ValueError, match="stream"):
        FrameDataset(cases, [0] * 6, 4, augmenter=Augmenter(AugmentConfig(), np.eye(4)))
