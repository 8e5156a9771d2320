"""Readers of the variables that only a worker has: keys, limits, the vendor's endpoint."""

from __future__ import annotations

import base64
import difflib
import math
import re
from typing import Final, TypeVar

from tasks.checks import is_loopback
from tasks.environment import Environment, host_and_port, is_one_word
from tasks.settings import Network, networks_of

_DECIMAL: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DSN: Final = re.compile(r"https?://[^@/\s]+@[^@?#\s]+/[0-9]+")

T = TypeVar("T")

TOKEN_LEAST: Final = 16
"""Characters of a token."""


class WorkerEnvironment(Environment):
    """Reads as `Environment` does: one variable at a time, and all problems are reported at once."""

    def key(self, name: str, *, ascii_only: bool = False) -> str:
        """A secret that must be there, on one line."""
        before = len(self.problems)
        value = self.secret(name) or ""
        if len(self.problems) > before:
            return value
        if not value:
            self.problems.append(f"{name} must be set, or {name}_FILE: every request is signed with it")
        elif not is_one_word(value):
            self._must_be(name, "one line without blanks or control characters")
        elif ascii_only and not value.isascii():
            self._must_be(name, "ASCII text: it is sent as an HTTP header")
        return value

    def webhook_secrets(self, name: str) -> tuple[str, ...]:
        """One secret of Standard Webhooks, or several, parted by blanks or commas, for a rotation."""
        before = len(self.problems)
        found = tuple(filter(None, re.split(r"[\s,]+", self.secret(name) or "")))
        if not found and len(self.problems) == before:
            self.problems.append(f"{name} must be set, or {name}_FILE: every webhook is signed with it")
        if not all(map(_is_webhook_secret, found)):
            self._must_be(name, "secrets of Standard Webhooks: whsec_ and base64 of 24 to 64 random bytes")
        return found

    def ui_token(self, name: str, *, must: bool) -> str | None:
        """A token that nobody can guess, on one line."""
        before = len(self.problems)
        token = self.secret(name)
        if len(self.problems) > before:
            return token
        if token is None and must:
            words = "whoever reaches another host than this machine's loopback could read and decide"
            self.problems.append(f"{name} must be set, or {name}_FILE: {words}")
        if token is not None and not (is_one_word(token) and token.isascii() and len(token) >= TOKEN_LEAST):
            self._must_be(name, f"{TOKEN_LEAST} or more ASCII characters on one line, without blanks")
        return token

    def folder(self, name: str, default: str) -> str:
        """An absolute path; by default this one in the user's folder for state, or in the temporary one."""
        path = self._text(name)
        if path is None:
            home = self._environ.get("HOME", "")
            state = self._environ.get("XDG_STATE_HOME") or (f"{home}/.local/state" if home else "/tmp")
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

    def number(self, name: str, default: T, *, low: float = 0.0, high: float = math.inf) -> float | T:
        """A finite number above 0; from ``low`` to ``high`` where these are given."""
        text = self._text(name)
        if text is None:
            return default
        value = float(text) if _DECIMAL.fullmatch(text) else 0.0
        if value > 0 and math.isfinite(value) and low <= value <= high:
            return value
        bounds = "above 0" if high == math.inf else f"from {low:.10g} to {high:.10g}"
        self._must_be(name, f"a number {bounds}")
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
        if scheme == "http" and not is_loopback(host):
            self._must_be(name, "https://…; http:// is for a loopback address only")
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{port}" if port else f"{scheme}://{shown}"

    def networks(self, name: str) -> tuple[Network, ...]:
        """Networks in CIDR notation, parted by commas."""
        try:
            return networks_of(self._text(name) or "")
        except ValueError:
            self._must_be(name, "networks such as 127.0.0.0/8, parted by commas")
            return ()

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


def _is_webhook_secret(text: str) -> bool:
    digits = text.removeprefix("whsec_").rstrip("=")
    try:
        return 24 <= len(base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)) <= 64
    except ValueError:
        return False
