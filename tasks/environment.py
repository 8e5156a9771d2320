"""Single environment variables: read, checked, and what is wrong with them collected.

Works on any mapping. No message repeats a value, since it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from .exceptions import SettingsError

_SECRET_FILE_MAX_BYTES: Final = 65536
_NAME_MAX_CHARS: Final = 200
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)


Rule = Callable[[str], str]
"""What this value must be instead, in words that go after "must be"; empty where it can be right."""


class Environment:
    """Reads one variable at a time; an empty one counts as not set.

    Each method gives the value, or its default where the variable is not set. A value that cannot be
    right adds a line to `problems` instead of raising, so that all of them are reported at once; what
    is returned in its place must not be used then. `raise_problems` ends the reading.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()
        self.problems: list[str] = []

    def raise_problems(self) -> None:
        """Raises SettingsError where anything was wrong with what was read."""
        if self.problems:
            raise SettingsError(self.problems)

    def is_set(self, secret: str) -> bool:
        """Whether a secret is there, itself or as a file."""
        return bool(self._text(secret) or self._text(f"{secret}_FILE"))

    def secret(self, name: str) -> str | None:
        """The variable, or the contents of the file `<name>_FILE` without its trailing newline."""
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
        except ValueError:  # no UTF-8, or a path with a NUL
            self._must_be(file_name, "a file of UTF-8 text")
        else:
            value = content.removesuffix("\n").removesuffix("\r")
            if not value:
                self._must_be(file_name, "a file that is not empty")
        return value

    def path(self, name: str) -> str | None:
        """The path of a file; None where it is not set."""
        return self._text(name)

    def name(self, name: str, default: str) -> str:
        """The name of a Redis key."""
        text = self._text(name)
        return self.checked(name, text, key_name_problem) if text else default

    def decimals(self, prefix: str) -> dict[str, Decimal]:
        """Amounts of 0 or more, of all variables that begin with `prefix`, by the rest of their names."""
        amounts = {}
        for name in sorted(self._environ):
            if name.startswith(prefix) and name != prefix and (text := self._text(name)):
                if _AMOUNT.fullmatch(text):
                    amounts[name.removeprefix(prefix)] = Decimal(text)
                else:
                    self._must_be(name, "an amount such as 0.05, without a currency")
        return amounts

    def currency(self, name: str) -> str:
        """A currency's code; empty where the variable is not set."""
        text = (self._text(name) or "").upper()
        return self.checked(name, text, _currency_problem)

    def checked(self, name: str, value: str, rule: Rule) -> str:
        """The value, checked by the rule under that name."""
        if problem := rule(value):
            self._must_be(name, problem)
        return value

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
    if not host or port == 0 or not is_one_word(url):
        return None, None
    if ":" not in host and not _HOST_NAME.fullmatch(host):
        return None, None
    return host, port


def _currency_problem(text: str) -> str:
    return "" if re.fullmatch(r"([A-Z]{3})?", text) else "a currency's code of three letters, such as USD"


def is_one_word(text: str) -> bool:
    """Whether the text is free of blanks and control characters."""
    return text.isprintable() and not any(char.isspace() for char in text)


def key_name_problem(text: str) -> str:
    """What the name of a Redis key must be; empty where it can be right."""
    if 0 < len(text) <= _NAME_MAX_CHARS and is_one_word(text):
        return ""
    return f"1 to {_NAME_MAX_CHARS} characters without blanks or control characters"
