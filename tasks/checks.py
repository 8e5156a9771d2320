"""What any input must satisfy before it may be queued. Pure."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import socket
from collections.abc import Iterator
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from .contract import (
    BATCH_MAX_CHARS,
    JOB_ID_MAX_CHARS,
    METADATA_MAX_BYTES,
    NAME_MAX_CHARS,
    TASK_ID_MAX_CHARS,
)
from .exceptions import InvalidPayload

URL_MAX_CHARS: Final = 2048
JOB_ID_RULE: Final = f"a string of 1 to {JOB_ID_MAX_CHARS} printable characters"
NAME_RULE: Final = f"a string of 1 to {NAME_MAX_CHARS} printable characters"
TASK_ID_RULE: Final = f"a string of 1 to {TASK_ID_MAX_CHARS} printable characters, not all blank"
BATCH_RULE: Final = f"a string of 1 to {BATCH_MAX_CHARS} printable characters without blanks"

# Deep enough for any real input; far below where JSON decoders, the vendor's or ours, give up.
_MAX_DEPTH: Final = 64
_LONGEST_WAIT_S: Final = 100 * 365 * 86_400.0
_SHOWN_CHARS: Final = 40
_ORDINARY_URL: Final = re.compile(
    r"https?://(?:[a-z0-9-]{1,63}+\.){1,9}(?!localhost\b)[a-z]{2,63}+(?:[/?#]|$)", re.ASCII
)
"""A host name that ends in a word. Most URLs begin so, and taking one apart costs as much as all else."""

_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def clip(value: object) -> str:
    """The value for an error message, in JSON's words. Short, whatever the value is."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN_CHARS else f"a string of {len(value)} characters"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 100):
        return str(value)
    kinds = ((dict, "an object"), (list, "an array"), (int, "a huge number"))
    return next((word for kind, word in kinds if isinstance(value, kind)), f"a {type(value).__name__}")


def check_json(value: object, path: str, *, most_bytes: int) -> None:
    """Refuse what JSON cannot carry unchanged, and what is larger than `most_bytes` as compact UTF-8.

    Raises InvalidPayload naming each place under `path`.
    """
    errors = list(_not_json(value, path, 1))
    if not errors:
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except ValueError:
            errors = [(path, "must hold no number of thousands of digits")]
        else:
            if (size := len(text.encode("utf-8", "surrogatepass"))) > most_bytes:
                errors = [(path, f"must be at most {most_bytes} bytes of JSON, got {size}")]
    if errors:
        raise InvalidPayload(errors)


def check_metadata(metadata: object) -> None:
    """Raises InvalidPayload where it is not a JSON object of at most 4096 bytes."""
    if not isinstance(metadata, dict):
        raise InvalidPayload([("metadata", f"must be an object, got {clip(metadata)}")])
    if metadata:
        check_json(metadata, "metadata", most_bytes=METADATA_MAX_BYTES)


def is_name(value: object) -> TypeGuard[str]:
    """Whether a workflow, or a version of one, may be called so."""
    return isinstance(value, str) and 0 < len(value) <= NAME_MAX_CHARS and value.isprintable()


def is_job_id(value: object) -> TypeGuard[str]:
    """Whether a job may be called so: ids become part of Redis keys and log lines."""
    return isinstance(value, str) and 0 < len(value) <= JOB_ID_MAX_CHARS and value.isprintable()


def check_job_id(job_id: object) -> None:
    """Raises InvalidPayload where a job cannot be called so."""
    if not is_job_id(job_id):
        raise InvalidPayload([("id", f"must be {JOB_ID_RULE}, got {clip(job_id)}")])


def is_task_id(text: str) -> bool:
    """Whether this may be the vendor's id of a task: printable, not blank, at most 256 characters long."""
    return bool(text.strip()) and text.isprintable() and len(text) <= TASK_ID_MAX_CHARS


def check_task_id(task_id: object) -> None:
    """Raises InvalidPayload where the vendor cannot have called a task so."""
    if not (isinstance(task_id, str) and is_task_id(task_id)):
        raise InvalidPayload([("task_id", f"must be {TASK_ID_RULE}, got {clip(task_id)}")])


def check_batch(name: object) -> None:
    """Raises InvalidPayload where a batch cannot be called so: names become part of Redis keys and lists."""
    if not (
        isinstance(name, str) and 0 < len(name) <= BATCH_MAX_CHARS and name.isprintable() and " " not in name
    ):
        raise InvalidPayload([("batch", f"must be {BATCH_RULE}, got {clip(name)}")])


def is_public_url(text: str) -> bool:
    """Whether it is an absolute http(s) URL that could be reachable from the public internet.

    Catches what is surely wrong; no name is resolved. Nothing is normalised: the vendor gets the text.
    """
    if len(text) > URL_MAX_CHARS or not text.isprintable() or " " in text or "\\" in text:
        return False
    if _ORDINARY_URL.match(text):
        return True
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and _is_public_host(str(host).removesuffix("."))


def time_to_wait(timeout_s: float | None) -> float | None:
    """Seconds; None, which is for ever, where they are more than Python's locks can wait.

    Raises:
        ValueError: it is no time.
    """
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not (is_number and timeout_s >= 0):
        raise ValueError(f"timeout_s must be a number of seconds, 0 or more, or None, got {clip(timeout_s)}")
    return timeout_s if timeout_s < _LONGEST_WAIT_S else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public_host(host: str) -> bool:
    if not host or "%" in host or host == "localhost" or host.endswith(".localhost"):
        return False
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        if ":" in host:
            address = ipaddress.IPv6Address(host)
            address = address.ipv4_mapped or address
        elif _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
            # As HTTP clients read it: 127.1, 2130706433 and 0x7f000001 are loopback addresses too.
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        else:
            return True
    except (OSError, ValueError):
        return False
    return address.is_global and not address.is_multicast


def _not_json(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"must be a finite number, got {value}"
    elif depth > _MAX_DEPTH:
        yield path, f"must not be nested deeper than {_MAX_DEPTH} levels"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_json(item, f"{path}.{key[:_SHOWN_CHARS]}", depth + 1)
            else:
                yield path, f"must have strings as keys, got {clip(key)}"
    else:
        yield path, f"must be a JSON value, got {clip(value)}"
