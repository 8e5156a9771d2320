"""Tables for people: they fit the terminal, have a header, and colour where a terminal has it.

What does not fit beside the columns goes on below its row, indented. Nothing is cut off: ids get copied.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import click

from worker.config.settings import colours_from_environ

GAP: Final = 2
_INDENT: Final = 2
NARROWEST: Final = 20
_ENDLESS: Final = 1_000_000


class Column(NamedTuple):
    """A column's title and its width, in a terminal's cells; a longer value takes a line of its own."""

    title: str
    width: int


class Cell(NamedTuple):
    """A value and its colour, as click calls it."""

    text: str
    colour: str | None = None


STATUS_COLOURS: Final = {
    "submitted": "green", "rejected": "red", "exhausted": "yellow", "unknown": "magenta",
    "succeeded": "green", "failed": "red", "lost": "magenta",
}  # fmt: skip


class Table:
    """Prints rows as they come, on standard output; on a terminal after a header."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self.on_terminal = sys.stdout.isatty()
        # A row stays one line in a pipe, for grep.
        self._width = shutil.get_terminal_size().columns if self.on_terminal else _ENDLESS
        self._headed = not self.on_terminal

    def row(self, *cells: Cell | str, rest: str = "") -> None:
        """Print a value for each column, and what else there is to say."""
        if not self._headed:
            self._headed = True
            titles = [Cell(column.title, "bright_black") for column in self._columns]
            self._print(titles, "")
        self._print([cell if isinstance(cell, Cell) else Cell(cell) for cell in cells], rest)

    def end(self, nothing: str) -> None:
        """After the last row: on a terminal a table without any says so, beside the output."""
        if not self._headed:
            click.echo(nothing, err=True)

    def _print(self, cells: Sequence[Cell], rest: str) -> None:
        for line in laid_out(self._columns, cells, rest, self._width):
            click.echo("".join(_styled(cell) for cell in line).rstrip(" "), color=self.on_terminal)


def laid_out(columns: Sequence[Column], cells: Sequence[Cell], rest: str, width: int) -> Iterator[list[Cell]]:
    """The lines of a row, none longer than `width` cells; below 20 no longer than that. Pure."""
    width = max(width, NARROWEST)
    line, used, start = list[Cell](), 0, 0
    for column, cell in zip(columns, cells, strict=True):
        start = min(start, width - NARROWEST // 2)
        for part in wrapped(safe(cell.text), width - start):
            if used and used + GAP > start:
                yield line
                line, used = [], 0
            line += [Cell(" " * (start - used)), cell._replace(text=part)]
            used = start + cells_of(part)
        start += column.width + GAP
    rest, at = safe(rest), max(start, used + GAP)
    if rest and at + cells_of(rest) <= width:
        yield [*line, Cell(" " * (at - used)), Cell(rest)]
        return
    yield line
    yield from ([Cell(" " * _INDENT + part)] for part in wrapped(rest, width - _INDENT) if part)


def has_colour() -> bool:
    """Whether standard output is a terminal with colours, and nobody asked for none."""
    return sys.stdout.isatty() and colours_from_environ()


def cells_of(text: str) -> int:
    """How many of a terminal's cells a text takes: Chinese characters take two."""
    return sum(_cells_of_character(char) for char in text)


def safe(text: str) -> str:
    """Text of strangers on one line, that cannot move the terminal's cursor."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _styled(cell: Cell) -> str:
    return click.style(cell.text, fg=cell.colour) if cell.colour and has_colour() else cell.text


def _cells_of_character(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrapped(text: str, width: int) -> Iterator[str]:
    """The text in parts of at most so many cells, parted at spaces where it has them."""
    while cells_of(text) > width:
        end = _fitting(text, width)
        if (space := text.rfind(" ", 1, end + 1)) > 0:
            end = space
        yield text[:end]
        text = text[end:].lstrip(" ")
    yield text


def _fitting(text: str, width: int) -> int:
    """How many characters at its beginning take at most so many cells; one at least."""
    used = 0
    for count, char in enumerate(text):
        used += _cells_of_character(char)
        if used > width:
            return max(1, count)
    return len(text)
