"""The link to a task's file: signed, and until a moment that it names, as object stores have it. Pure."""

from __future__ import annotations

import base64
import hmac
from typing import Final
from urllib.parse import parse_qs, quote

from worker.dev.sandbox.files import File

FOLDER: Final = "/_sandbox/output/"

_SECRET: Final = b"the sandbox signs its links with this"
_ACCESS_KEY_ID: Final = "sandbox"


def link(base_url: str, task_id: str, file: File, expires_s: int) -> str:
    """The URL of this task's file.

    Args:
        base_url: scheme, host and port as the client reached the sandbox.
        task_id: whose it is.
        file: what it made.
        expires_s: until when it leads there, in seconds since the epoch.
    """
    name = f"{quote(task_id, safe='')}.{file.extension}"
    signature = quote(_signature(name, str(expires_s)), safe="")
    parameters = f"Expires={expires_s}&OSSAccessKeyId={_ACCESS_KEY_ID}&Signature={signature}"
    return f"{base_url}{FOLDER}{name}?{parameters}"


def refusal(name: str, query: str, now_s: float) -> str | None:
    """Why a link leads to nothing, or None where it does not.

    Args:
        name: of the file, as it stands in the path.
        query: the URL's query as received.
        now_s: seconds since the epoch.
    """
    given = {key: values[0] for key, values in parse_qs(query).items()}
    expires = given.get("Expires", "")
    right = _signature(name, expires)
    if not hmac.compare_digest(right.encode(), given.get("Signature", "").encode()):
        return "SignatureDoesNotMatch"
    return "Request has expired." if now_s >= int(expires) else None


def _signature(name: str, expires: str) -> str:
    return base64.b64encode(hmac.digest(_SECRET, f"GET\n{expires}\n{FOLDER}{name}".encode(), "sha1")).decode()
