"""What a finished file is, by its first bytes: a picture or a clip, or not to be kept."""

from __future__ import annotations

import pytest

from tests.picture_host import SHOP, bmp, jpg, png
from worker.keeping.media_types import MediaType, NoMedia, media_type_of


def boxes(brand: bytes) -> bytes:
    return b"\0\0\0\x20ftyp" + brand + b"\0\0\0\0isomiso2"


@pytest.mark.parametrize(
    ("head", "ext", "content_type"),
    [
        (png(), "png", "image/png"),
        (jpg(), "jpg", "image/jpeg"),
        (bmp(), "bmp", "image/bmp"),
        (b"GIF87a\x01", "gif", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp", "image/webp"),
        ((SHOP / "really_webp.jpg").read_bytes(), "webp", "image/webp"),
        (b"MM\0*\0\0\0\x08", "tiff", "image/tiff"),
        (boxes(b"avif"), "avif", "image/avif"),
        (boxes(b"mif1"), "heic", "image/heic"),
        (boxes(b"isom"), "mp4", "video/mp4"),
        (boxes(b"mp42"), "mp4", "video/mp4"),
        (boxes(b"M4V "), "mp4", "video/mp4"),
        (boxes(b"qt  "), "mov", "video/quicktime"),
        (b"\0\0\x10\0moov", "mov", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webmB\x87", "webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroskaB\x87", "mkv", "video/x-matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "avi", "video/x-msvideo"),
    ],
)
def test_pictures_and_clips_have_an_ending_and_a_type(head: bytes, ext: str, content_type: str) -> None:
    """Whatever the URL is called and its host says."""
    assert media_type_of(head) == MediaType(ext, content_type)


@pytest.mark.parametrize(
    "head",
    [
        b"<!doctype html><html>", b"<svg xmlns='x'><script>", b'<?xml version="1.0"?><Error><Code>',
        b'{"errorCode": "INTCNN"}', b"%PDF-1.7", b"PK\x03\x04", b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n",
        b"\0", boxes(b"M4A "), b"RIFF\x10\0\0\0WAVEfmt ", b"not found",
    ],
)  # fmt: skip
def test_anything_else_is_not_kept(head: bytes) -> None:
    """Pages, documents, programs, sound, and drawings that can hold scripts."""
    with pytest.raises(NoMedia, match="by its first bytes: neither a picture nor a clip"):
        media_type_of(head)
