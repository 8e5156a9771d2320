"""Where a URL of Redis leads: to one server, or to sentinels that know which server it is at the moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from .environment import host_and_port, is_one_word

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
# What Sentinel itself takes for the name of a primary.
_PATH: Final = re.compile(r"/(?P<primary>[A-Za-z0-9._-]+)(/(?P<number>[0-9]*))?", re.ASCII)

_NUMBER: Final = re.compile("/?(?P<number>[0-9]*)", re.ASCII)
_PARTS: Final = re.compile(r"(?:[^:]*://)?([^/?]*)([^?]*)\??(.*)", re.DOTALL)

Place = tuple[str, int]
"""A host and a port."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL's parts, decoded.

    Args:
        scheme: ``redis``, ``rediss`` and the same with ``+sentinel``.
        places: of the server; with ``+sentinel`` of the sentinels, in the URL's order.
        primary: the name by which the sentinels know the server; None without them.
        path: of the database, as the URL has it.
        number: of the database.
        query: the options, undecoded.
    """

    scheme: str
    username: str | None
    password: str | None = field(repr=False)
    places: tuple[Place, ...]
    primary: str | None
    path: str
    number: int
    query: str = field(repr=False)

    @property
    def is_tls(self) -> bool:
        return self.scheme.startswith("rediss")

    def __str__(self) -> str:
        """Without a secret."""
        places = ",".join(f"{host}:{port}" for host, port in self.places)
        return f"{self.scheme}://{places}{self.path}"


def address_of(url: str) -> Address | None:
    """The URL's parts; None where it cannot be that of a Redis."""
    scheme, found, _ = url.partition("://")
    netloc, path, query = parts_of(url)
    if not found or scheme not in _SCHEMES or "#" in url or not is_one_word(url):
        return None
    by_sentinels = scheme.endswith("+sentinel")
    credentials, _, hosts = netloc.rpartition("@")
    places = [_place(host, by_sentinels) for host in (hosts.split(",") if by_sentinels else [hosts])]
    database = (_PATH if by_sentinels else _NUMBER).fullmatch(path)
    if None in places or database is None:
        return None
    user, _, password = credentials.partition(":")
    return Address(
        scheme,
        unquote(user) or None,
        unquote(password) or None,
        tuple(filter(None, places)),
        database["primary"] if by_sentinels else None,
        path,
        int(database["number"] or 0),
        query,
    )


def parts_of(url: str) -> tuple[str, str, str]:
    """What stands before the path, the path, and the options.

    `urlsplit` knows one host only: newer Pythons (3.11.12, 3.12.9) refuse another one beside an IPv6 address.
    """
    before, path, query = _PARTS.fullmatch(url).groups()  # type: ignore[union-attr]  # it takes all
    return before, path, query


def _place(text: str, of_sentinel: bool) -> Place | None:
    host, port = host_and_port(f"redis://{text}")
    if host is None or "/" in text:
        return None
    return unquote(host), port or (SENTINEL_PORT if of_sentinel else REDIS_PORT)
