"""What must not leave the process, taken out of any text: secrets, prompts, signed URLs.

Pure. Two nets: what is known exactly (the secrets of the settings, the texts of the job in hand) and
what is known by its shape (userinfo and queries of URLs, signatures, the vendor's prompt fields).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "[redacted]"
SECRET_MIN_CHARS: Final = 4
"""A shorter secret cannot be told from ordinary text."""

_STRING: Final = r"""("(?:[^"\\]|\\.)*("|$)|'(?:[^'\\]|\\.)*('|$))"""
_SHAPES: Final = tuple(
    (re.compile(pattern, re.I | re.S), rf"\1{MASK}")
    for pattern in (
        # Userinfo of a URL.
        r"([a-z][a-z0-9+.-]*:\\?/\\?/)[^\s/@]*(?=@)",
        # The query and fragment of a URL, and of a request line, which shows no scheme.
        r"(https?:\\?/\\?/[^\s?#'\"<>]*[?#])[^\s'\"<>]+",
        r"(\?)[\w.~%-]+=[^\s'\"<>]*",
        # The signature and its kin, as a header, in a mapping or in its repr.
        r"((?:x-request-sign|x-access-key|authorization|signature)\\?[\"']?\s*[:=,]\s*(?:b?\\?[\"'])?"
        r"(?:(?:basic|bearer)\s+)?)[^\s\"',}\\]+",
        # A signature anywhere (base64 of 40 hexadecimal digits), and a message's body in base64.
        r"((?<![a-z0-9+/]))(?:[a-z0-9]{54}==|[a-z0-9+/]{100,}={0,2})",
        # All that follows a payload's input: its braces cannot be counted in a text that may be clipped.
        r"(algo_?input\\?[\"']?\s*[:=]\s*)(?=[\[{\\(]).*",
        rf"(input_?text[\"']?\s*[:=]\s*){_STRING}",
        r"(\binput_value=).*?(?=, input_type=|$)",  # in pydantic's errors
    )
)

_PLAIN: Final = re.compile(r"[\w .-]{0,80}")
"""None of the shapes can stand in such a text: most ids and names need no closer look."""

_PLAIN_OBJECT: Final = re.compile(
    r'\{(?:"[A-Za-z0-9_.-]{1,80}+":(?:"[A-Za-z0-9_ .-]{0,80}+"|[0-9]{1,30}+|true|false)(?:,|(?=\})))*+\}'
)
"""A flat JSON object whose texts are all plain. Without escapes, they stand in it as they are."""

_private: ContextVar[Any] = ContextVar("aigc_private", default=None)


def keep_private(payload: Any) -> None:
    """From now on take this payload's texts out of the free text that this thread logs or reports.

    Holds until the next call, and so still when an exception has left the function that called it.
    """
    _private.set(payload.get("algoInput", payload) if isinstance(payload, dict) else payload)


class Redactor:
    """Takes secrets out of texts; see the module."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SECRET_MIN_CHARS for form in _spellings(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._plain_forms = [form for form in forms if _PLAIN.fullmatch(form)]

    def text(self, text: str) -> str:
        """Free text, such as an error's message: neither secrets nor the texts of the job in hand."""
        for private in _strings(_private.get()):
            text = _without_runs(text, private)
        return self.shown(text)

    def shown(self, text: str) -> str:
        """Text of known origin, such as an id or a name: no secrets, and nothing of a secret's shape."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if _PLAIN.fullmatch(text):
            return text
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def leaves(self, json_object: str) -> bool:
        """Whether :meth:`value` would surely leave this object, given as JSON, as it is.

        One look at the whole, since most lines are ids and names.
        """
        if any(form in json_object for form in self._plain_forms):
            return False
        return _PLAIN_OBJECT.fullmatch(json_object) is not None

    def value(self, value: Any) -> Any:
        """A copy of a JSON-like value whose texts, keys aside, are as :meth:`shown` gives them."""
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.shown(str(value))


def _spellings(secret: str) -> Iterator[str]:
    """The ways a secret is written in URLs, JSON, reprs and HTTP headers."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    raw = secret.encode("utf-8", "surrogatepass")
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        escaped = json.dumps(value)[1:-1]
        if escaped != value:
            yield escaped
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _without_runs(text: str, private: str) -> str:
    """Mask what the text has in common with the private one, also where a message clips or cuts it.

    A run of ten characters counts as common (four where a character may be a word); a private text
    that is shorter counts as a whole, unless it is too short to be told from ordinary text.
    """
    run, least = (10, 4) if private.isascii() else (4, 2)
    size = min(run, len(private))
    if size < least or len(text) < size:
        return text
    runs = {private[i : i + size] for i in range(len(private) - size + 1)}
    parts: list[str] = []
    start = i = 0
    while i <= len(text) - size:
        if text[i : i + size] not in runs:
            i += 1
            continue
        end = i + size
        while end < len(text) and text[end - size + 1 : end + 1] in runs:
            end += 1
        parts += text[start:i], MASK
        start = i = end
    return "".join([*parts, text[start:]])
