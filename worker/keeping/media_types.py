"""Which formats are kept, by the names that `worker.domain.formats` has: pictures and clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tasks.exceptions import AigcError
from worker.domain.formats import format_of


@dataclass(frozen=True, slots=True)
class MediaType:
    """The ending of a file's name, without its dot, and its Content-Type."""

    ext: str
    content_type: str


class NoMedia(AigcError):
    """It is something else, in words."""


_KEPT: Final = {
    "jpg": MediaType("jpg", "image/jpeg"),
    "png": MediaType("png", "image/png"),
    "gif": MediaType("gif", "image/gif"),
    "webp": MediaType("webp", "image/webp"),
    "bmp": MediaType("bmp", "image/bmp"),
    "tiff": MediaType("tiff", "image/tiff"),
    "avif": MediaType("avif", "image/avif"),
    "heic": MediaType("heic", "image/heic"),
    "jpeg 2000": MediaType("jp2", "image/jp2"),
    "jpeg xl": MediaType("jxl", "image/jxl"),
    "mp4": MediaType("mp4", "video/mp4"),
    "mov": MediaType("mov", "video/quicktime"),
    "webm": MediaType("webm", "video/webm"),
    "mkv": MediaType("mkv", "video/x-matroska"),
    "avi": MediaType("avi", "video/x-msvideo"),
}


def media_type_of(head: bytes) -> MediaType:
    """What a file is by its first bytes, at least one.

    Raises:
        NoMedia: it is no picture and no clip.
    """
    name = format_of(head)
    if (found := _KEPT.get(name)) is None:
        raise NoMedia(f"is {name} by its first bytes: neither a picture nor a clip")
    return found
