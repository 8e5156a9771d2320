"""Rows of a table as products: what its header must be, and what a row must be. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from worker.domain.unreadable import Unreadable

__all__ = ["Header", "Row", "Unreadable", "undecodable"]

COLUMNS_MAX: Final = 2000

Row = tuple[str, "dict[str, str] | Unreadable"]
"""Its place, as "line 3" or "row 3", and its cells by their columns; or why it is no product."""

_URL: Final = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
"""Bytes that the encoding has no character for, as Python's surrogateescape puts them."""


class Header:
    """The columns of a table.

    Raises Unreadable where they cannot be told apart.
    """

    def __init__(self, place: str, cells: Sequence[str]) -> None:
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:
            names.pop()
        if len(names) > COLUMNS_MAX:
            raise Unreadable(f"{place}: has more than {COLUMNS_MAX} columns")
        self._names = names
        self.width = len(names)
        for problem in self._problems():
            raise Unreadable(f"{place}: {problem}")

    def _problems(self) -> Iterator[str]:
        where: dict[str, int] = {}
        for number, name in enumerate(self._names, 1):
            if _NO_TEXT.search(name):
                yield f"the header {undecodable(name)}"
            if _URL.match(name):
                yield f"the header is missing: column {number} is called {name[:40]!r}"
            if name and name in where:
                yield f"columns {where[name]} and {number} are both called {name!r}: rename one of them"
            where.setdefault(name, number)

    def product(self, cells: Sequence[str]) -> dict[str, str] | Unreadable:
        """The cells by their columns; columns without a name are left out."""
        if len(cells) < self.width or any(cell.strip() for cell in cells[self.width :]):
            words = f"has {len(cells)} cells, and the header {self.width}"
            return Unreadable(f"{words}: is a quote or a comma amiss?")
        found = {name: cell for name, cell in zip(self._names, cells, strict=False) if name}
        for name, cell in found.items():
            if _NO_TEXT.search(cell):
                return Unreadable(f"column {name[:40]!r} {undecodable(cell)}")
        return found


def undecodable(text: str) -> str:
    """That a text is not of its encoding, in words that go after what it is."""
    match = _NO_TEXT.search(text)
    assert match is not None
    byte = ord(match[0]) - 0xDC00
    return (
        f"has the byte {byte:#04x}, which is not of the file's encoding: save it as UTF-8, or say which one"
        " it is, as in --encoding cp1252 (Excel in the west) or --encoding gb18030 (Chinese)"
    )
