"""Faults of a file's jobs, told to a person: each by its place, and the same one only so often. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

TOLD: Final = 10
"""How often the same fault is told."""

_KINDS_MAX: Final = 1000
_VALUES: Final = re.compile(r"""\d+|'[^']*'|"[^"]*\"""")


@dataclass(slots=True)
class _Kind:
    first: str
    message: str
    count: int = 0


class Faults:
    """What was wrong, and how often. Faults are the same if they differ in numbers and quoted values only."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def note(self, place: str, message: str) -> str | None:
        """The line to tell of a fault at this place; None where it has been told often enough."""
        name = _VALUES.sub("?", message)
        if name not in self._kinds and len(self._kinds) >= _KINDS_MAX:
            name = "others"  # no end of kinds: from here on they are one
        kind = self._kinds.setdefault(name, _Kind(place, "others" if name == "others" else message))
        kind.count += 1
        return f"{place}: {message}" if kind.count <= TOLD else None

    def rest(self) -> list[str]:
        """A line for each fault that occurred more often than it was told."""
        return [
            f"{kind.count - TOLD:,} more as at {kind.first}: {kind.message}"
            for kind in self._kinds.values()
            if kind.count > TOLD
        ]
