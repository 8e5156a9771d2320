"""A customer's URL as the parts that a request is made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from worker.fetching.values import FetchFault

_PORTS: Final = {"http": 80, "https": 443}
_NO_WEB_PORTS: Final = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666,
    6667, 6668, 6669, 6679, 6697, 10080,
})  # fmt: skip
"""Where other protocols are at home: browsers ask none of these (WHATWG, Fetch) but Redis's, added here."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. ``host`` as it is resolved, ``name`` as Host and certificates have it."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        return self.host.rstrip(".")


def target_of(url: str, base: str | None = None) -> Target | FetchFault:
    """The parts of an absolute URL, or of one that a redirect from `base` names; without user and password.

    Returns:
        A fault where it is no URL of the web, or one that no picture is at.
    """
    try:
        absolute = urljoin(base, url) if base else url
        parts = parse_url(absolute)
        scheme, host = (parts.scheme or "").lower(), (parts.host or "").strip("[]")
        if scheme not in _PORTS and scheme:
            return FetchFault("forbidden", "must be an http:// or https:// URL")
        if not scheme or not host.rstrip("."):
            return FetchFault("certain", "must be an http:// or https:// URL with a host")
        port = _PORTS[scheme] if parts.port is None else parts.port
    except (LocationParseError, ValueError):
        return FetchFault("certain", "is not a URL that can be read")
    if port in _NO_WEB_PORTS:
        return FetchFault("forbidden", f"must not name port {port}, which is another protocol's")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query is not None else "")
    return Target(absolute, scheme, _resolvable(host), port, path)


def _resolvable(host: str) -> str:
    """A resolver takes the dot at the end of a name for its end, and refuses it behind an address."""
    plain = host.rstrip(".")
    return plain if plain.rpartition(".")[2].isdigit() or "." not in plain else host
