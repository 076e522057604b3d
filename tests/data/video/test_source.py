"""Sizes of frames by hand."""

import pytest

from neurofocus.data.video.source import ExactSize, FrameSize, FullSize, ShortSide


@pytest.mark.parametrize(
    ("size", "stored", "expected"),
    [
        (FullSize(), (360, 640), (360, 640)),
        (ExactSize(224, 160), (360, 640), (224, 160)),
        (ShortSide(256), (360, 640), (256, 455)),  # 455.1
        (ShortSide(256), (640, 360), (455, 256)),
        (ShortSide(3), (2, 3), (3, 5)),  # 4.5, halves up
        (ShortSide(256), (240, 320), (256, 341)),  # 341.3, enlarged
        (ShortSide(100), (50, 50), (100, 100)),
        (ShortSide(1), (2, 2001), (1, 1001)),  # 1000.5
    ],
)
def test_sizes(size: FrameSize, stored: tuple[int, int], expected: tuple[int, int]) -> None:
    assert size.resolve(*stored) == expected
