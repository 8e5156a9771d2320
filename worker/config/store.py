"""Where finished files are kept, and under which name: the settings that begin with ``AIGC_STORE_``."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from worker.config.environment import WorkerEnvironment
from worker.domain.file_names import DEFAULT, NameTemplate

DEFAULT_MAX_BYTES: Final = 512 * 1024 * 1024
DEFAULT_TIMEOUT_S: Final = 300.0

EXTRAS: Final[Mapping[str, tuple[str, str] | None]] = {
    "file": None,
    "s3": ("s3fs", "s3"),
    "oss": ("ossfs", "oss"),
    "gs": ("gcsfs", "gcs"),
    "memory": ("fsspec", "worker"),
}
"""By scheme, the library that it takes and the extra that brings that."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}[A-Za-z0-9]")
_PREFIX_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """``root`` is an absolute path where the scheme is ``file``, else a bucket, perhaps with a prefix.

    ``max_bytes`` and ``timeout_s`` (seconds) are of one file.
    """

    scheme: str
    root: str
    name: NameTemplate
    max_bytes: int
    timeout_s: float


def read_store(read: WorkerEnvironment) -> StoreSettings | None:
    """The settings of the store; None where there is none. What is wrong with them is in `read.problems`."""
    url = read.path("AIGC_STORE_URL")
    text = read.path("AIGC_STORE_NAME") or DEFAULT
    max_bytes = read.integer("AIGC_STORE_MAX_BYTES", DEFAULT_MAX_BYTES, high=2**40)
    timeout_s = read.number("AIGC_STORE_TIMEOUT_S", DEFAULT_TIMEOUT_S)
    read.checked("AIGC_STORE_NAME", text, _template_problem)
    if url is None:
        return None
    read.checked("AIGC_STORE_URL", url, _url_problem)
    if read.problems:
        return None
    scheme, rest = _parts(url)
    return StoreSettings(scheme, rest, NameTemplate(text), max_bytes, timeout_s)


def _template_problem(text: str) -> str:
    try:
        NameTemplate(text)
    except ValueError as error:
        return str(error)
    return ""


def _parts(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme == "file":
        return scheme, unquote(rest).rstrip("/")
    return scheme, rest.strip("/")


def _url_problem(url: str) -> str:
    scheme, root = _parts(url)
    if "://" not in url or scheme not in EXTRAS:
        return "file:///folder, s3://bucket, oss://bucket or gs://bucket, a bucket perhaps with /prefix"
    if not root.isprintable() or re.search(r"[?#\\]", url):
        return (
            "without query, fragment, backslashes and control characters: the library has its own variables"
        )
    if any(part in ("", ".", "..") for part in root.removeprefix("/").split("/")) and scheme != "memory":
        return "the absolute path of a folder: file:///srv/pictures" if scheme == "file" else _A_BUCKET
    if scheme == "file" and not root.startswith("/"):
        return "the absolute path of a folder, with three slashes: file:///srv/pictures"
    if scheme not in ("file", "memory"):
        bucket = root.partition("/")[0]
        if not _BUCKET.fullmatch(bucket) or len(root) - len(bucket) > _PREFIX_CHARS:
            return _A_BUCKET
    return _not_installed(scheme)


_A_BUCKET: Final = "the name of a bucket, without credentials, perhaps with /prefix"


def _not_installed(scheme: str) -> str:
    needed = EXTRAS[scheme]
    if needed is None or importlib.util.find_spec(needed[0]) is not None:
        return ""
    module, extra = needed
    return (
        f"a store whose library is installed, and {module} is missing:"
        f" pip install '.[{extra}]' in the directory of aigc-worker"
    )
