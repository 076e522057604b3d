"""The packets of a video file, numbered in the order of the file; moving between them is exact."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from neurofocus.data.video.container import DecoderSettings, open_stream
from neurofocus.data.video.source import MAX_FRAMES, refusal

__all__ = ["KeyPackets", "PacketReader"]

# Over fewer packets reading on is cheaper than seeking.
_SEEK_FROM = 96
# Containers with an index of their own. In an MPEG program stream, packets have other time stamps after a seek.
_SEEKABLE = ("mov", "matroska", "avi")


@dataclass(frozen=True)
class KeyPackets:
    """Where decoding may start.

    Attributes:
        numbers: Packets with a key frame [K], increasing.
        stamps: Their presentation time stamps [K], increasing.
    """

    numbers: NDArray[np.int64]
    stamps: NDArray[np.int64]


class PacketReader:
    """Reads the packets of the video stream that hold something.

    Attributes:
        path: The file.
        stream: The video stream; it changes with every ``reopen``.
        next_number: The number of the packet that ``read`` gives next.
        broken_off: Why the file could not be read to its end, or nothing.
    """

    def __init__(self, path: Path, settings: DecoderSettings) -> None:
        self.path = path
        self.broken_off = ""
        self.next_number = 0
        self._settings = settings
        # The first packet after a seek has been looked at already.
        self._landed: Packet[VideoStream] | None = None
        self._open()

    @property
    def format_name(self) -> str:
        """FFmpeg's (first) name of the container format."""
        return self._container.format.name.split(",")[0]

    @property
    def announced_seconds(self) -> float:
        """How long the header says the video is; NaN where it does not, or other streams may be longer."""
        if self._container.duration is None or len(self._container.streams) > 1:
            return math.nan
        return self._container.duration / av.time_base

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def read(self) -> "Packet[VideoStream] | None":
        """Return the next packet, or None at the end."""
        packet, self._landed = self._landed, None
        if packet is None:
            packet = next(self._packets, None)
        self.next_number += packet is not None
        return packet

    def rest(self) -> "Iterator[Packet[VideoStream]]":
        """Yield all packets from here to the end; read on only after ``go_to`` or ``reopen``."""
        # Counting them here would cost as much as reading them.
        self.next_number = MAX_FRAMES
        return self._packets

    def go_to(self, number: int, keys: KeyPackets | None) -> None:
        """Stand before a packet; without ``keys`` only reading gets there."""
        ahead = number - self.next_number
        if not 0 <= ahead <= _SEEK_FROM and not (keys is not None and self._seek(number, keys)):
            self.reopen()
        # Dropping is exact where seeking is only near.
        while self.next_number < number and self.read() is not None:
            pass

    def reopen(self) -> None:
        """Stand before the first packet, whatever the file can or cannot seek."""
        self.close()
        self._open()

    def use_one_thread(self) -> None:
        """Start over with one decoding thread: with several, PyAV loses frames near damage."""
        self._settings = replace(self._settings, threads=1)
        self.reopen()

    def _open(self) -> None:
        """Open the file and stand before its first packet."""
        self._container, self.stream = open_stream(self.path, self._settings)
        self._restart()

    def _restart(self) -> None:
        """Read from where the container stands, under number 0 until it is known better."""
        self._packets = self._stored()
        self._landed = None
        self.next_number = 0

    def _stored(self) -> "Iterator[Packet[VideoStream]]":
        """Yield the packets that are not empty, from where the container stands.

        Raises:
            VideoError: after ``MAX_FRAMES`` packets.
        """
        count = 0
        try:
            for packet in self._container.demux(self.stream):
                if packet.size:
                    yield packet
                    count += 1
                    if count >= MAX_FRAMES:
                        raise refusal(
                            self.path, f"more than {MAX_FRAMES} frames", "cut it into shorter videos"
                        )
        except FFmpegError as error:
            # What came before is a shorter video, and is reported as such.
            self.broken_off = error.strerror or type(error).__name__

    def _seek(self, number: int, keys: KeyPackets) -> bool:
        """Try to stand at or before a key packet by the container's own index; say whether that came true."""
        place = int(keys.numbers.searchsorted(number, side="right")) - 1
        if place < 0 or self.format_name not in _SEEKABLE:
            return False
        try:
            self._container.seek(int(keys.stamps[place]), stream=self.stream)
        except FFmpegError:
            return False
        self._restart()
        landed = next(self._packets, None)
        if landed is None or landed.pts is None:
            return False
        found = int(keys.stamps.searchsorted(landed.pts))
        if found > place or keys.stamps[found] != landed.pts:
            return False
        self._landed, self.next_number = landed, int(keys.numbers[found])
        return True
