"""Frames that were extracted into a folder, one picture each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from neurofocus.data.video.source import Frames, FrameSource, check_frame_size, refusal
from neurofocus.data.video.template import find_frames
from neurofocus.errors import VideoError

__all__ = ["FrameFolder"]

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# To twice the size asked for: half the time and within 1 grey level of 255 on average (benchmarks/frame_folders.py);
# to just the size asked for is a third faster again and up to 2 levels off.
_DRAFT_GAP = 2
_ADVICE = "extract the frames again, or leave the video out"


class FrameFolder(FrameSource):
    """A folder of pictures, numbered from any number on; a picture that cannot be read is never replaced.

    Frame i is the i-th picture that is there; missing numbers are reported, and keep their place in time. A picture
    of which half or more is there is read as far as it goes, and counted. EXIF is ignored, as tools that extract frames write pictures
    upright.
    """

    def __init__(
        self, path: Path, *, templates: Sequence[str] = (), fps: float | None = None, strict: bool = False
    ) -> None:
        """List a folder and look at its first picture.

        Args:
            path: The folder.
            templates: What files are likely to be named, such as ``img_%05d.jpg``; recognised where none fits.
            fps: Frames a second, which pictures do not know; needed for time stamps.
            strict: Raise at a missing number or a damaged picture.

        Raises:
            VideoError: if there are no frames, their names fit several templates, or the first is unreadable.
        """
        self.path = path
        self.names = find_frames(path, templates)
        self._strict = strict
        if strict and self.names.gap():
            raise refusal(path, self.names.gap(), _ADVICE)
        self.num_frames = len(self.names.numbers)
        self._fps = fps
        self._damaged: set[int] = set()
        self._other_sizes: set[int] = set()
        with self._opened(0) as image:
            self.frame_size = (image.height, image.width)

    @property
    def corrupt_frames(self) -> int:
        """How many different pictures were found unreadable so far."""
        return len(self._damaged)

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is damaged or lacking, as far as it was met, one line each."""
        found = [self.names.gap()] if self.names.gap() else []
        if self._damaged:
            first = self.names.name(min(self._damaged))
            found.append(f"{len(self._damaged)} damaged pictures met so far, the first is {first}")
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the folder so far, one line each."""
        notes = list(self.flaws)
        if self._other_sizes:
            first = self.names.name(min(self._other_sizes))
            notes.append(
                f"{len(self._other_sizes)} pictures read so far differ in size from the first, as {first}"
            )
        return tuple(notes)

    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the first frame [n].

        Raises:
            VideoError: if the frame rate was not given.
        """
        if self._fps is None:
            raise refusal(
                self.path, "pictures without a frame rate have no times", "give their frames a second"
            )
        numbers = self.names.numbers
        chosen = [numbers[index] - numbers[0] for index in self._checked(indices)]
        return np.array(chosen, dtype=np.float64) / self._fps

    def unreadable(self) -> tuple[str, ...]:
        """Decode everything and name each picture that cannot be decoded."""
        found = []
        for index in range(self.num_frames):
            try:
                with self._opened(index) as image:
                    self._load(image, index, (image.height, image.width))
            except VideoError:
                found.append(self.names.name(index))
        return tuple(found)

    def close(self) -> None:
        """Nothing is held open between reads."""

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        for index, places in zip(numbers, out, strict=True):
            height, width = places[0].shape[:2]
            with self._opened(index) as image:
                if (image.height, image.width) != self.frame_size:
                    self._other_sizes.add(index)
                pixels = np.asarray(self._load(image, index, (height, width)))
            for place in places:
                place[...] = pixels

    def _opened(self, index: int) -> ImageFile.ImageFile:
        """Open a picture and look at its header.

        Raises:
            VideoError: if it is missing, too large, or no picture.
        """
        path = self.path / self.names.name(index)
        try:
            image = Image.open(path, formats=_FORMATS)
        except UnidentifiedImageError as error:
            raise self._unreadable(index, "no picture, or its head is damaged") from error
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise self._unreadable(index, f"cannot be opened ({error})") from error
        try:
            check_frame_size(path, image.height, image.width)
        except VideoError:
            self._damaged.add(index)
            image.close()
            raise
        return image

    def _load(self, image: ImageFile.ImageFile, index: int, size: tuple[int, int]) -> Image.Image:
        """Decode a picture and scale it to (height, width).

        JPEG is decoded at a half, a quarter or an eighth where that is still ``_DRAFT_GAP`` times the size asked for.

        Raises:
            VideoError: if it is damaged or cut off, and less than half of it can be decoded or reading is strict.
        """
        height, width = size
        try:
            image.draft("RGB", (_DRAFT_GAP * width, _DRAFT_GAP * height))
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            damage = self._unreadable(index, f"damaged or cut off ({error})")
            # What was decoded before the damage stays in the picture; without tiles nothing is read again.
            image.tile = []
            if self._strict or not _shows_half(image):
                raise damage from error
        rgb = _to_rgb(image)
        return rgb if rgb.size == (width, height) else rgb.resize((width, height), Image.Resampling.BILINEAR)

    def _unreadable(self, index: int, seen: str) -> VideoError:
        """Count a picture and build its error."""
        self._damaged.add(index)
        return refusal(
            self.path / self.names.name(index), f"frame {index} of {self.path.name}: {seen}", _ADVICE
        )


def _shows_half(image: ImageFile.ImageFile) -> bool:
    """Say whether half the rows of a picture whose reading broke off were decoded: the others are black."""
    try:
        box = image.getbbox()
    except (OSError, ValueError):
        return False
    return box is not None and 2 * (box[3] - box[1]) >= image.height


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB: alpha is dropped, 16 bits are reduced to their upper 8."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
