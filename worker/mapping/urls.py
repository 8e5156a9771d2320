"""Picture URLs as shops have them, and as a URL has to be. Pure.

Only what is no URL yet is changed: what stands there percent-encoded is never encoded again, for the
shop's server knows the file by just that name.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

_SEPARATORS: Final = re.compile(
    r"""\s*(?: [\r\n]+               # a line break, as spreadsheets have it within a cell
        | \|                         # which no URL has
        | ,\s+                       # as WooCommerce exports them
        | [,;\s]\s*(?=(?:https?:)?//)  # else these belong to a URL, unless another one begins behind them
        )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_NOT_AN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENTITY: Final = re.compile(r"&#(?=[0-9]{1,7};|[xX][0-9A-Fa-f]{1,6};)")
_KEPT: Final = "%/:?#[]@!$&'()*+,;=~\\"
"""Beside letters, digits and `-._`: what has a meaning in a URL. A backslash is refused by name."""


def _of_store(prefix: str, *more: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = ("algorithm", "credential", "date", "signedheaders", "security-token", *more)
    return (f"{prefix}signature", f"{prefix}expires"), tuple(prefix + name for name in names)


_SIGNED: Final = (
    _of_store("x-amz-", "content-sha256"),
    _of_store("x-goog-"),
    _of_store("x-oss-", "signature-version", "additional-headers", "access-key-id"),
    (
        ("signature", "expires"),
        ("awsaccesskeyid", "ossaccesskeyid", "googleaccessid", "key-pair-id", "security-token"),
    ),
    (("signature", "policy"), ("key-pair-id", "expires")),
    (("sig", "se", "sv"), ("sp", "st", "sr", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv")),
    (("auth_key",), ()),
)
"""Of each way to sign a URL, which parameters say that it was signed so, and which others belong to it."""


def split_urls(cell: str) -> list[str]:
    """The URLs of one cell, each once: parted by commas, semicolons, bars, blanks or line breaks."""
    return list(dict.fromkeys(filter(None, _SEPARATORS.split(cell.strip()))))


def clean_url(text: str) -> str:
    """A picture's URL as it can be fetched; what cannot be one is left for validation to refuse.

    "//cdn…" gets https, a host beyond ASCII its IDNA form, blanks and what is beyond ASCII are
    percent-encoded, and so are a % and an HTML entity's # that would cut the URL off.
    """
    url = text.strip()
    if url.startswith("//"):
        url = f"https:{url}"
    if not _SCHEME.match(url) or not url.isprintable():
        return url
    scheme, _, rest = url.partition("://")
    host = re.match(r"[^/?#]*", rest)
    assert host is not None
    path = _ENTITY.sub("&%23", _NOT_AN_ESCAPE.sub("%25", rest[host.end() :]))
    return f"{scheme}://{_ascii_host(host[0])}{quote(path, safe=_KEPT, errors='replace')}"


def without_signature(url: str) -> str:
    """A URL without what changes each time that it is signed anew: what is left names the file.

    That of S3, OSS, Google's and Azure's stores, of CloudFront and of CDNs with an `auth_key`.
    """
    path, mark, rest = url.partition("?")
    query, sharp, fragment = rest.partition("#")
    parts = [(unquote(part.partition("=")[0]).lower(), part) for part in query.split("&")]
    names = {name for name, _ in parts}
    changing = {
        name for needed, with_it in _SIGNED if names.issuperset(needed) for name in (*needed, *with_it)
    }
    kept = [part for name, part in parts if name not in changing]
    if len(kept) == len(parts):
        return url
    return path + (mark if kept else "") + "&".join(kept) + sharp + fragment


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    name, colon, port = host.rpartition(":") if re.search(r":[0-9]*$", host) else (host, "", "")
    try:
        return name.encode("idna").decode("ascii") + colon + port
    except UnicodeError:
        return host
