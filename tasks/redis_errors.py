"""What keeps a client out of Redis until somebody mends it: known by its words, and the remedy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .connection import ENDED_TLS, word_of
from .sentinels import NO_PRIMARY

_URL: Final = "AIGC_REDIS_URL"

# By what Redis, OpenSSL or redis-py say. Their own words follow where there are details in them.
_MEANINGS: Final = tuple(
    (re.compile(pattern), words, detailed)
    for pattern, words, detailed in (
        (
            rf"{NO_PRIMARY} .*(watches no|wants |refuses|has no password|is no sentinel|CERTIFICATE_VERIFY)",
            f"the sentinels that {_URL} names do not lead to its primary: correct what it says of them",
            True,
        ),
        (
            r"NOAUTH|Authentication required|HELLO must be called",
            f"Redis wants a password, and {_URL} gives none: redis://:password@host, or user:password@",
            False,
        ),
        (
            r"WRONGPASS|invalid username-password|invalid password",
            f"Redis does not take the user or the password that {_URL} gives: correct it there (special"
            " characters percent-encoded), or in Redis",
            False,
        ),
        (
            r"without any password configured",
            f"Redis has no password, and {_URL} gives one: leave it out there, or set one in Redis"
            " (requirepass)",
            False,
        ),
        (
            r"DB index is out of range|invalid DB index",
            f"Redis has no database of the number that {_URL} ends in: /0 is always there",
            False,
        ),
        (
            # The last is what a script is told by Redis 7.0, which has no word for it there.
            r"NOPERM|has no permissions|no permissions to|executing the script (can't|is lacking)",
            f"the user that {_URL} gives lacks a right in Redis: ACL SETUSER gives it, aigc doctor names all",
            True,
        ),
        (
            r"running in protected mode",
            "Redis takes connections from its own machine only: set a password there (requirepass), and in"
            f" {_URL}",
            False,
        ),
        (
            r"CERTIFICATE_VERIFY_FAILED",
            "Redis, or who answers in its place, shows no certificate that is trusted for its name: name its"
            f" CA in {_URL} (?ssl_ca_certs=…), and its host as the certificate does",
            True,
        ),
        (
            rf"{ENDED_TLS}|ALERT_(CERTIFICATE_REQUIRED|UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_)|_ALERT_ACCESS",
            f"Redis wants a certificate of this client, or another one: name it in {_URL}"
            " (?ssl_certfile=…&ssl_keyfile=…)",
            True,
        ),
        (
            r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE",
            f"what answers there does not speak TLS: {_URL} wants redis://, or the port for TLS",
            True,
        ),
        (
            r"not allowed in cluster mode|^MOVED |CROSSSLOT",
            f"{_URL} names a Redis Cluster: one Redis of its own is needed",
            True,
        ),
        (r"(?i)protocol error", f"what answers at {_URL} is no Redis", True),
    )
)

_NUMBER_ONLY: Final = re.compile(r"^Error (\d+) connecting to .*\. \1\.$")
"""What the asyncio client of redis-py 5 says of an error of TLS: its number twice, and no cause."""


def refusal(error: BaseException) -> str:
    """Why Redis keeps this client out, and the remedy; empty where waiting may be all that it takes.

    Args:
        error: of redis-py's or kombu's, with what it was raised from.
    """
    for said in map(said_by, chain(error)):
        for pattern, words, detailed in _MEANINGS:
            if pattern.search(said):
                return f"{words} ({said})" if detailed else words
    return ""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from."""
    seen = set[int]()
    while error is not None and id(error) not in seen:  # one may have been raised from itself
        seen.add(id(error))
        yield error
        # Else not by its context: that may be an error of the caller's own, in whose handling it submits.
        error = error.__context__ if _NUMBER_ONLY.search(str(error)) else error.__cause__


def said_by(error: BaseException) -> str:
    """What an error says, with the word of Redis's that redis-py took off it."""
    word = word_of(error)
    return f"{word} {error}" if word else str(error)
