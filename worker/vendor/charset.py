"""An answer's body in UTF-8, whatever its Content-Type says that it is written in."""

from __future__ import annotations

import codecs
from email.message import Message
from functools import lru_cache
from typing import Final

_CODECS: Final = {
    # GB 18030 contains the other two, and servers name the smaller one for the larger.
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), "gb18030"),
    **{name: name for name in ("big5", "big5hkscs", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949")},
    **{name: name for name in ("iso8859-1", "cp1252")},
    **{name: name for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")},
}
"""By Python's name for each charset that is read, the codec that reads it."""


def in_utf8(body: bytes, codec: str) -> bytes:
    """The body in UTF-8, where it is not, and is surely written in what this codec reads; else as it is."""
    if _is_utf8(body):
        return body
    try:
        return body.decode(codec).encode()
    except ValueError:
        return body


@lru_cache(maxsize=64)
def codec_of(content_type: bytes) -> str | None:
    """The codec of the charset that a Content-Type names; None for UTF-8 and all that is not read."""
    header = Message()
    header["Content-Type"] = content_type.decode("latin-1")
    try:
        return _CODECS.get(codecs.lookup(header.get_content_charset("")).name)
    except (LookupError, ValueError):
        return None


def _is_utf8(body: bytes) -> bool:
    # Many a server names another charset than it writes. A NUL is in none of its texts, but in all of UTF-16.
    try:
        body.decode()
    except ValueError:
        return False
    return b"\0" not in body
