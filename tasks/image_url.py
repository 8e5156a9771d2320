"""What is wrong with the URL of an image, in words that show where, and which format it names. Pure."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from .checks import URL_MAX_CHARS, is_public_url
from .settings import fetch_allow

IMAGE_URL_RULE: Final = f"a public http:// or https:// URL of at most {URL_MAX_CHARS} characters"

_OTHER_FORMAT: Final = re.compile(
    r"https?://[^/?#]*/[^?#]*\.(webp|heic|heif|avif|gif|svg)(?:(\?[^#])|[?#]|$)", re.ASCII | re.IGNORECASE
)
"""A path that ends in the name of a format which the vendor does not take: jpg, jpeg, png and bmp it does."""

_AMISS: Final = re.compile(r"[\s\\]")
_CHARACTERS: Final = {
    " ": "a space",
    "\\": "a backslash",
    "\n": "a line break",
    "\r": "a line break",
    "\t": "a tab",
}


def image_url_fault(url: str) -> str | None:
    """Why the vendor could not fetch or read it, short; None where nothing is known against it."""
    if not is_public_url(url) and not _is_allowed(url):
        return malformed(url) or "its host cannot be reached from the public internet"
    other = _OTHER_FORMAT.match(url)
    if other and not other[2]:
        return f"its path ends in .{other[1]}, and the vendor takes jpg, png and bmp"
    return None


def other_format(url: str) -> str | None:
    """The format that the path's end names and the vendor does not take, where a query may convert it."""
    other = _OTHER_FORMAT.match(url)
    return other[1].lower() if other and other[2] else None


def malformed(url: str) -> str | None:
    """Why it is no URL that can be read; None where nothing but its host may be wrong."""
    if len(url) > URL_MAX_CHARS:
        return f"it has {len(url)} characters"
    amiss = next(
        (index for index, char in enumerate(url) if _AMISS.match(char) or not char.isprintable()), None
    )
    if amiss is not None:
        return _named(url, amiss)
    if url.startswith("//"):
        return "it begins with //: put https: before it"
    scheme, found, _ = url.partition("://")
    if not found:
        return "it does not begin with http:// or https://"
    if scheme.lower() not in ("http", "https"):
        return f"it begins with {scheme[:20]}://"
    return None


def _is_allowed(url: str) -> bool:
    """Whether its host is an address, or this machine, that `AIGC_FETCH_ALLOW` adds to the public ones."""
    if not (allowed := fetch_allow()) or malformed(url):
        return False
    try:
        host = str(urlsplit(url).hostname or "").removesuffix(".")
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return any(address in network for network in allowed)


def _named(url: str, index: int) -> str:
    """The character that no URL has, and where it stands."""
    char = url[index]
    name = _CHARACTERS.get(char) or f"the character U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
    if not url[:index].strip():
        return f"it begins with {name}"
    if not url[index:].strip():
        return f"it ends with {name}"
    encoded = ", which a URL has as %20" if char == " " else ""
    return f"character {index + 1} is {name}{encoded}"
