"""Which packets marked as key frames really let decoding start: H.264 marks some that do not.

With intra refresh a "key frame" only begins a picture that is renewed strip by strip over the next frames; a decoder
that starts there gives pictures with parts of no frame. Source: ITU-T H.264, 7.3.1 (NAL units), D.1.8 (recovery
point), annex B (start codes); ISO/IEC 14496-15, 5.3.3.1 (avcC).
"""

from collections.abc import Iterator

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

__all__ = ["is_entry"]

_SLICE, _IDR, _SEI = 1, 5, 6
_RECOVERY_POINT = 6
# Before the first slice there are only parameters and messages. What is not found in time counts as no entry.
_HEAD_BYTES = 8192
_START_CODE = b"\x00\x00\x01"


def is_entry(packet: "Packet[VideoStream]", context: VideoCodecContext) -> bool:
    """Say whether every frame shown from this key packet on is decoded exactly when decoding starts with it."""
    if context.name != "h264":
        return True
    head = bytes(memoryview(packet)[:_HEAD_BYTES])
    for unit in _units(head, context.extradata or b""):
        kind = unit[0] & 31
        if kind == _IDR or (kind == _SEI and _recovers_at_once(unit[1:])):
            return True
        if kind == _SLICE:
            return False
    return False


def _units(data: bytes, extradata: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a packet, by length prefixes or start codes, whichever the stream has."""
    if len(extradata) > 4 and extradata[0] == 1:
        prefix = (extradata[4] & 3) + 1
        at = 0
        while at + prefix < len(data):
            length = int.from_bytes(data[at : at + prefix], "big")
            if length:
                yield data[at + prefix : at + prefix + length]
            at += prefix + length
    else:
        at = data.find(_START_CODE)
        while 0 <= at < len(data) - len(_START_CODE):
            after = data.find(_START_CODE, at + 3)
            yield data[at + 3 : after if after > at + 3 else len(data)]
            at = after


def _recovers_at_once(body: bytes) -> bool:
    """Say whether a SEI unit holds a recovery point whose recovery_frame_cnt is 0 (one bit set, as ue(v))."""
    body = body.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    # Each message: type and size, both as bytes of 255 and a last smaller one; one stop byte ends them.
    while at + 2 < len(body):
        values = []
        for _ in range(2):
            value = 0
            while at < len(body) and body[at] == 255:
                value, at = value + 255, at + 1
            values.append(value + (body[at] if at < len(body) else 0))
            at += 1
        if values[0] == _RECOVERY_POINT:
            return at < len(body) and body[at] >= 128
        at += values[1]
    return False
