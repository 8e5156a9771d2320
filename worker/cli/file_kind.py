"""What a file that is no JSON looks like, by how it begins. Pure."""

from __future__ import annotations

import codecs
from typing import Final

_SIGNATURES: Final = (
    # UTF-32 before UTF-16, whose mark it begins with.
    (codecs.BOM_UTF32_LE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16 text, as PowerShell's > and some editors write it: save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text: save it as UTF-8"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (.xlsx, .ods): save its jobs as JSON"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (.xls): save its jobs as JSON"),
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
    for signature, kind in _SIGNATURES:
        if first.startswith(signature):
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
            return f"CSV, its columns separated by {named}: make each row a JSON object, one a line"
    return None
