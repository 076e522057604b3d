"""Video clips as a torch Dataset: frames freshly drawn, cropped and mirrored every epoch (appendices G and H)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurofocus.data.dataset import Batch, CaseDataset
from neurofocus.data.seeds import derive_seed
from neurofocus.data.video.augment import Crop, apply_crop, draw_crop, evaluation_crops, normalise
from neurofocus.data.video.sampling import StreamIndices, sample_streams
from neurofocus.data.video.source import ExactSize, FrameSource
from neurofocus.errors import VideoError
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.video_run import VideoConfig

__all__ = ["Clip", "OpenClip", "VideoDataset", "evaluation_clip"]


OpenClip = Callable[[str], FrameSource]


@dataclass(frozen=True)
class Clip:
    """One clip of a data set.

    Attributes:
        name: what ``open_clip`` takes and messages show.
        labels: its class numbers, at least one, each once.
    """

    name: str
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) < len(self.labels) or min(self.labels) < 0:
            raise ValueError(
                f"clip {self.name!r} has labels {self.labels}; give one or more, each once, from 0"
            )


class VideoDataset(CaseDataset):
    """The clips of one part of a video data set.

    Frames are [T0, 3, H, W]; at evaluation with three crops they have an axis for the crops before T0, and so have
    the glance frames of separate streams. A clip that cannot be read is an error, never another clip or frame.

    What is damaged or lacking in a clip that can be used is marked, for ``flawed``.

    Attributes:
        clips: without those excluded.
        labels: the class that each clip shows in this epoch: of several labels one drawn with equal chances, and
            its mirror image where the clip is mirrored and the data set swaps labels. Without a stream the first
            label; ``clips`` has all of them.
        stream: as given.

    Args:
        clips: name and labels of each clip.
        open_clip: opens a clip by name; raises VideoError.
        video: sampling, crops and flips.
        model: T0, T_G and the size of frames.
        stream: (seed, fold) of a training dataset; None takes the test frames and crops.
        excluded: names of clips that are left out, known to be unreadable.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        open_clip: OpenClip,
        video: VideoConfig,
        model: ModelConfig,
        *,
        stream: tuple[int, int] | None = None,
        excluded: Collection[str] = (),
    ) -> None:
        self.clips = [clip for clip in clips if clip.name not in excluded]
        super().__init__([clip.labels[0] for clip in self.clips], stream)
        self._open_clip = open_clip
        self._video = video
        self._model = model
        # In shared memory: worker processes mark the clips that they find flawed.
        self._flawed = torch.zeros(len(self.clips), dtype=torch.bool)
        self._flawed.share_memory_()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._mirrored = {a: b for pair in video.flip_labels for a, b in (pair, pair[::-1])}
        self.set_epoch(0)

    @property
    def flawed(self) -> dict[int, str]:
        """Position and name of the clips read so far, by any worker, that are damaged or not whole but usable."""
        return {index: self.clips[index].name for index in self._flawed.nonzero().flatten().tolist()}

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose draws the items show; call it before iterating."""
        super().set_epoch(epoch)
        self.labels = [self._label(index) for index in range(len(self.clips))]

    def __getitem__(self, index: int) -> Batch:
        """Return one clip.

        Raises:
            VideoError: naming the clip that cannot be read.
        """
        clip = self.clips[index]
        try:
            frames, glance_frames = self._read(index)
        except VideoError as error:
            raise VideoError(
                f"clip {clip.name!r} cannot be used: {error}; run 'neurofocus video check --thorough' to find all such "
                "clips, then mend them or name them in a text file and add --exclude FILE: a training goes on after its last epoch"
            ) from error
        item = Batch(
            frames=frames,
            label=torch.tensor(self._label(index), dtype=torch.int64),
            index=torch.tensor(index, dtype=torch.int64),
        )
        if glance_frames is not None:
            item["glance_frames"] = glance_frames
        return item

    def _read(self, index: int) -> tuple[Tensor, Tensor | None]:
        with self._open_clip(self.clips[index].name) as source:
            streams = self._streams(source, index)
            if source.flaws:
                self._flawed[index] = True
            return streams

    def _streams(self, source: FrameSource, index: int) -> tuple[Tensor, Tensor | None]:
        if self.stream is None:
            return evaluation_clip(source, self._video, self._model)[:2]
        chosen = _choose(source, self._model, self._rng("frames", index))
        size, flip = self._model.frame_size, self._flip(index)
        crop = draw_crop(source.frame_size, size, self._video, self._rng("crop", index), flip=flip)
        return _show(source, chosen, (crop,), self._video, size)

    def _label(self, index: int) -> int:
        labels = self.clips[index].labels
        if self.stream is None:
            return labels[0]
        place = self._rng("label", index).integers(len(labels)) if len(labels) > 1 else 0
        label = labels[place]
        return self._mirrored[label] if label in self._mirrored and self._flip(index) else label

    def _flip(self, index: int) -> bool:
        return self._video.flip != "none" and bool(self._rng("flip", index).random() < 0.5)

    def _rng(self, purpose: str, index: int) -> np.random.Generator:
        coordinates = self.coordinates(index)
        assert coordinates is not None
        return np.random.default_rng(derive_seed(f"clip {purpose}", *coordinates))


def evaluation_clip(
    source: FrameSource, video: VideoConfig, model: ModelConfig
) -> tuple[Tensor, Tensor | None, StreamIndices]:
    """Return what the model sees of a clip at test time.

    Args:
        source: the opened clip.
        video: sampling and crops.
        model: T0, T_G and the size of frames.

    Returns:
        Frames [T0, 3, H, W], glance frames [T_G, 3, H, W] where the streams are separate, else None, both with an
        axis for the crops before T if there are three; and the indices that they were read at.

    Raises:
        VideoError: if one of the frames cannot be decoded.
    """
    chosen = _choose(source, model, None)
    crops = evaluation_crops(source.frame_size, model.frame_size, video)
    return *_show(source, chosen, crops, video, model.frame_size), chosen


def _choose(source: FrameSource, model: ModelConfig, rng: np.random.Generator | None) -> StreamIndices:
    glance = model.num_glance_frames if model.streams == "separate" else None
    return sample_streams(source.num_frames, model.num_frames, glance, rng)


def _show(
    source: FrameSource, chosen: StreamIndices, crops: tuple[Crop, ...], video: VideoConfig, size: int
) -> tuple[Tensor, Tensor | None]:
    """Read the chosen frames, each once, and return both streams under the same crops."""
    glance = chosen.frames[:0] if chosen.glance is None else chosen.glance
    wanted, places = np.unique(np.concatenate([chosen.frames, glance]), return_inverse=True)
    pixels = source.read(wanted.tolist(), size=ExactSize(*crops[0].frame_size))
    cut = torch.stack([apply_crop(pixels, crop, size, antialias=video.antialias) for crop in crops])
    cut = cut[0] if len(crops) == 1 else cut
    shown = normalise(cut.index_select(-4, torch.from_numpy(places)), video.normalisation)
    count = len(chosen.frames)
    frames = shown.narrow(-4, 0, count)
    return frames, None if chosen.glance is None else shown.narrow(-4, count, len(glance))
