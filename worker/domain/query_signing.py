"""How a query is signed. The vendor's page does not say; so it is one of a few forms, and a setting names it.

content   = METHOD + " " + uri + "\\n" + "" + "." + timestamp + "." + access_key
signature = base64(lowercase_hex(HMAC-SHA1(secret_key, content))), or the hex text itself

A form's name has four parts: the METHOD's word that is signed (``get``, ``post``; the request itself is
always a GET), the uri that is signed (``path``: the path alone, ``query``: with ``?taskId=…`` as it is sent),
how the digest is written (``base64`` of hex, or ``hex``), and the header that carries the request id
(``acs``: x-acs-request-id, ``xid``: X-Request-Id).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from worker.domain import signing
from worker.domain.signing import Credentials

QUERY_PATH: Final = "/openapi/v1/aigc/queryTask"
X_REQUEST_ID: Final = "X-Request-Id"

_REQUEST_ID_HEADERS: Final = {"acs": signing.REQUEST_ID, "xid": X_REQUEST_ID}


@dataclass(frozen=True, slots=True)
class QueryForm:
    """One way in which the vendor may want a query signed."""

    method: Literal["get", "post"]
    uri: Literal["path", "query"]
    digest: Literal["base64", "hex"]
    request_id: Literal["acs", "xid"]

    def __str__(self) -> str:
        return f"{self.method}-{self.uri}-{self.digest}-{self.request_id}"

    @property
    def request_id_header(self) -> str:
        """The name of the header that carries the request id."""
        return _REQUEST_ID_HEADERS[self.request_id]


DEFAULT_FORM: Final = QueryForm("get", "path", "base64", "acs")
"""As a submit is signed, with the method that is used."""

FORMS: Final = (
    DEFAULT_FORM,
    QueryForm("get", "query", "base64", "acs"),
    QueryForm("get", "path", "hex", "xid"),  # as the sample on the query's page looks
    QueryForm("get", "query", "hex", "xid"),
    QueryForm("post", "path", "base64", "acs"),  # a sister platform signs POST only
    QueryForm("post", "path", "hex", "xid"),
    QueryForm("get", "path", "base64", "xid"),
    QueryForm("get", "query", "base64", "xid"),
    QueryForm("post", "path", "base64", "xid"),
    QueryForm("post", "query", "base64", "acs"),
    QueryForm("get", "path", "hex", "acs"),
    QueryForm("get", "query", "hex", "acs"),
    QueryForm("post", "query", "hex", "xid"),
    QueryForm("post", "query", "base64", "xid"),
    QueryForm("post", "path", "hex", "acs"),
    QueryForm("post", "query", "hex", "acs"),
)
"""All there are, the likeliest first."""


def query_uri(task_id: str) -> str:
    """Path and query of a query about this task, as they are sent."""
    return f"{QUERY_PATH}?taskId={quote(task_id, safe='')}"


def sign_query(form: QueryForm, keys: Credentials, *, timestamp: str, uri: str) -> str:
    """The value of ``X-Request-Sign``.

    Args:
        form: how to sign.
        keys: what to sign with.
        timestamp: milliseconds since the epoch, as decimal text.
        uri: path and query as they are sent.
    """
    signed = uri if form.uri == "query" else uri.partition("?")[0]
    text = signing.content(keys.access_key, timestamp, signed, b"", method=form.method.upper())
    digest = hmac.digest(keys.secret_key.encode(), text, "sha1").hex()
    return digest if form.digest == "hex" else base64.b64encode(digest.encode()).decode()


def query_headers(
    form: QueryForm, keys: Credentials, *, uri: str, request_id: str, timestamp_ms: int
) -> dict[str, str]:
    """The headers of one query; ``uri`` as in :func:`sign_query`.

    Args:
        form: how to sign.
        keys: what to sign with.
        uri: path and query as they are sent.
        request_id: a random UUID, fresh for each query.
        timestamp_ms: milliseconds since the epoch.
    """
    timestamp = str(timestamp_ms)
    return {
        signing.ACCESS_KEY: keys.access_key,
        signing.SIGNATURE: sign_query(form, keys, timestamp=timestamp, uri=uri),
        signing.TIMESTAMP: timestamp,
        form.request_id_header: request_id,
        signing.CONTENT_TYPE: "application/json",
    }


def verify_query(
    form: QueryForm,
    accepted: Sequence[Credentials],
    *,
    access_key: str,
    signature: str,
    timestamp: str,
    uri: str,
) -> bool:
    """Whether one of the accepted keys, newest first, made this signature. Takes constant time a key."""
    return any(
        hmac.compare_digest(sign_query(form, keys, timestamp=timestamp, uri=uri).encode(), signature.encode())
        for keys in accepted
        if hmac.compare_digest(keys.access_key.encode(), access_key.encode())
    )
