"""What a file is by its first bytes, whatever its name and its Content-Type say. Pure."""

from __future__ import annotations

import codecs
import re
from typing import Final

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF-", "pdf"),
    (b"\0\0\x01\0", "ico"),
    (b"\0\0\0\x0cjP  ", "jpeg 2000"),
    (b"\xff\x0a", "jpeg xl"),
    (b"\0\0\0\x0cJXL ", "jpeg xl"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
)
_EBML: Final = b"\x1a\x45\xdf\xa3"
_BRANDS: Final = {b"avif": "avif", b"avis": "avif", b"mif1": "heic", b"msf1": "heic", b"qt  ": "mov"}
_STILLS: Final = b"he"
"""How the brands of HEIC begin: heic, heix, hevc and others."""

_SOUND: Final = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})
_HTML: Final = re.compile(rb"<(!doctype\s+html|html|head|body|script|title|meta|p|div|h1|iframe)[\s>/]", re.I)
_SVG: Final = re.compile(rb"(<\?xml.*|<!--.*|<!doctype\s+)?<?svg[\s>]", re.I | re.S)
_LEADING: Final = b"\xef\xbb\xbf \t\r\n"


def format_of(head: bytes) -> str:
    """The format's name in words; "no picture that is known" where it is none of those here.

    Args:
        head: the first bytes, at least one.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head.startswith(b"BM") and 12 <= int.from_bytes(head[14:18], "little") <= 124:
        return "bmp"  # two letters alone may begin a text
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12])
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip") and head[:1] == b"\0":
        return "mov"  # QuickTime before there were brands
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:64] else "mkv"
    return _text_format(head.lstrip(_LEADING)[:1024])


def _of_brand(brand: bytes) -> str:
    """By the brand that a file in boxes names first: what is neither a still nor QuickTime is an mp4."""
    if brand in _SOUND:
        return "a sound file"
    return _BRANDS.get(brand) or ("heic" if brand.startswith(_STILLS) else "mp4")


def _text_format(text: bytes) -> str:
    if _HTML.match(text):
        return "HTML, a page and no picture"
    if _SVG.match(text):
        return "svg"
    if text.startswith(b"<"):
        return "XML or HTML, and no picture"
    if text.startswith((b"{", b"[")):
        return "JSON, and no picture"
    if text and _is_text(text):
        return "text, and no picture"
    return "no picture of a format that is known"


def _is_text(beginning: bytes) -> bool:
    """Whether it is UTF-8 without control characters; the last character may be cut off."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)
