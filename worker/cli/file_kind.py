"""What a file looks like that is neither JSON nor a catalogue, by how it begins. Pure."""

from __future__ import annotations

import codecs
from typing import Final

_ZIP: Final = b"PK\x03\x04"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SIGNATURES: Final = (
    # UTF-32 before UTF-16, whose mark it begins with.
    (codecs.BOM_UTF32_LE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16 text, as PowerShell's > and some editors write it: save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text: save it as UTF-8"),
    (_ZIP, "a ZIP archive or a spreadsheet (.xlsx, .ods): --map MAPPING.toml makes jobs of a catalogue"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (.xls), or one with a password: save it as .xlsx or CSV"),
    (b"\x1f\x8b", "a gzip file: unpack it first, as in: gunzip -c FILE | aigc submit -"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first, as in: zstd -dc FILE | aigc submit -"),
    (b"BZh", "a bzip2 file: unpack it first, as in: bunzip2 -c FILE | aigc submit -"),
    (b"\xfd7zXZ\x00", "an xz file: unpack it first, as in: xz -dc FILE | aigc submit -"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture: a job names it by its URL"),
    (b"\xff\xd8\xff", "a picture: a job names it by its URL"),
)
_JSON_BEGINS: Final = (b"{", b"[")
_DELIMITERS: Final = {b",": "commas", b";": "semicolons", b"\t": "tabs"}


def not_json(first: bytes, second: bytes | None) -> str | None:
    """What a file looks like that cannot be meant as JSON; None where it may be.

    One bad line among good ones is a matter of that line, so lines are judged by two of them.

    Args:
        first: its first line that is not blank, without leading white space.
        second: the next such line; None where there is none.
    """
    if kind := _by_signature(first):
        return kind
    if b"\x00" in first[:4]:  # no JSON text has one, and ASCII in UTF-16 has one in every other place
        return "UTF-16 text, or binary data: JSON is UTF-8"
    if first.startswith(_JSON_BEGINS) or (second is not None and second.startswith(_JSON_BEGINS)):
        return None
    if first.startswith(b"<"):
        return "XML or HTML"
    if second is None:
        return None
    for delimiter, named in _DELIMITERS.items():
        if delimiter in first and delimiter in second:
            remedy = "--map MAPPING.toml makes jobs of its rows, or make each row a JSON object"
            return f"CSV, its columns separated by {named}: {remedy}"
    return None


def not_a_catalogue(begin: bytes) -> str | None:
    """What a file looks like that is neither a table nor a spreadsheet nor JSON; None where it may be."""
    if begin.startswith(_ZIP):
        return None
    if begin.startswith(_UTF_16) and not begin.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return None
    if kind := _by_signature(begin):
        return kind
    if b"\x00" in begin:
        return "binary data, or UTF-16 text without its mark: save it as UTF-8"
    return "XML or HTML: save it as CSV" if begin.startswith(b"<") else None


def _by_signature(begin: bytes) -> str | None:
    return next((kind for signature, kind in _SIGNATURES if begin.startswith(signature)), None)
