"""Single environment variables: read, checked, and what is wrong with them collected.

Pure: works on any mapping. No message repeats a value, since it may be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

_SECRET_FILE_MAX_BYTES: Final = 65536
_NAME_MAX_CHARS: Final = 200
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_DECIMAL: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DSN: Final = re.compile(r"https?://[^@/\s]+@[^@?#\s]+/[0-9]+")

T = TypeVar("T")


class Reader:
    """Reads one variable at a time; an empty one counts as not set.

    Each method gives the value, or its default where the variable is not set. A value that cannot be
    right adds a line to ``problems`` instead of raising, so that all of them are reported at once.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()
        self.problems: list[str] = []

    def is_set(self, secret: str) -> bool:
        """Whether a secret is there, itself or as a file."""
        return bool(self._text(secret) or self._text(f"{secret}_FILE"))

    def secret(self, name: str) -> str | None:
        """The variable, or the contents of the file ``<name>_FILE`` without its trailing newline."""
        file_name = f"{name}_FILE"
        self._known.add(name)
        value, path = self._environ.get(name) or None, self._text(file_name)
        if path is None:
            return value
        if value is not None:
            self.problems.append(f"{name} and {file_name} are both set: keep one")
            return None
        try:
            with open(path, "rb") as file:
                content = file.read(_SECRET_FILE_MAX_BYTES).decode()
        except OSError as error:
            self._must_be(file_name, f"a file that can be read: {error.strerror}")
        except ValueError:
            self._must_be(file_name, "a file of UTF-8 text")
        else:
            value = content.removesuffix("\n").removesuffix("\r")
            if not value:
                self._must_be(file_name, "a file that is not empty")
        return value

    def key(self, name: str, *, ascii_only: bool = False) -> str:
        """A secret that must be there, on one line."""
        before = len(self.problems)
        value = self.secret(name) or ""
        if len(self.problems) > before:
            return value
        if not value:
            self.problems.append(f"{name} must be set, or {name}_FILE: every request is signed with it")
        elif not _is_one_word(value):
            self._must_be(name, "one line without blanks or control characters")
        elif ascii_only and not value.isascii():
            self._must_be(name, "ASCII text: it is sent as an HTTP header")
        return value

    def name(self, name: str, default: str) -> str:
        """A Redis key."""
        value = self._text(name) or default
        if len(value) > _NAME_MAX_CHARS or not _is_one_word(value):
            self._must_be(name, f"at most {_NAME_MAX_CHARS} characters without blanks or control characters")
        return value

    def folder(self, name: str, default: str) -> str:
        """An absolute path; by default this one in the user's folder for state, or in the temporary one."""
        path = self._text(name)
        if path is None:
            process_id = self._environ.get("HOME", "")
            state = self._environ.get("XDG_STATE_HOME") or (
                f"{process_id}/.local/state" if process_id else "/tmp"
            )
            return f"{state}/{default}"
        if not path.startswith("/"):
            self._must_be(name, "an absolute path of a folder")
        return path

    def integer(self, name: str, default: T, *, low: int = 1, high: int = 2**31 - 1) -> int | T:
        """A whole number from ``low`` to ``high``."""
        text = self._text(name)
        if text is None:
            return default
        if re.fullmatch(r"[0-9]{1,10}", text) and low <= int(text) <= high:
            return int(text)
        self._must_be(name, f"a whole number from {low} to {high}")
        return default

    def number(self, name: str, default: T) -> float | T:
        """A finite number above 0."""
        text = self._text(name)
        if text is None:
            return default
        if _DECIMAL.fullmatch(text) and float(text) > 0 and math.isfinite(float(text)):
            return float(text)
        self._must_be(name, "a number above 0")
        return default

    def numbers(self, prefix: str) -> dict[str, float]:
        """The numbers of all variables that begin with ``prefix``, by the rest of their names."""
        names = [name for name in sorted(self._environ) if name.startswith(prefix) and name != prefix]
        values = {name.removeprefix(prefix): self.number(name, None) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def choice(self, name: str, default: T, allowed: tuple[T, ...]) -> T:
        """One of ``allowed``, in any case."""
        text = self._text(name)
        if text is None:
            return default
        for value in allowed:
            if str(value).lower() == text.lower():
                return value
        self._must_be(name, f"one of {', '.join(map(str, allowed))}")
        return default

    def endpoint(self, name: str, default: str) -> str:
        """Scheme, host and perhaps port; ``http`` for a loopback address only."""
        value = self._text(name) or default
        scheme, _, rest = value.partition("://")
        scheme, (host, port) = scheme.lower(), host_and_port(value)
        if host is None or scheme not in ("http", "https") or re.search(r"[@?#]|/.", rest):
            self._must_be(name, "https://host or https://host:port without a path: the path is the vendor's")
            return value
        if scheme == "http" and not _is_loopback(host):
            self._must_be(name, "https://…; http:// is for a loopback address only")
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{port}" if port else f"{scheme}://{shown}"

    def redis_url(self, name: str, default: str) -> str:
        """``redis://`` or ``rediss://``; a secret, for its password."""
        value = self.secret(name) or default
        scheme, _, rest = value.partition("://")
        database = rest.partition("?")[0].partition("/")[2]
        possible = scheme in ("redis", "rediss") and re.fullmatch("[0-9]*", database) and "#" not in value
        if not possible or host_and_port(value)[0] is None:
            self._must_be(
                name,
                "redis://[user:password@]host[:port][/number] or the same with rediss://, "
                "special characters of the password percent-encoded",
            )
        return value

    def sentry_dsn(self, name: str) -> str | None:
        """A Sentry DSN; its public key is treated as a secret."""
        value = self.secret(name)
        if value is not None and (host_and_port(value)[0] is None or not _DSN.fullmatch(value)):
            self._must_be(name, "a Sentry DSN: https://<public key>@<host>/<project number>")
        return value

    def misspelt(self, prefix: str) -> tuple[str, ...]:
        """A line for each variable with that prefix that was not asked for, and the nearest known name."""
        lines = []
        for name in sorted(self._environ):
            if name.startswith(prefix) and name not in self._known:
                near = difflib.get_close_matches(name, sorted(self._known), n=1)
                lines.append(f"{name} is not a setting" + (f": did you mean {near[0]}?" if near else ""))
        return tuple(lines)

    def _text(self, name: str) -> str | None:
        self._known.add(name)
        return self._environ.get(name, "").strip() or None

    def _must_be(self, name: str, what: str) -> None:
        self.problems.append(f"{name} must be {what}")


def host_and_port(url: str) -> tuple[str | None, int | None]:
    """Host and port of an absolute URL; the host is None where either cannot be right."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None, None
    if not host or port == 0 or not _is_one_word(url):
        return None, None
    if ":" not in host and not _HOST_NAME.fullmatch(host):
        return None, None
    return host, port


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(char.isspace() for char in text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
