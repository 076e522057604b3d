"""Opening a video file that nobody vouches for: only local containers, bounded sizes, errors in one line."""

from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from neurofocus.data.video.source import MAX_PIXELS, check_frame_size, refusal

__all__ = ["DecoderSettings", "open_stream"]

# Demuxers that read one local file and nothing else: a playlist named .mp4 could make FFmpeg open any address.
_CONTAINERS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,h264,hevc,m4v,ivf,mjpeg,nut,dv,mxf,rm"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
_ACCEPTED = "accepted are video files such as .mp4 .webm .mkv .avi, and folders of extracted frames"


@dataclass(frozen=True)
class DecoderSettings:
    """How frames are decoded.

    Attributes:
        threads: Of the decoder; above one it decodes several frames at once.
        strict: Stop at the first damaged bit stream instead of concealing it.
    """

    threads: int = 1
    strict: bool = False


def open_stream(path: Path, settings: DecoderSettings) -> tuple[InputContainer, VideoStream]:
    """Open a file and choose its video stream; nothing is decoded yet.

    Raises:
        VideoError: if there is no such file, it cannot be read, is no video, or holds none.
    """
    _check_file(path)
    try:
        # An absolute path, so that a colon in a name is not taken for a protocol.
        container = av.open(str(path.absolute()), "r", options=dict(_OPTIONS), metadata_errors="replace")
    except PermissionError as error:
        raise refusal(path, "no permission to read it", "change its permissions or copy it") from error
    except FFmpegError as error:
        raise refusal(path, *_diagnosis(path)) from error
    try:
        return container, _video_stream(container, path, settings)
    except BaseException:
        container.close()
        raise


def _check_file(path: Path) -> None:
    """Refuse what is not a regular file with something in it."""
    try:
        if not path.exists():
            raise refusal(path, "no such file", "check the path")
        if not path.is_file():
            raise refusal(path, "not a regular file", _ACCEPTED)
        if path.stat().st_size == 0:
            raise refusal(path, "an empty file", "copy it again")
    except OSError as error:
        raise refusal(
            path, f"cannot be read ({error.strerror})", "check the path and its permissions"
        ) from error


def _diagnosis(path: Path) -> tuple[str, str]:
    """Say what a file is that no container format accepts, and what to do."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head[4:8] in (b"ftyp", b"mdat", b"free", b"wide"):
        return "an MP4 without its index (moov), as a cut-off copy leaves it", "copy or download it again"
    if head[:2] == b"\xff\xd8" or head[:8] == b"\x89PNG\r\n\x1a\n":
        return "one picture, not a video", "give the folder that holds the extracted frames"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text, not a video", _ACCEPTED
    return "no video format that is known, or its head is damaged", f"copy it again; {_ACCEPTED}"


def _video_stream(container: InputContainer, path: Path, settings: DecoderSettings) -> VideoStream:
    """Return the first moving picture, its decoder set up and its announced size checked."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        covers = " with a cover picture" if container.streams.video else ""
        raise refusal(path, f"no video stream (it holds {kinds}{covers})", "give a file with moving pictures")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise refusal(path, "a video stream without a decoder", "convert it to H.264 in MP4")
    if stream.width or stream.height:
        check_frame_size(path, stream.height, stream.width)
    context.thread_count = settings.threads
    context.thread_type = "AUTO" if settings.threads > 1 else "SLICE"
    context.options = {"max_pixels": str(MAX_PIXELS)} | ({"err_detect": "explode"} if settings.strict else {})
    return stream


def _is_cover(stream: VideoStream) -> bool:
    """Say whether a stream is a still, such as the cover of a song."""
    return bool(stream.disposition & Disposition.attached_pic)
