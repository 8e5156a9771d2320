"""The name of a finished file in a store, as a template says. Pure.

Whatever values of strangers are put in, a name is relative, stays below the store's root, has no control
character, and is short enough for file systems and object stores.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FIELDS: Final = ("date", "job_id", "task_id", "workflow", "version", "ext")
DEFAULT: Final = "{date}/{job_id}.{ext}"

_METADATA: Final = "metadata."
_TELLING: Final = ("job_id", "task_id")
"""The fields that tell one file from another, beside metadata."""

_NOT_SAFE: Final = frozenset('/\\:*?"<>|[]{}%#~&\x7f')
"""What parts names, or means something to a file system, a URL, a shell or fsspec."""

_DOTS: Final = re.compile(r"\A\.+|\.+\Z|\.{2,}")

_ABSENT: Final = "none"
_PART_BYTES: Final = 160
_TASK_ID_BYTES: Final = 80
_TEMPLATE_CHARS: Final = 300
_PARTS_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class NameFields:
    """What a name is made of. ``date`` is a day such as 2026-11-22, ``ext`` without its dot."""

    date: str
    task_id: str
    job_id: str | None
    workflow: str | None
    version: str | None
    ext: str
    metadata: Mapping[str, object]


class NameTemplate:
    """A template such as ``{date}/{job_id}.{ext}``.

    Raises:
        ValueError: it cannot be right; the words go after "must be".
    """

    def __init__(self, text: str) -> None:
        self._parts = [_parsed(part) for part in _checked(text).split("/")]
        fields = {field for part in self._parts for _, field in part if field}
        if not any(field in _TELLING or field.startswith(_METADATA) for field in fields):
            raise ValueError("a template with {job_id}, {task_id} or {metadata.…}: else all have one name")

    def name(self, of: NameFields) -> str:
        """The name, parts separated by slashes."""
        return "/".join(_part(pieces, of) for pieces in self._parts)


def with_task_id(name: str, task_id: str) -> str:
    """The name that a file gets where another task's has its name already."""
    folder, slash, last = name.rpartition("/")
    stem, dot, ext = last.rpartition(".")
    if not stem:
        stem, dot, ext = last, "", ""
    return f"{folder}{slash}{stem}-{_short(_safe(task_id), _TASK_ID_BYTES)}{dot}{ext}"


def _checked(text: str) -> str:
    if len(text) > _TEMPLATE_CHARS or text.count("/") >= _PARTS_MOST:
        raise ValueError(f"at most {_TEMPLATE_CHARS} characters, with at most {_PARTS_MOST - 1} folders")
    if not text.isprintable() or "\\" in text:
        raise ValueError("text without control characters and backslashes")
    if ".." in text or any(not part or part.startswith(".") for part in text.split("/")):
        raise ValueError("a relative name, no part of which is empty, begins with a dot or has two in a row")
    return text


_Pieces = list[tuple[str, str | None]]
"""Literal text and the field behind it, as `string.Formatter` has them."""


def _parsed(part: str) -> _Pieces:
    try:
        pieces = list(string.Formatter().parse(part))
    except ValueError:
        raise ValueError("a template whose braces match") from None
    for _, field, spec, conversion in pieces:
        known = field is None or field in FIELDS or re.fullmatch(r"metadata\..+", field)
        if not known or spec or conversion:
            fields = ", ".join(f"{{{each}}}" for each in FIELDS)
            raise ValueError(f"a template of the fields {fields} and {{metadata.…}}, as they are")
    if any(_NOT_SAFE & set(literal) for literal, *_ in pieces):
        raise ValueError('text without : * ? " < > | [ ] { } % # ~ & beside its fields')
    return [(literal, field) for literal, field, _, _ in pieces]


def _part(pieces: _Pieces, of: NameFields) -> str:
    made = "".join(literal + ("" if field is None else _safe(_value(field, of))) for literal, field in pieces)
    return _short(made, _PART_BYTES)


def _value(field: str, of: NameFields) -> str:
    if field.startswith(_METADATA):
        return _text(_found(of.metadata, field.removeprefix(_METADATA)))
    if field == "job_id":
        return _text(of.job_id or of.task_id)
    return _text(getattr(of, field))


def _found(metadata: object, path: str) -> object:
    """A key of the metadata as it is written, else one within another."""
    if not isinstance(metadata, Mapping):
        return None
    if path in metadata:
        return metadata[path]
    first, dot, rest = path.partition(".")
    return _found(metadata.get(first), rest) if dot else None


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value).strip() or _ABSENT
        case _:
            return _ABSENT


def _safe(text: str) -> str:
    """The value with _ for what may not stand in a name; so are dots but for single ones within it."""
    safe = "".join("_" if char in _NOT_SAFE or not char.isprintable() else char for char in text)
    return _DOTS.sub(lambda found: "_" * len(found[0]), safe)


def _short(text: str, most_bytes: int) -> str:
    """The text in so many bytes; one that is longer ends in a digest of it, before its ending."""
    whole = text.encode()
    if len(whole) <= most_bytes:
        return text
    stem, dot, ext = text.rpartition(".")
    ending = f"{dot}{ext}" if stem and len(ext) <= 8 and ext.isascii() else ""
    digest = f"-{hashlib.sha256(whole).hexdigest()[:16]}{ending}"
    return whole[: most_bytes - len(digest)].decode(errors="ignore") + digest
