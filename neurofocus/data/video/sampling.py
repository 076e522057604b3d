"""Which frames of a clip are read (appendices G and H): one of each of T equal segments."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["StreamIndices", "sample_segments", "sample_streams"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StreamIndices:
    """The frames of one clip, as indices from 0.

    Attributes:
        frames: candidates for focus [T0].
        glance: glance frames [T_G] where they are a stream of their own; None: the model takes them from
            ``frames``.
    """

    frames: Ints
    glance: Ints | None = None


def sample_segments(available: int, wanted: int, rng: np.random.Generator | None) -> Ints:
    """Choose frame floor((i + u) N / T) of each segment i = 0..T-1 of a clip.

    The rule of the released code: u ~ U(0, 1) for each segment in training, 1/2 at test time. Segments
    are not rounded to whole frames, so two neighbours may choose the frame that lies in both. The test rule is
    computed in integers: no rounding error moves a frame.

    Args:
        available: N, frames of the clip.
        wanted: T; a clip with fewer frames repeats them in order.
        rng: draws u; None: the middles.

    Returns:
        Indices [T] in 0..N-1, never decreasing.

    Raises:
        ValueError: if there are no frames or none are wanted.
    """
    if available < 1 or wanted < 1:
        raise ValueError(f"cannot choose {wanted} of {available} frames")
    segments = np.arange(wanted, dtype=np.int64)
    if rng is None:
        return (2 * segments + 1) * available // (2 * wanted)
    positions = np.floor((segments + rng.random(wanted)) * available / wanted).astype(np.int64)
    # i + u may round up to i + 1: the last frame that touches the segment is then meant.
    last = ((segments + 1) * available - 1) // wanted
    return np.asarray(np.minimum(positions, last), dtype=np.int64)


def sample_streams(
    available: int, num_frames: int, num_glance_frames: int | None, rng: np.random.Generator | None
) -> StreamIndices:
    """Choose the frames of both streams of a clip.

    Args:
        available: N, frames of the clip.
        num_frames: T0.
        num_glance_frames: T_G, sampled over the clip independently of the T0 (TSM, X3D: appendix H.1); None:
            the glance shares the T0 frames.
        rng: as for ``sample_segments``.

    Raises:
        ValueError: as ``sample_segments``.
    """
    frames = sample_segments(available, num_frames, rng)
    if num_glance_frames is None:
        return StreamIndices(frames)
    return StreamIndices(frames, sample_segments(available, num_glance_frames, rng))
