"""Which frames a file has, when they are shown, and from where each can be decoded: one pass, nothing decoded."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from neurofocus.data.video.entry import is_entry
from neurofocus.data.video.packets import KeyPackets, PacketReader
from neurofocus.data.video.source import refusal

__all__ = ["FrameIndex", "index_by_count", "index_by_stamps"]

# Codecs whose bit stream gives FFmpeg no presentation times: the container must, and AVI has none.
_NEEDS_CONTAINER_STAMPS = ("h264", "hevc")


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in presentation order.

    Attributes:
        stamps: What tells a decoded frame from every other [N], increasing: its presentation time stamp, or
            its number where the file has no reliable ones.
        seconds: When each frame is shown, after the first [N].
        packets: The packet that holds each frame [N]; those it needs are stored before it.
        starts: The packet from which decoding reaches each frame, a key packet or the first [N].
        keys: Where decoding may start; None where time stamps do not name the frames.
        damaged: Stamps of packets that the container marks as damaged.
        left_out: Frames that nothing can decode: before the first key frame, or cut off at the end of the file.
        num_packets: Packets of the file, those that are not shown included.
    """

    stamps: NDArray[np.int64]
    seconds: NDArray[np.float64]
    packets: NDArray[np.int64]
    starts: NDArray[np.int64]
    keys: KeyPackets | None = None
    damaged: frozenset[int] = frozenset()
    left_out: int = 0
    num_packets: int = 0


class _PacketTable(NamedTuple):
    """One entry a packet, but for ``keys``: the numbers of packets from which decoding may start."""

    stamps: list[int | None]
    keys: list[int]
    shown: list[bool]
    damaged: list[bool]


def index_by_stamps(reader: PacketReader) -> FrameIndex | None:
    """Read a freshly opened file to its end and index it by its packets' time stamps.

    Returns:
        The index, or None where the stamps cannot name the frames: some are missing or double, or they only
        repeat the order of the file although the codec reorders (H.264 in AVI).

    Raises:
        VideoError: if there is no frame.
    """
    table = _packet_table(reader)
    if not table.stamps:
        raise refusal(reader.path, "a video stream without frames", "the file is damaged: copy it again")
    if None in table.stamps:
        return None
    times = np.array(table.stamps, dtype=np.int64)
    shown, damaged = np.array(table.shown), np.array(table.damaged)
    keys = np.array(table.keys or [0])
    if not _ordered(times, keys, shown, reader):
        return None
    usable = (np.arange(len(times)) >= keys[0]) & (times >= times[keys[0]])
    usable[-1] &= not damaged[-1]
    frames = np.flatnonzero(shown & usable)
    frames = frames[np.argsort(times[frames])]
    if not frames.size:
        raise refusal(reader.path, "no frame that can be shown", "the file is damaged: copy it again")
    # A frame is decodable from the last key frame that is both shown and stored no later than itself.
    earlier = np.minimum(
        np.searchsorted(times[keys], times[frames], side="right"),
        np.searchsorted(keys, frames, side="right"),
    )
    tick = float(reader.stream.time_base or math.nan)
    return FrameIndex(
        stamps=times[frames],
        seconds=(times[frames] - times[frames[0]]) * tick,
        packets=frames,
        starts=keys[np.maximum(earlier - 1, 0)],
        keys=KeyPackets(keys, times[keys]),
        damaged=frozenset(times[damaged].tolist()),
        left_out=int(np.count_nonzero(shown & ~usable)),
        num_packets=len(times),
    )


def index_by_count(count: int, rate: Fraction | None) -> FrameIndex:
    """Index ``count`` frames by their number alone, at an even rate (frames a second; NaN seconds without)."""
    numbers = np.arange(count, dtype=np.int64)
    return FrameIndex(
        stamps=numbers,
        seconds=numbers / (float(rate) if rate else math.nan),
        packets=numbers,
        starts=np.zeros(count, dtype=np.int64),
    )


def _packet_table(reader: PacketReader) -> _PacketTable:
    """Read all packets."""
    table = _PacketTable([], [], [], [])
    context = reader.stream.codec_context
    is_vp8 = context.name == "vp8"
    for packet in reader.rest():
        # The first is where any decoder starts, whatever it is.
        if packet.is_keyframe and (not table.keys or is_entry(packet, context)):
            table.keys.append(len(table.stamps))
        table.stamps.append(packet.pts)
        table.shown.append(not (packet.is_discard or (is_vp8 and _is_hidden(packet))))
        table.damaged.append(packet.is_corrupt)
    return table


def _is_hidden(packet: "Packet[VideoStream]") -> bool:
    """Say whether a VP8 packet only serves as a reference (show_frame, RFC 6386 section 9.1)."""
    return not memoryview(packet)[0] & 0x10


def _ordered(
    times: NDArray[np.int64], keys: NDArray[np.int64], shown: NDArray[np.bool_], reader: PacketReader
) -> bool:
    """Say whether stamps are all different and agree with the order in which frames are shown."""
    different = np.unique(times[shown]).size == np.count_nonzero(shown)
    rising_keys = bool(np.all(np.diff(times[keys]) > 0))
    context = reader.stream.codec_context
    guessed = reader.format_name == "avi" and context.name in _NEEDS_CONTAINER_STAMPS
    return different and rising_keys and not (guessed and bool(context.has_b_frames))
