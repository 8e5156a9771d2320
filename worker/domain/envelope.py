"""What a body says: the vendor's envelope where it is one, and else what can still be read out of it.

Two readings. The strict one takes only what cannot be misread. The lenient one looks for signs of a
purchase in any text: truncated, wrapped, contradictory, in another encoding. It is only ever used to hold
a job instead of sending it again or giving it up, so it may err on that side.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

EXCERPT_MAX_CHARS: Final = 500
_BEFORE_TASK_CHARS: Final = 150
"""How much of what stands before a task id an excerpt shows that had to skip the body's beginning."""

_OPENS: Final = r"[\"']"
_QUOTE: Final = r"\\*+[\"']"  # with backslashes: JSON may be quoted within JSON
_SAYS_YES: Final = re.compile(
    # Any value but what begins like false, no, null, 0 or an empty text: some write booleans as texts.
    rf"{_OPENS}success{_QUOTE}\s*+:\s*+(?:{_QUOTE})?+\s*+(?![fn0\"'\\,}}\]])\S",
    re.I,
)
_NAMES_TASK: Final = re.compile(
    rf"{_OPENS}(?:model|task_?id){_QUOTE}\s*+:\s*+"
    rf"(?:{_QUOTE}(?!{_QUOTE})|(?!null|none|false)[^\s\"'\\])",
    re.I,
)
_TASK_ID: Final = re.compile(
    rf"{_OPENS}(?:model|task_?id){_QUOTE}\s*+:\s*+"
    rf"(?:{_QUOTE}([^\s\"'\\\[\]]++){_QUOTE}|([0-9]++)(?![.e]))",
    re.I,
)


def envelope_of(body: bytes) -> dict[str, Any] | None:
    """The vendor's answer, or None where the body is not surely one.

    A truncated body needs no care of its own: no proper prefix of a JSON object is a JSON object.
    """
    try:
        answer = _decoder.decode(body.decode().lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        return None
    # Of a refusal the code decides, so it has to be one. An acceptance is one whatever stands beside it.
    return answer if answer["success"] or isinstance(answer.get("errorCode"), str | None) else None


def holds_task(envelope: dict[str, Any]) -> bool:
    """Whether an envelope names a task, in whatever type: anything but null, false and an empty text."""
    named = (envelope.get(name) for name in ("model", "taskId", "task_id"))
    return any(not (value is None or value is False or value == "") for value in named)


def may_tell_a_purchase(body: bytes) -> bool:
    """Whether a body that is no envelope says that something succeeded, or names a task."""
    text = _text(body).replace("\0", "")
    return _SAYS_YES.search(text) is not None or _NAMES_TASK.search(text) is not None


def task_id_in(text: str) -> str | None:
    """What looks like the id of a task in an excerpt, for people to judge."""
    found = _TASK_ID.search(text)
    return None if found is None else found[1] or found[2]


def excerpt_of(body: bytes) -> str | None:
    """The telling part of a body, bounded and printable; None where there is no body.

    That is its beginning, unless a task is named behind that.
    """
    if not body:
        return None
    text = _text(body).strip()
    named = _NAMES_TASK.search(text)
    if named is not None and named.end() > EXCERPT_MAX_CHARS - _BEFORE_TASK_CHARS:
        text = "…" + text[max(0, named.start() - _BEFORE_TASK_CHARS) :]
    shown = "".join(map(_visible, text[:EXCERPT_MAX_CHARS]))
    return shown[:EXCERPT_MAX_CHARS] or " "


def printable(text: str, limit: int) -> str:
    """At most ``limit`` characters that UTF-8 can carry: JSON may escape lone surrogates."""
    return text[:limit].encode("utf-8", "replace").decode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, unless it says two things under one name: parsers differ in which of them they believe."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for name, value in pairs:
            if type(value) is not type(found[name]) or value != found[name]:
                raise ValueError(f"two values of {name!r}")
    return found


_decoder: Final = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_unambiguous)


def _text(body: bytes) -> str:
    """The body as text, whatever it is encoded in; what cannot be read is replaced."""
    if body.count(0) * 3 >= len(body):
        body = body.replace(b"\0", b"")  # UTF-16 or UTF-32, with or without its mark
    return body.decode(errors="replace").lstrip("\ufeff\ufffd")


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else f"\\u{ord(char):04x}"
