"""The vendor's request signature: pure functions over bytes, for the client and for the sandbox.

content   = "POST " + uri + "\\n" + body + "." + timestamp + "." + access_key
signature = base64(lowercase_hex(HMAC-SHA1(secret_key, content)))
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

SUBMIT_URI: Final = "/openapi/v1/aigc/submitTask"

ACCESS_KEY: Final = "X-Access-Key"
SIGNATURE: Final = "X-Request-Sign"
TIMESTAMP: Final = "X-Request-Timestamp"
REQUEST_ID: Final = "x-acs-request-id"
CONTENT_TYPE: Final = "Content-Type"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One access key and its secret; ``repr`` shows neither the secret nor a part of it.

    Raises:
        ValueError: a key is empty, or the access key cannot stand in an HTTP header.
    """

    access_key: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.access_key or not (self.access_key.isascii() and self.access_key.isprintable()):
            raise ValueError("the access key must be printable ASCII and not empty")
        if not self.secret_key:
            raise ValueError("the secret key must not be empty")


def content(access_key: str, timestamp: str, uri: str, body: bytes, method: str = "POST") -> bytes:
    """The bytes that are signed.

    Args:
        access_key: the caller's id.
        timestamp: milliseconds since the epoch, as decimal text.
        uri: the path alone, such as :data:`SUBMIT_URI`.
        body: the request's body, to the byte.
        method: the word that stands first.
    """
    parts = (method.encode(), uri.encode(), body, timestamp.encode(), access_key.encode())
    return b"%b %b\n%b.%b.%b" % parts


def sign(access_key: str, secret_key: str, timestamp: str, uri: str, body: bytes) -> str:
    """The value of ``X-Request-Sign``; arguments as in :func:`content`."""
    digest = hmac.digest(secret_key.encode(), content(access_key, timestamp, uri, body), "sha1")
    # The vendor encodes the hex text, not the raw digest.
    return base64.b64encode(digest.hex().encode()).decode()


def headers(keys: Credentials, *, body: bytes, request_id: str, timestamp_ms: int) -> dict[str, str]:
    """The five headers of one submit.

    Args:
        keys: what to sign with.
        body: the bytes that will be sent.
        request_id: a random UUID, fresh for each attempt.
        timestamp_ms: milliseconds since the epoch.
    """
    timestamp = str(timestamp_ms)
    return {
        ACCESS_KEY: keys.access_key,
        SIGNATURE: sign(keys.access_key, keys.secret_key, timestamp, SUBMIT_URI, body),
        TIMESTAMP: timestamp,
        REQUEST_ID: request_id,
        CONTENT_TYPE: "application/json",
    }


def verify(
    accepted: Sequence[Credentials], *, access_key: str, signature: str, timestamp: str, uri: str, body: bytes
) -> bool:
    """Whether one of the accepted keys, newest first, made this signature. Takes constant time a key."""
    return any(
        hmac.compare_digest(
            sign(access_key, keys.secret_key, timestamp, uri, body).encode(), signature.encode()
        )
        for keys in accepted
        if hmac.compare_digest(keys.access_key.encode(), access_key.encode())
    )
