"""What every source of frames promises, whether a video file or a folder of pictures; the limits of both."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from neurofocus.errors import VideoError

__all__ = [
    "MAX_FRAMES",
    "MAX_PIXELS",
    "ExactSize",
    "FrameSize",
    "FrameSource",
    "Frames",
    "FullSize",
    "ShortSide",
    "check_frame_size",
    "refusal",
]

Frames = NDArray[np.uint8]

MAX_PIXELS = 2**26
MAX_FRAMES = 2**22
_MAX_READ_BYTES = 4 * 2**30


@dataclass(frozen=True)
class FullSize:
    """Frames as they are stored."""

    def resolve(self, height: int, width: int) -> tuple[int, int]:
        """Return the output's (height, width) for frames of this size."""
        return height, width


@dataclass(frozen=True)
class ShortSide:
    """The shorter side becomes ``pixels``; the longer keeps the aspect, to the nearest pixel, halves up."""

    pixels: int

    def resolve(self, height: int, width: int) -> tuple[int, int]:
        """Return the output's (height, width) for frames of this size."""
        short, long = sorted((height, width))
        scaled = (2 * long * self.pixels + short) // (2 * short)
        return (self.pixels, scaled) if height <= width else (scaled, self.pixels)


@dataclass(frozen=True)
class ExactSize:
    """Every frame becomes this size, whatever its aspect."""

    height: int
    width: int

    def resolve(self, height: int, width: int) -> tuple[int, int]:
        """Return the output's (height, width) for frames of this size."""
        return self.height, self.width


FrameSize = FullSize | ShortSide | ExactSize


class FrameSource(ABC):
    """Frames in presentation order, read by number; one process at a time, a few frames in memory.

    Use it in a ``with`` statement, or call ``close``.

    Attributes:
        path: The file or folder.
        num_frames: How many frames there are.
        frame_size: (height, width) of the first frame as it is meant to be seen, in pixels.
    """

    path: Path
    num_frames: int
    frame_size: tuple[int, int]

    @property
    @abstractmethod
    def corrupt_frames(self) -> int:
        """How many different frames were found damaged so far."""

    @property
    @abstractmethod
    def flaws(self) -> tuple[str, ...]:
        """What is damaged or lacking, as far as it was met, one line each: strict reading refuses it."""

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the source so far, one line each, its flaws included."""

    @abstractmethod
    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the first frame [n]."""

    @abstractmethod
    def unreadable(self) -> tuple[str, ...]:
        """Decode everything and name each frame that cannot be decoded."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    @abstractmethod
    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        """Write frame ``numbers[i]`` (increasing, all different) into every array [H, W, 3] of ``out[i]``."""

    def read(self, indices: Sequence[int], *, size: FrameSize) -> Frames:
        """Decode the frames asked for, and no other more than needed.

        Args:
            indices: Numbers from 0 to ``num_frames - 1`` in any order; repeats are allowed.
            size: Of the output; shrinking averages (anti-aliased bilinear).

        Returns:
            RGB frames [n, H, W, 3] in the order asked.

        Raises:
            VideoError: if a frame cannot be decoded (it is never replaced by another), or the frames together
                would take more than 4 GiB.
            IndexError: if there is no such frame.
        """
        numbers = self._checked(indices)
        height, width = size.resolve(*self.frame_size)
        if min(height, width) < 1:
            raise ValueError(f"frames of {width} x {height} pixels cannot be made: ask for at least 1 x 1")
        if len(numbers) * height * width * 3 > _MAX_READ_BYTES:
            raise refusal(
                self.path,
                f"{len(numbers)} frames of {width} x {height} pixels do not fit into 4 GiB",
                "ask for fewer or smaller frames",
            )
        frames = np.empty((len(numbers), height, width, 3), dtype=np.uint8)
        places: dict[int, list[Frames]] = {number: [] for number in sorted(set(numbers))}
        for place, number in enumerate(numbers):
            places[number].append(frames[place])
        if places:
            self._read_sorted(list(places), list(places.values()))
        return frames

    def _checked(self, indices: Sequence[int]) -> list[int]:
        """Return the indices as a list of integers that are in range."""
        numbers = [int(index) for index in indices]
        for number in numbers:
            if not 0 <= number < self.num_frames:
                raise IndexError(f"{self.path.name}: no frame {number}: there are {self.num_frames}")
        return numbers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refusal(path: Path, seen: str, advice: str) -> VideoError:
    """Build the one-line error of a video: its name, what was seen, what is accepted or to be done."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name) or str(path)
    return VideoError(f"{name}: {seen}; {advice}")


def check_frame_size(path: Path, height: int, width: int) -> None:
    """Refuse what no camera makes, before memory is taken for it.

    Raises:
        VideoError: for frames without pixels or with more than ``MAX_PIXELS``.
    """
    if min(height, width) < 1:
        raise refusal(path, f"frames of {width} x {height} pixels", "the file is damaged: copy it again")
    if math.prod((height, width)) > MAX_PIXELS:
        raise refusal(
            path,
            f"frames of {width} x {height} pixels announced",
            f"at most {MAX_PIXELS} pixels are accepted: scale the video down, or copy it again if it is damaged",
        )
