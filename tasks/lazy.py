"""An iterator that says so where it is dropped before anybody asked it for an item."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


class WarnsUnasked(Iterator[T]):
    """The items of a generator that does its work as it is asked for them.

    Args:
        items: not started yet.
        message: of the RuntimeWarning where it never is, which names the line that drops this.
    """

    def __init__(self, items: Generator[T, None, None], message: str) -> None:
        self._items, self._message = items, message
        self._asked = False

    def __next__(self) -> T:
        self._asked = True
        return next(self._items)

    def close(self) -> None:
        """End the generator, on purpose."""
        self._asked = True
        self._items.close()

    def __del__(self) -> None:
        if not self._asked:
            warnings.warn(self._message, RuntimeWarning, stacklevel=2)
