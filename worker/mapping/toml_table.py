"""One table of a mapping, read field by field; what is wrong is collected by table and field. Pure."""

from __future__ import annotations

import difflib
from typing import Any, Literal, overload

from worker.mapping.fields import SCOPE
from worker.mapping.paths import Path


class Table:
    """Reads one field at a time; what cannot be right adds a line to `faults`, and gives the default.

    `finish` says which fields nobody asked for.
    """

    def __init__(self, name: str, raw: Any, faults: list[str]) -> None:
        self.name = name
        self.faults = faults
        self._asked: set[str] = set()
        self._raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            faults.append(f"{name}: must be a table")

    def fault(self, field: str, reason: str) -> None:
        """Note what is wrong with a field."""
        self.faults.append(f"{self.name}: {field}: {reason}")

    def finish(self) -> None:
        """Note the fields that there are none of."""
        for name in self._raw.keys() - self._asked:
            near = difflib.get_close_matches(str(name), self._asked, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(self._asked))}"
            self.fault(str(name), f"no such field; {hint}")

    def text(self, field: str, default: str) -> str:
        """A string that is not empty."""
        value = self._given(field, default)
        if value is default or (isinstance(value, str) and value):
            return str(value)
        self.fault(field, "must be a string that is not empty")
        return default

    def required(self, field: str, hint: str) -> str:
        """A string that is not empty, and has to be there; the hint goes after "is missing"."""
        if field in self._raw:
            return self.text(field, "")
        self._asked.add(field)
        self.fault(field, f"is missing: {hint}")
        return ""

    def texts(self, field: str, default: list[str]) -> list[str]:
        """A list of strings, at least one."""
        value = self._given(field, default)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return value
        self.fault(field, "must be a list of strings")
        return default

    def flag(self, field: str, default: bool) -> bool:
        """true or false."""
        value = self._given(field, default)
        if isinstance(value, bool):
            return value
        self.fault(field, "must be true or false")
        return default

    def choice(self, field: str, allowed: tuple[str, ...]) -> str:
        """One of these; the first where none is given."""
        value = self._given(field, allowed[0])
        if value in allowed:
            return str(value)
        self.fault(field, f"must be one of {', '.join(allowed)}")
        return allowed[0]

    def table(self, field: str) -> dict[str, Any]:
        """A table below this one; empty where there is none."""
        value = self._given(field, {})
        if isinstance(value, dict):
            return value
        self.fault(field, "must be a table")
        return {}

    @overload
    def path(self, field: str, default: str) -> Path: ...
    @overload
    def path(self, field: str, default: Literal[None]) -> Path | None: ...
    def path(self, field: str, default: str | None) -> Path | None:
        """A JMESPath expression."""
        text = self.text(field, default or "")
        try:
            return Path(text, SCOPE) if text else None
        except ValueError as error:
            self.fault(field, str(error))
        return Path(default, SCOPE) if default else None

    def _given(self, field: str, default: Any) -> Any:
        self._asked.add(field)
        return self._raw.get(field, default)
