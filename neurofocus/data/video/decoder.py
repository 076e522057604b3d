"""Decoding forward from any key frame, leaving out what no wanted frame needs."""

from collections import deque
from collections.abc import Collection

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from neurofocus.data.video.index import FrameIndex
from neurofocus.data.video.packets import PacketReader
from neurofocus.data.video.source import refusal

__all__ = ["Decoder"]

# In these codecs a frame that says it is no reference never is one, so leaving it out changes no other frame.
_SKIPPABLE = ("h264", "mpeg4", "mpeg2video", "mpeg1video")


class Decoder:
    """Decodes a file whose frames are known.

    Attributes:
        last_stamp: What the last frame handed out is called in the index; None before the first.
        damaged: Stamps of frames that were concealed, and of packets that were refused.
    """

    def __init__(self, reader: PacketReader, index: FrameIndex, *, strict: bool) -> None:
        self.last_stamp: int | None = None
        self.damaged: set[int] = set(index.damaged)
        self._reader = reader
        self._index = index
        self._strict = strict
        self._ready: deque[VideoFrame] = deque()
        self._count = 0
        self._drained = False
        self._cut = False

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more before ``go_to``, or not every frame."""
        return self._cut or (self._drained and not self._ready)

    @property
    def next_packet(self) -> int:
        """The number of the packet that is decoded next."""
        return self._reader.next_number

    def go_to(self, packet: int) -> None:
        """Stand before a key packet, or the first, with nothing left in the decoder."""
        self._reader.go_to(packet, self._index.keys)
        self._reader.stream.codec_context.flush_buffers()
        self._ready.clear()
        self._count = 0
        self._drained = self._cut = False
        self.last_stamp = None

    def next_frame(
        self, *, wanted: Collection[int] = (), until: int | None = None, stop: int | None = None
    ) -> VideoFrame | None:
        """Decode the next frame.

        Args:
            wanted: Stamps of the frames that must not be left out.
            until: Frames before this stamp that are not wanted may be left out.
            stop: Behind this packet nothing is decoded: the frames under way are let out at once, and only
                ``go_to`` leads on.

        Returns:
            The frame, or None at the end of the file.

        Raises:
            VideoError: at contradicting time stamps; in strict reading at the first damage.
        """
        while not self._ready:
            if self._drained:
                return None
            self._cut = stop is not None and self.next_packet > stop
            packet = None if self._cut else self._reader.read()
            if packet is not None and packet.pts is not None:
                before = until is not None and packet.pts < until
                self._allow_skipping(before and packet.pts not in wanted)
            self._decode(packet)
            self._drained = packet is None
        frame = self._ready.popleft()
        self._name(frame)
        return frame

    def _decode(self, packet: "Packet[VideoStream] | None") -> None:
        """Hand one packet, or the end, to the decoder and keep the frames that it gives."""
        try:
            self._ready.extend(self._reader.stream.codec_context.decode(packet))
        except FFmpegError as error:
            if packet is not None and packet.pts is not None:
                self._count_damage(packet.pts, f"packet {self.next_packet - 1} is damaged ({error.strerror})")

    def _name(self, frame: VideoFrame) -> None:
        """Find out which frame this is, and count it if it is damaged."""
        stamp = self._count if self._index.keys is None else frame.pts
        self._count += 1
        if stamp is None or (self.last_stamp is not None and stamp <= self.last_stamp):
            raise refusal(
                self._reader.path,
                f"a frame with the time stamp {stamp} after {self.last_stamp}",
                "its time stamps are damaged: convert it to H.264 in MP4",
            )
        self.last_stamp = stamp
        if frame.is_corrupt:
            self._count_damage(stamp, f"the frame at time stamp {frame.pts} is damaged")

    def _count_damage(self, stamp: int, seen: str) -> None:
        """Note damage, or stop at it."""
        if self._strict:
            raise refusal(
                self._reader.path, seen, "copy the file again, or leave it out, or read it without strict"
            )
        self.damaged.add(stamp)

    def _allow_skipping(self, allowed: bool) -> None:
        """Tell the decoder whether it may leave out a frame that no other refers to."""
        context = self._reader.stream.codec_context
        if context.name in _SKIPPABLE:
            context.skip_frame = "NONREF" if allowed else "DEFAULT"
