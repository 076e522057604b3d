"""Which frames a file has, when they are shown, and from where each can be decoded: one pass, nothing decoded."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from neurofocus.data.video.packets import KeyPackets, PacketReader
from neurofocus.data.video.source import refusal

__all__ = ["FrameIndex", "index_by_count", "index_by_stamps"]

# Codecs whose bit stream gives FFmpeg no presentation time: the container must, and AVI cannot.
_NEEDS_CONTAINER_STAMPS = ("h264", "hevc")


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in presentation order.

    Attributes:
        stamps: What tells a decoded frame from every other [N], increasing: its presentation time stamp, or
            its number where the file has no reliable ones.
        seconds: When each frame is shown, after the first [N].
        starts: The packet from which decoding reaches each frame, a key packet or the first [N].
        keys: Where decoding may start; None where time stamps do not name the frames.
        damaged_packets: How many packets the container marks as damaged.
        left_out: Frames before the first key frame, which nothing can decode.
    """

    stamps: NDArray[np.int64]
    seconds: NDArray[np.float64]
    starts: NDArray[np.int64]
    keys: KeyPackets | None = None
    damaged_packets: int = 0
    left_out: int = 0


def index_by_stamps(reader: PacketReader) -> FrameIndex | None:
    """Read a freshly opened file to its end and index it by its packets' time stamps.

    Returns:
        The index, or None where the stamps cannot name the frames: some are missing or double, or they follow
        the order of the file although the codec reorders (H.264 in AVI).

    Raises:
        VideoError: if there is no frame.
    """
    stamps, keys, shown, damaged = _packet_table(reader)
    if not stamps:
        raise refusal(reader.path, "a video stream without frames", "the file is damaged: copy it again")
    if None in stamps:
        return None
    times = np.array(stamps, dtype=np.int64)
    numbers = np.array(keys or [0])
    visible = np.array(shown)
    if not _ordered(times, numbers, visible, reader.stream):
        return None
    before = visible & ((np.arange(len(times)) < numbers[0]) | (times < times[numbers[0]]))
    frames = np.flatnonzero(visible & ~before)
    frames = frames[np.argsort(times[frames])]
    if not frames.size:
        raise refusal(reader.path, "no frame that is meant to be shown", "the file is damaged: copy it again")
    # A frame is decodable from the last key frame that is both shown and stored no later than itself.
    earlier = np.minimum(
        np.searchsorted(times[numbers], times[frames], side="right"),
        np.searchsorted(numbers, frames, side="right"),
    )
    tick = float(reader.stream.time_base or math.nan)
    return FrameIndex(
        stamps=times[frames],
        seconds=(times[frames] - times[frames[0]]) * tick,
        starts=numbers[np.maximum(earlier - 1, 0)],
        keys=KeyPackets(numbers, times[numbers]),
        damaged_packets=damaged,
        left_out=int(before.sum()),
    )


def index_by_count(count: int, rate: Fraction | None) -> FrameIndex:
    """Index ``count`` frames by their number alone, at an even rate (frames a second; NaN seconds without)."""
    numbers = np.arange(count, dtype=np.int64)
    return FrameIndex(
        stamps=numbers,
        seconds=numbers / (float(rate) if rate else math.nan),
        starts=np.zeros(count, dtype=np.int64),
    )


def _packet_table(reader: PacketReader) -> tuple[list[int | None], list[int], list[bool], int]:
    """Return every packet's time stamp, the numbers of key packets, what is shown, and how many are damaged."""
    stamps: list[int | None] = []
    keys: list[int] = []
    shown: list[bool] = []
    damaged = 0
    is_vp8 = reader.stream.codec_context.name == "vp8"
    while (packet := reader.read()) is not None:
        if packet.is_keyframe:
            keys.append(len(stamps))
        stamps.append(packet.pts)
        shown.append(not (packet.is_discard or (is_vp8 and _is_hidden(packet))))
        damaged += packet.is_corrupt
    return stamps, keys, shown, damaged


def _is_hidden(packet: "Packet[VideoStream]") -> bool:
    """Say whether a VP8 packet only serves as a reference (show_frame, RFC 6386 section 9.1)."""
    return not memoryview(packet)[0] & 0x10


def _ordered(
    times: NDArray[np.int64], keys: NDArray[np.int64], shown: NDArray[np.bool_], stream: VideoStream
) -> bool:
    """Say whether stamps are all different and agree with the order in which key frames are stored."""
    different = np.unique(times[shown]).size == np.count_nonzero(shown)
    rising_keys = bool(np.all(np.diff(times[keys]) > 0))
    context = stream.codec_context
    reorders = context.name in _NEEDS_CONTAINER_STAMPS and bool(context.has_b_frames)
    follows_file = len(times) > 1 and bool(np.all(np.diff(times) > 0))
    return different and rising_keys and not (reorders and follows_file)
