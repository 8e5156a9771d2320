"""Rows of CSV and TSV, one at a time, however long the file."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from typing import Final

from worker.mapping.rows import Header, Row, Unreadable

LINE_MAX_CHARS: Final = 4_000_000
CELL_MAX_CHARS: Final = 1_000_000

_DELIMITERS: Final = ",;\t|"
_HINT: Final = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"[^"]*"')


def csv_rows(file: BufferedReader, *, encoding: str | None = None) -> Iterator[Row]:
    """Each row below the header, with the line of the file that it begins on.

    The delimiter is the one of comma, semicolon, tab and bar that the header has most of; or what Excel's
    first line "sep=…" says.

    Args:
        encoding: UTF-8 by default, or UTF-16 where the file begins with its mark.

    Raises:
        Unreadable: the whole is no table, or cannot be read on from some line.
    """
    lines = _Lines(file, encoding)
    try:
        yield from _rows(lines)
    except UnicodeError as error:  # UTF-16 has no way to go on
        raise Unreadable(f"line {lines.count + 1}: not of the file's encoding: {error}") from None


def _rows(lines: _Lines) -> Iterator[Row]:
    header: Header | None = None
    for place, cells in _records(lines):
        if isinstance(cells, Unreadable):
            if header is None:
                raise Unreadable(f"{place}: {cells}")
            yield place, cells
        elif header is None:
            header = Header(place, cells)
        else:
            yield place, header.product(cells)


def _records(lines: _Lines) -> Iterator[tuple[str, list[str] | Unreadable]]:
    """Each record that is not blank, by the line that it begins on."""
    first = next(lines, "")
    if hint := _HINT.fullmatch(first):
        delimiter = hint[1]
    else:
        delimiter = _delimiter(first)
        lines.put_back(first)
    csv.field_size_limit(CELL_MAX_CHARS)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        place = f"line {lines.count + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield place, _in_words(place, error)
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield place, cells


def _in_words(place: str, error: csv.Error) -> Unreadable:
    words = str(error)
    if "field larger" in words:
        # What comes next would be read from the middle of a cell.
        raise Unreadable(
            f"{place}: a cell of more than {CELL_MAX_CHARS} characters: is a quote never closed?"
        )
    if "unexpected end" in words:
        return Unreadable("a quote is never closed: what follows, up to the end of the file, was not read")
    return Unreadable(f"a quote within a cell must be doubled, and the cell be quoted ({words})")


def _delimiter(header: str) -> str:
    bare = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=bare.count)


class _Lines:
    """Lines of text, counted as an editor does; bounded in length."""

    def __init__(self, file: BufferedReader, encoding: str | None) -> None:
        begin = file.peek(4)[:4]
        if encoding is None:
            utf_16 = begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            encoding = "utf-16" if utf_16 else "utf-8-sig"
        errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
        try:
            self._text = TextIOWrapper(file, encoding, errors, newline="")
        except LookupError:
            words = "such as utf-8, utf-16, cp1252 or gb18030"
            raise Unreadable(f"--encoding: must be the name of one, {words}, not {encoding[:40]!r}") from None
        self._kept: str | None = None
        self.count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line, self._kept = (
            (self._kept, None) if self._kept else (self._text.readline(LINE_MAX_CHARS + 1), None)
        )
        if not line:
            raise StopIteration
        self.count += 1
        if len(line) > LINE_MAX_CHARS:
            raise Unreadable(f"line {self.count}: is longer than {LINE_MAX_CHARS} characters")
        return line

    def put_back(self, line: str) -> None:
        """Have the next call give this line, the last one, again."""
        self._kept = line
        self.count -= bool(line)
