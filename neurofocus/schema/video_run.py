"""How the clips of a video data set become frames (paper section 5, appendices G and H)."""

from typing import Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings

__all__ = ["VideoConfig"]


class VideoConfig(Settings):
    """Frame sampling, cropping, flipping and the measure of one video data set.

    How many frames are taken and how large they are stands in ``ModelConfig``.
    """

    short_side: int | None = Field(
        None,
        ge=16,
        description="frames are read with this short side, pixels; none: 256/224 of model.frame_size",
    )
    scales: tuple[float, ...] = Field(
        (1.0, 0.875, 0.75, 0.66), min_length=1, description="sides of training crops, of the short side"
    )
    max_distort: int = Field(1, ge=0, description="how many places apart a crop's two scales may lie")
    flip: Literal["none", "horizontal", "labelmap"] = Field(
        "horizontal",
        description="training clips are mirrored half of the time; none where labels tell left from right; "
        "labelmap: mirrored clips swap the labels of flip_labels",
    )
    flip_labels: tuple[tuple[int, int], ...] = Field(
        (), description="pairs of classes that a mirror swaps; labelmap only"
    )
    test_crops: Literal[1, 3] = Field(1, description="1: the centre; 3: along the longer side as well")
    antialias: bool = Field(
        True, description="low-pass when a crop shrinks, as Pillow's bilinear filter does"
    )
    normalisation: Literal["imagenet", "kinetics", "centered"] = Field(
        "imagenet",
        description="mean and deviation of each colour; or for all 0.45 and 0.225 (X3D's weights), 0.5 and 0.25",
    )
    validation_fraction: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the training clips that chooses the epoch, where no split of its own does; "
        "0: the last epoch is kept",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "VideoConfig":
        wrong = [scale for scale in self.scales if not 0 < scale <= 1]
        if wrong:
            raise ValueError(f"scales {wrong} lie outside 0..1 (0 not included)")
        swapped = [label for pair in self.flip_labels for label in pair]
        if min(swapped, default=0) < 0 or len(set(swapped)) < len(swapped):
            raise ValueError(
                f"flip_labels {list(self.flip_labels)}: give pairs of class numbers from 0, each class once"
            )
        if (self.flip == "labelmap") != bool(swapped):
            raise ValueError(
                f"flip {self.flip} with {len(self.flip_labels)} flip_labels; labelmap needs pairs, no other "
                "flip takes them"
            )
        return self
