"""What a set of drifting-digit videos is made of; every number of the recipe is here.

Eight-by-eight images of real handwritten digits drift through clutter. A digit is there in a few consecutive frames
only and fills a small part of them, so a classifier has to find when and where to look.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from pydantic import Field

from neurofocus.schema.base import Settings

__all__ = [
    "CLASSES",
    "DIFFICULTIES",
    "HUES",
    "PARTS",
    "Difficulty",
    "DigitsConfig",
    "Part",
    "Stream",
    "generator",
]

CLASSES = tuple(str(digit) for digit in range(10))
Part = Literal["train", "validation", "test", "stills"]
PARTS: tuple[Part, ...] = ("train", "validation", "test", "stills")

# The coarse cue: two digits share a hue, so a glance finds the digit and halves the choice at most. The pairs differ
# in one half of the digit each (3 and 8: left, 4 and 9: top, 1 and 6, 2 and 7: bottom), so a hidden half matters.
HUES = 5


class DigitsConfig(Settings):
    """How many videos, how long and how large. Other details are constants of the recipe."""

    seed: int = Field(0, ge=0, lt=2**32)
    train: int = Field(1600, ge=20, description="training videos")
    validation: int = Field(400, ge=20, description="validation videos")
    test: int = Field(2000, ge=20, description="test videos")
    stills: int = Field(
        320, ge=20, description="files of unrelated stills, num_frames each, for pre-training"
    )
    frame_size: int = Field(96, ge=64, le=512, multiple_of=2, description="pixels")
    num_frames: int = Field(24, ge=12, description="frames a video")
    hard_share: float = Field(
        0.5, ge=0, le=1, description="share of videos with small, short, half-hidden digits"
    )

    def count(self, part: Part) -> int:
        """Return how many files a part has."""
        counts: dict[Part, int] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "stills": self.stills,
        }
        return counts[part]


@dataclass(frozen=True)
class Difficulty:
    """One kind of video.

    Attributes:
        name: of the kind.
        present: share of a video's frames with the digit.
        side: smallest and largest side of the digit, as shares of the frame's side.
        hidden: probability, a frame, that one half of the digit is missing.
    """

    name: str
    present: float
    side: tuple[float, float]
    hidden: float


DIFFICULTIES = (
    Difficulty("easy", present=1 / 3, side=(0.19, 0.27), hidden=0.25),
    Difficulty("hard", present=0.25, side=(0.14, 0.19), hidden=0.7),
)


class Stream(IntEnum):
    """Independent random streams of one seed."""

    DIGITS = 1
    SCENE = 2
    NOISE = 3


def generator(seed: int, stream: Stream, *coordinates: int) -> np.random.Generator:
    """Return the random numbers of one stream at some coordinates."""
    return np.random.default_rng([seed, int(stream), *coordinates])
