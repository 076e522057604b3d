"""Frames of one video file."""

import multiprocessing
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from neurofocus.data.video.container import DecoderSettings
from neurofocus.data.video.counts import FrameCounts
from neurofocus.data.video.decoder import Decoder
from neurofocus.data.video.index import FrameIndex, index_by_count, index_by_stamps
from neurofocus.data.video.packets import PacketReader
from neurofocus.data.video.pixels import Orientation, Upright, orientation_of
from neurofocus.data.video.source import Frames, FrameSource, check_frame_size, refusal

__all__ = ["VideoFile"]

_MAX_THREADS = 16
# A last frame may be shown for long; a cut-off file usually lacks more.
_MISSING_SECONDS = 0.5
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

    def __init__(
        self,
        path: Path,
        *,
        strict: bool = False,
        threads: int | None = None,
        counts: FrameCounts | None = None,
    ) -> None:
        """Open and index a file.

        Args:
            path: The file.
            strict: Raise at the first damage instead of concealing and counting it; decodes without jumps.
            threads: Of the decoder; by default one in a worker process and one a core elsewhere; one if strict.
            counts: How many frames files have that must be decoded to be counted; kept up to date.

        Raises:
            VideoError: if the file is missing, no video, or empty, or its first frame cannot be decoded; in
                strict reading also if it is cut off.
        """
        self.path = path
        self._strict = strict
        self._counts = counts
        # Strict reading must name the damaged packet, which only one thread can.
        self._threads = 1 if strict else threads or _default_threads()
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
        self._lacks, self._notes = self._lacking(), self._remarks()
        self._decoder = Decoder(self._reader, self._index, strict=self._strict)
        self._plain = self._index.keys is None or self._strict
        self._decoder.go_to(int(self._index.starts[0]))
        first = self._fetch(0)
        check_frame_size(self.path, first.height, first.width)
        self.codec = self._reader.stream.codec_context.name
        self.orientation = orientation_of(first)
        sides = (first.height, first.width)
        self.frame_size = (sides[1], sides[0]) if self.orientation.transpose else sides
        self._upright = Upright(self.orientation)

    @property
    def corrupt_frames(self) -> int:
        """How many different frames were concealed or refused so far, or are marked by the container."""
        return len(self._decoder.damaged)

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is damaged or lacking, as far as it was met, one line each."""
        damaged = np.array(sorted(self._decoder.damaged), dtype=np.int64)
        if not damaged.size:
            return tuple(self._lacks)
        numbers = np.flatnonzero(np.isin(self._index.stamps, damaged))
        first = f", the first is {self._name(int(numbers[0]))}" if numbers.size else ""
        return (*self._lacks, f"{damaged.size} damaged frames met so far{first}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the file so far, one line each."""
        return (*self._notes, *self.flaws)

    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the first frame [n]."""
        return self._index.seconds[self._checked(indices)]

    def unreadable(self) -> tuple[str, ...]:
        """Decode everything and name each frame that cannot be decoded."""
        self._start_plainly()
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
        last = int(self._index.stamps[numbers[-1]])
        for number, after, places in zip(numbers, [*numbers[1:], None], out, strict=True):
            frame = self._fetch(number, wanted, until=last, after=after)
            self._upright.write(frame, places[0])
            for place in places[1:]:
                place[...] = places[0]

    def _fetch(
        self,
        number: int,
        wanted: Collection[int] = (),
        *,
        until: int | None = None,
        after: int | None = None,
    ) -> VideoFrame:
        """Decode one frame, from where the decoder stands or from a key frame if that is less work.

        Before stamp ``until``, frames that are not ``wanted`` may be left out; ``after`` is the frame fetched next.
        """
        stamp = int(self._index.stamps[number])
        if self._current is not None and self._decoder.last_stamp == stamp:
            return self._current
        start = int(self._index.starts[0 if self._plain else number])
        last = self._decoder.last_stamp
        passed = self._decoder.ended or (last is not None and stamp <= last)
        if passed or self._is_worth_a_jump(start, self._decoder.next_packet):
            self._decoder.go_to(start)
        if self._plain:
            self._current = self._decode_to(stamp)
        else:
            stop = int(self._index.packets[number])
            leaves = after is not None and self._is_worth_a_jump(int(self._index.starts[after]), stop + 1)
            self._current = self._decode_to(stamp, wanted, until=until, stop=stop if leaves else None)
            if self._current is None:
                self._start_plainly()
                self._current = self._decode_to(stamp)
        if self._current is None:
            raise refusal(self.path, f"{self._name(number)} cannot be decoded", _COPY_AGAIN)
        return self._current

    def _start_plainly(self) -> None:
        """Decode everything from the first frame on, from now on.

        Near damage only this finds what can be found, and with several threads PyAV loses frames there.
        """
        self._plain = True
        self._threads = 1
        self._current = None
        self._reader.use_one_thread()
        self._decoder = Decoder(self._reader, self._index, strict=self._strict)
        self._decoder.go_to(int(self._index.starts[0]))

    def _is_worth_a_jump(self, start: int, next_packet: int) -> bool:
        """Say whether to leave out packets up to a start; frames under way in other threads are lost by it."""
        return start - next_packet >= self._threads

    def _decode_to(
        self, stamp: int, wanted: Collection[int] = (), *, until: int | None = None, stop: int | None = None
    ) -> VideoFrame | None:
        """Decode until a frame is found; return None if the file goes past it."""
        while (frame := self._decoder.next_frame(wanted=wanted, until=until, stop=stop)) is not None:
            last = self._decoder.last_stamp
            if last is not None and last >= stamp:
                return frame if last == stamp else None
        return None

    def _counted(self) -> FrameIndex:
        """Count the frames by decoding them all, if nobody has yet."""
        self._reader.use_one_thread()
        count = self._counts.known(self.path) if self._counts else 0
        if not count:
            decoder = Decoder(self._reader, index_by_count(0, None), strict=self._strict)
            count = sum(1 for _ in iter(decoder.next_frame, None))
            if not count:
                raise refusal(self.path, "no frame can be decoded", _COPY_AGAIN)
            if self._counts:
                self._counts.note(self.path, count)
        stream = self._reader.stream
        return index_by_count(count, stream.average_rate or stream.guessed_rate)

    def _lacking(self) -> list[str]:
        """Say what is not there.

        Raises:
            VideoError: in strict reading, if the file is cut off.
        """
        index, stream = self._index, self._reader.stream
        notes = []
        if index.left_out:
            notes.append(f"{index.left_out} frames at the start or end cannot be decoded and are left out")
        if self._reader.broken_off:
            notes.append(f"reading broke off after {self.num_frames} frames ({self._reader.broken_off})")
        if 0 < index.num_packets < stream.frames:
            notes.append(f"the file is cut off: {index.num_packets} of {stream.frames} frames are there")
        elif self._reader.announced_seconds - index.seconds[-1] > _MISSING_SECONDS:
            times = f"{index.seconds[-1]:.2f} of {self._reader.announced_seconds:.2f} s"
            notes.append(f"the file is cut off: {times} are there")
        if self._strict and notes:
            raise refusal(self.path, notes[-1], _COPY_AGAIN)
        return notes

    def _remarks(self) -> list[str]:
        """Say what is odd about the file, and no damage."""
        index, notes = self._index, []
        if index.keys is None:
            rate = f"{1 / index.seconds[1]:g}" if self.num_frames > 1 else "no"
            notes.append(f"no reliable time stamps: frames were counted, times follow {rate} frames a second")
        aspect = self._reader.stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"its pixels are not square ({aspect}): frames are taken as stored")
        return notes

    def _name(self, number: int) -> str:
        """Name a frame by its number and time."""
        return f"frame {number} of {self.num_frames} (at {self._index.seconds[number]:.3f} s)"


def _default_threads() -> int:
    """One thread in a worker process, which is one of several; else one a core."""
    return 1 if multiprocessing.parent_process() is not None else min(os.cpu_count() or 1, _MAX_THREADS)
