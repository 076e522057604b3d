"""Frames of one video file."""

import multiprocessing
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from neurofocus.data.video.container import DecoderSettings
from neurofocus.data.video.decoder import Decoder
from neurofocus.data.video.index import FrameIndex, index_by_count, index_by_stamps
from neurofocus.data.video.packets import PacketReader
from neurofocus.data.video.pixels import Orientation, Upright, orientation_of
from neurofocus.data.video.source import Frames, FrameSource, check_frame_size, refusal

__all__ = ["VideoFile"]

_MAX_THREADS = 16
_COPY_AGAIN = "copy or download it again, or leave it out"


class VideoFile(FrameSource):
    """A video file, indexed by its packets and decoded only where frames are wanted.

    Opening reads the file once without decoding, and decodes the first frame. Files without reliable time stamps
    (H.264 in AVI, bare bit streams) are decoded once to count their frames, and are never jumped in.

    Attributes:
        codec: The decoder's name.
        orientation: How stored pictures are turned to be seen.
    """

    codec: str
    orientation: Orientation

    def __init__(self, path: Path, *, strict: bool = False, threads: int | None = None) -> None:
        """Open and index a file.

        Args:
            path: The file.
            strict: Raise at the first damage instead of concealing and counting it; decodes without jumps.
            threads: Of the decoder; by default one in a worker process and one a core elsewhere.

        Raises:
            VideoError: if the file is missing, no video, or empty, or its first frame cannot be decoded; in
                strict reading also if it is cut off.
        """
        self.path = path
        self._strict = strict
        self._threads = _default_threads() if threads is None else threads
        self._current: VideoFrame | None = None
        self._reader = PacketReader(path, DecoderSettings(self._threads, strict))
        try:
            self._open()
        except BaseException:
            self._reader.close()
            raise

    def _open(self) -> None:
        """Index the file and decode its first frame, which alone knows size and orientation."""
        self._index = index_by_stamps(self._reader) or self._counted()
        self.num_frames = len(self._index.stamps)
        self._notes = self._remarks()
        self._decoder = Decoder(self._reader, self._index, strict=self._strict)
        self._jumps = self._index.keys is not None and not self._strict
        self._decoder.go_to(int(self._index.starts[0]))
        first = self._fetch(0, frozenset())
        check_frame_size(self.path, first.height, first.width)
        self.codec = self._reader.stream.codec_context.name
        self.orientation = orientation_of(first)
        sides = (first.height, first.width)
        self.frame_size = (sides[1], sides[0]) if self.orientation.transpose else sides
        self._upright = Upright(self.orientation)

    @property
    def corrupt_frames(self) -> int:
        """How many different frames were concealed or refused so far, and packets that the container marks."""
        return max(len(self._decoder.damaged), self._index.damaged_packets)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the file so far, one line each."""
        damaged = sorted(self._decoder.damaged)
        if not damaged:
            return tuple(self._notes)
        number = min(int(self._index.stamps.searchsorted(damaged[0])), self.num_frames - 1)
        return (
            *self._notes,
            f"{len(damaged)} of the frames decoded so far are damaged, the first is {self._name(number)}",
        )

    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the first frame [n]."""
        return self._index.seconds[self._checked(indices)]

    def unreadable(self) -> tuple[str, ...]:
        """Decode everything and name each frame that cannot be decoded."""
        self._current = None
        self._decoder.go_to(int(self._index.starts[0]))
        seen = set()
        while self._decoder.next_frame() is not None:
            seen.add(self._decoder.last_stamp)
        missing = [number for number, stamp in enumerate(self._index.stamps.tolist()) if stamp not in seen]
        return tuple(self._name(number) for number in missing)

    def close(self) -> None:
        """Let go of the file."""
        self._current = None
        self._reader.close()

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        wanted = frozenset(self._index.stamps[numbers].tolist())
        for number, places in zip(numbers, out, strict=True):
            frame = self._fetch(number, wanted)
            self._upright.write(frame, places[0])
            for place in places[1:]:
                place[...] = places[0]

    def _fetch(self, number: int, wanted: Collection[int]) -> VideoFrame:
        """Decode one frame, from where the decoder stands or from a key frame if that is less work."""
        stamp = int(self._index.stamps[number])
        if self._current is not None and self._decoder.last_stamp == stamp:
            return self._current
        start = int(self._index.starts[number if self._jumps else 0])
        last = self._decoder.last_stamp
        # Frames in flight in other threads are lost by a jump.
        if (last is not None and stamp <= last) or start - self._decoder.next_packet >= self._threads:
            self._decoder.go_to(start)
        self._current = self._decode_to(stamp, wanted)
        if self._current is None and self._jumps:
            # Some key frames are none (intra refresh): from now on nothing is jumped over or left out.
            self._jumps = False
            self._decoder.go_to(int(self._index.starts[0]))
            self._current = self._decode_to(stamp, wanted)
        if self._current is None:
            raise refusal(self.path, f"{self._name(number)} cannot be decoded", _COPY_AGAIN)
        return self._current

    def _decode_to(self, stamp: int, wanted: Collection[int]) -> VideoFrame | None:
        """Decode until a frame is found; return None if the file goes past it."""
        until = max(wanted, default=None) if self._jumps else None
        while (frame := self._decoder.next_frame(wanted=wanted, until=until)) is not None:
            last = self._decoder.last_stamp
            if last is not None and last >= stamp:
                return frame if last == stamp else None
        return None

    def _counted(self) -> FrameIndex:
        """Count the frames by decoding them all."""
        self._reader.reopen()
        decoder = Decoder(self._reader, index_by_count(0, None), strict=self._strict)
        count = 0
        while decoder.next_frame() is not None:
            count += 1
        if not count:
            raise refusal(self.path, "no frame can be decoded", _COPY_AGAIN)
        stream = self._reader.stream
        return index_by_count(count, stream.average_rate or stream.guessed_rate)

    def _remarks(self) -> list[str]:
        """Say what is odd about the file.

        Raises:
            VideoError: in strict reading, if the file is cut off.
        """
        notes = []
        index, stream = self._index, self._reader.stream
        if index.keys is None:
            rate = f"{1 / index.seconds[1]:g}" if self.num_frames > 1 else "no"
            notes.append(f"no reliable time stamps: frames were counted, times follow {rate} frames a second")
        if index.left_out:
            notes.append(
                f"{index.left_out} frames before the first key frame cannot be decoded and are left out"
            )
        if index.damaged_packets:
            notes.append(f"{index.damaged_packets} packets are marked as damaged")
        if self._reader.broken_off:
            notes.append(f"reading broke off after {self.num_frames} frames ({self._reader.broken_off})")
        if stream.frames > self.num_frames + index.left_out:
            notes.append(
                f"the file is cut off: {self.num_frames} of {stream.frames} announced frames are there"
            )
        if self._strict and notes and index.keys is not None:
            raise refusal(self.path, notes[-1], _COPY_AGAIN)
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"its pixels are not square ({aspect}): frames are taken as stored")
        return notes

    def _name(self, number: int) -> str:
        """Name a frame by its number and time."""
        return f"frame {number} of {self.num_frames} (at {self._index.seconds[number]:.3f} s)"


def _default_threads() -> int:
    """One thread in a worker process, which is one of several; else one a core."""
    if multiprocessing.parent_process() is not None:
        return 1
    return min(os.cpu_count() or 1, _MAX_THREADS)
