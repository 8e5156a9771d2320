"""What the vendor's page says, as checks: headers, signature and parameters of a submit.

Written apart from ``tasks.payload`` on purpose: were the two one, a mistake in it would pass here
too. A workflow that a file declares has no page but that file. Where the page is silent (unknown
fields) the sandbox is lenient, as such services are.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from tasks.declared import NONE, Declared
from tasks.settings import fetch_allow
from worker.domain import query_signing, signing

SUBMIT_PATH: Final = signing.SUBMIT_URI
QUERY_PATH: Final = query_signing.QUERY_PATH

AUTH_CHECK_ERROR: Final = "INTCNN_COMMON_AUTH_CHECK_ERROR"
NOT_FOUND: Final = "INTCNN_COMMON_NOT_FOUND"
PARAM_VALID_ERROR: Final = "INTCNN_COMMON_PARAM_VALID_ERROR"
SYS_ERROR: Final = "INTCNN_COMMON_SYS_ERROR"

BODY_MAX_BYTES: Final = 1_000_000

# ASGI servers hand header names over in lower case, so their case on the wire cannot be checked.
ACCESS_KEY: Final = b"x-access-key"
SIGNATURE: Final = b"x-request-sign"
TIMESTAMP: Final = b"x-request-timestamp"
REQUEST_ID: Final = b"x-acs-request-id"
CONTENT_TYPE: Final = b"content-type"

_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,16}")


def envelope(model: str | None, code: str | None = None, message: str | None = None) -> bytes:
    """The vendor's JSON answer; without a ``code`` it is a success."""
    answer = {"success": code is None, "model": model, "errorCode": code, "errorMsg": message}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def unauthentic(
    headers: Mapping[bytes, bytes],
    body: bytes,
    keys: Sequence[signing.Credentials],
    now_s: float,
    skew_s: float,
) -> str | None:
    """Why a submit fails the signature check, or None when it passes.

    Args:
        headers: names in lower case.
        body: the bytes as received.
        keys: each pair that is valid now.
        now_s: seconds since the epoch.
        skew_s: how far the request's timestamp may be from ``now_s``, either way.
    """
    if why := _header_fault(headers, REQUEST_ID, now_s, skew_s):
        return why
    genuine = signing.verify(
        keys,
        access_key=headers[ACCESS_KEY].decode("latin-1"),
        signature=headers[SIGNATURE].decode("latin-1"),
        timestamp=headers[TIMESTAMP].decode(),
        uri=SUBMIT_PATH,
        body=body,
    )
    return None if genuine else "the signature does not match"


def unauthentic_query(
    headers: Mapping[bytes, bytes],
    uri: str,
    form: query_signing.QueryForm,
    keys: Sequence[signing.Credentials],
    now_s: float,
    skew_s: float,
) -> str | None:
    """Why a query fails the signature check, or None when it passes.

    Args:
        headers: names in lower case.
        uri: path and query as received.
        form: how a query has to be signed.
        keys, now_s, skew_s: as in :func:`unauthentic`.
    """
    if why := _header_fault(headers, form.request_id_header.lower().encode(), now_s, skew_s):
        return why
    genuine = query_signing.verify_query(
        form,
        keys,
        access_key=headers[ACCESS_KEY].decode("latin-1"),
        signature=headers[SIGNATURE].decode("latin-1"),
        timestamp=headers[TIMESTAMP].decode(),
        uri=uri,
    )
    return None if genuine else "the signature does not match"


def _header_fault(
    headers: Mapping[bytes, bytes], request_id: bytes, now_s: float, skew_s: float
) -> str | None:
    for name in (ACCESS_KEY, SIGNATURE, TIMESTAMP, request_id):
        if not headers.get(name):
            return f"header {name.decode()} is missing"
    if not _UUID.fullmatch(headers[request_id]):
        return f"{request_id.decode()} must be a UUID"
    timestamp = headers[TIMESTAMP]
    if not _MILLISECONDS.fullmatch(timestamp):
        return "x-request-timestamp must be milliseconds since the epoch"
    if abs(int(timestamp) / 1000 - now_s) > skew_s:
        return f"x-request-timestamp is more than {skew_s:g} s from this server's clock"
    return None


def invalid(
    headers: Mapping[bytes, bytes], body: bytes, allow_unlisted: bool, declared: Declared = NONE
) -> str | None:
    """Why the parameters of a submit are wrong, or None when they are right.

    What is ``declared`` is this vendor's page for those workflows and versions.
    """
    media_type = headers.get(CONTENT_TYPE, b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        return "Content-Type must be application/json"
    try:
        payload = _JSON.decode(body.decode())
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(payload, dict):
        return "the body must be a JSON object"
    for name, kind in (("workflow", str), ("version", str), ("algoInput", dict)):
        if not isinstance(payload.get(name), kind) or payload[name] == "":
            return f"{name} is required and must be {_TYPE_NAMES[kind]}"
    if entry := declared.find(payload["workflow"], payload["version"]):
        return next((f"{path} {words}" for path, words in entry.faults(payload["algoInput"])), None)
    fields = WORKFLOWS.get(payload["workflow"])
    if fields is None:
        return None if allow_unlisted else f"workflow {payload['workflow'][:40]!r} does not exist"
    algo_input = payload["algoInput"]
    for name, field in fields.items():
        if name not in algo_input or not field.holds(algo_input[name]):
            return f"algoInput.{name} is required and must be {field.must_be}"
    return None


_TYPE_NAMES: Final = {str: "a string that is not empty", dict: "an object"}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON: Final = json.JSONDecoder(parse_constant=_refuse_constant)


class _Field(NamedTuple):
    must_be: str
    holds: Callable[[Any], bool]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_public_url(value: object) -> bool:
    if not isinstance(value, str) or any(ch <= " " for ch in value):
        return False
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return True
    # Unlike the real vendor it can reach what is on this machine, where a setting says so.
    return address.is_global or any(address in network for network in fetch_allow())


_TEXT: Final = _Field("a string of at most 500 characters", lambda v: isinstance(v, str) and len(v) <= 500)
_IMAGE: Final = _Field("a public http(s) URL", _is_public_url)
_PIXELS: Final = _Field("a positive integer", lambda v: _is_integer(v) and v > 0)
_SEED: Final = _Field("an integer from 0 to 2147483647", lambda v: _is_integer(v) and 0 <= v <= 2147483647)
_CATEGORY: Final = _Field("one of upper, lower, overall", lambda v: v in ("upper", "lower", "overall"))

WORKFLOWS: Final[Mapping[str, Mapping[str, _Field]]] = {
    "IMAGE2VIDEO": {"inputText": _TEXT, "inputImage": _IMAGE},
    "CATVTON": {"modelImage": _IMAGE, "garmentImage": _IMAGE, "category": _CATEGORY, "seed": _SEED},
    "TEXT2IMAGE": {"inputText": _TEXT, "width": _PIXELS, "height": _PIXELS},
}
"""The page's three workflows and the algoInput each requires."""
