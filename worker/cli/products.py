"""Products from a file: CSV, TSV, a spreadsheet, NDJSON or JSON, told apart by what they are."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, Literal

from worker.cli.file_kind import not_a_catalogue
from worker.cli.jobs import read
from worker.domain.unreadable import Unreadable
from worker.mapping.csv_rows import csv_rows
from worker.mapping.sheet_rows import sheet_rows

Kind = Literal["table", "sheet", "json"]
Found = tuple[str, "dict[str, Any] | ValueError"]
"""The place ("line 3", "row 3", "item 3"), and the product there or why there is none."""

_HEAD_BYTES: Final = 65_536
_BY_SUFFIX: Final[dict[str, Kind]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "table"),
    ".xlsx": "sheet",
    **dict.fromkeys((".json", ".ndjson", ".jsonl"), "json"),
}
_IN_WORDS: Final[dict[Kind, str]] = {
    "table": "CSV or other text",
    "sheet": "a spreadsheet (.xlsx)",
    "json": "JSON",
}


def products(file: BinaryIO, *, encoding: str | None = None, sheet: str | None = None) -> Iterator[Found]:
    """Each product of a file, in order; a place without one does not stop the rest.

    Args:
        encoding: of a CSV or TSV; by default UTF-8, or UTF-16 with its mark.
        sheet: which one of a spreadsheet; by default the first.

    Raises:
        Unreadable: of the whole, or of all from some place on.
    """
    buffered = _Peeking(file)
    kind = _kind(buffered.head, file.name)
    if encoding is not None and kind != "table":
        raise Unreadable(f"is {_IN_WORDS[kind]}: --encoding is for CSV")
    if sheet is not None and kind != "sheet":
        raise Unreadable(f"is {_IN_WORDS[kind]}: --sheet is for a spreadsheet")
    if kind == "table":
        yield from csv_rows(buffered.reader, encoding=encoding)
    elif kind == "sheet":
        yield from sheet_rows(buffered.seekable(), sheet=sheet)
    else:
        yield from _of_json(buffered.reader)


def _of_json(file: io.BufferedReader) -> Iterator[Found]:
    for place, value in read(file):
        match value:
            case {"products": [*items], **rest} if not rest:  # as Shopify's interface lists them
                yield from ((f"product {number}", _product(each)) for number, each in enumerate(items, 1))
            case {"product": {} as product, **rest} if not rest:
                yield place, product
            case _:
                yield place, _product(value)


def _product(value: Any) -> dict[str, Any] | ValueError:
    if isinstance(value, dict | ValueError):
        return value
    return Unreadable("must be a JSON object")


def _kind(head: bytes, name: str) -> Kind:
    """What a file is, by how it begins; raises Unreadable where it is nothing of ours, or not as its name."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not begin:
        raise Unreadable("is empty")
    if words := not_a_catalogue(begin):
        raise Unreadable(f"looks like {words}")
    kind: Kind = "table"
    if head.startswith(b"PK\x03\x04"):
        kind = "sheet"
    elif begin.startswith((b"{", b"[")):
        kind = "json"
    named = _BY_SUFFIX.get(os.path.splitext(name)[1].lower())
    if named not in (None, kind):
        words = f"is {_IN_WORDS[kind]} by its content, and its name is that of {_IN_WORDS[named]}"
        raise Unreadable(f"{words}: rename it, or save it as what its name says")
    return kind


class _Peeking:
    """A file of which the beginning was looked at, and which can be read from there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = file.read(_HEAD_BYTES)
        self._regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)

    @property
    def reader(self) -> io.BufferedReader:
        return io.BufferedReader(_Again(self.head, self._file), _HEAD_BYTES)

    def seekable(self) -> BinaryIO:
        """The file itself, or what came through a pipe in a temporary one."""
        if self._regular and self._file.tell() == len(self.head):
            self._file.seek(0)
            return self._file
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its rows are read
        copy.write(self.head)
        shutil.copyfileobj(self._file, copy)
        copy.seek(0)
        return copy


class _Again(io.RawIOBase):
    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._head or self._file.read(len(buffer))
        part, self._head = part[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
