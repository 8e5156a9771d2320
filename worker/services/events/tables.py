"""Tables of EVENTS.toml, read as those of a mapping are. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from tasks.exceptions import AigcError
from worker.mapping.paths import Path
from worker.mapping.toml_table import Table


class ConfigError(AigcError, ValueError):
    """A configuration that cannot be right: a line for each fault, with its table and field."""


class SourceTable(Table):
    """One table of it, with kinds of fields that a mapping has not."""

    def __init__(self, name: str, raw: Any, faults: list[str]) -> None:
        super().__init__(f"[{name}]", raw, faults)
        self.key = name

    def __contains__(self, field: str) -> bool:
        return field in self._raw

    def has_table(self, field: str) -> bool:
        """Whether there is a table below this one of that name."""
        return isinstance(self._raw.get(field), dict)

    def seconds(self, field: str, default: float, *, most: float) -> float:
        """A number from 0 to `most`."""
        value = self._given(field, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and 0 <= value <= most:
            return float(value)
        self.fault(field, f"must be a number of seconds from 0 to {most:.0f}")
        return default

    def one_of(self, field: str, default: str, allowed: Collection[str]) -> str:
        """One of these."""
        value = self._given(field, default)
        if value in allowed:
            return str(value)
        self.fault(field, f"must be one of {', '.join(allowed)}")
        return default

    def some(self, field: str) -> tuple[str, ...]:
        """A list of strings that are not empty; it need not be there."""
        value = self._given(field, [])
        if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
            return tuple(value)
        self.fault(field, "must be a list of strings")
        return ()

    def expression(self, field: str, default: str, names: Collection[str]) -> Path:
        """A JMESPath expression over these names."""
        try:
            return Path(self.text(field, default), names)
        except ValueError as error:
            self.fault(field, str(error))
        return Path(default, names)

    def below(self, field: str) -> SourceTable:
        """The table of that name below this one."""
        return SourceTable(f"{self.key}.{field}", self.table(field), self.faults)

    def names(self) -> tuple[str, ...]:
        """What stands in it."""
        return tuple(self._raw)
