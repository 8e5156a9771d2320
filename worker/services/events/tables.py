"""Tables of a TOML file, read field by field; each fault names its table and field. Pure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from tasks.exceptions import AigcError

_KINDS: Final[Mapping[type, str]] = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}


class ConfigError(AigcError, ValueError):
    """A configuration that cannot be right: a line for each fault, with its table and field."""


class Table:
    """One table. What is wrong is added to `problems`; what is returned in its place must not be used then.

    Args:
        name: as it stands in the file.
        problems: of the whole file.
    """

    def __init__(self, name: str, given: Any, problems: list[str]) -> None:
        self.name, self._problems = name, problems
        self._known: list[str] = []
        self._given: Mapping[str, Any] = given if isinstance(given, dict) else {}
        if not isinstance(given, dict):
            problems.append(f"[{name}] must be a table")

    def __contains__(self, field: str) -> bool:
        return field in self._given

    def fault(self, field: str, must_be: str) -> None:
        """Note that a field must be something else."""
        self._problems.append(f"[{self.name}] {field} must be {must_be}")

    def text(self, field: str, default: str = "", *, needed: bool = False) -> str:
        found = self._of(field, str, default)
        if needed and not found:
            self.fault(field, "set")
        return str(found)

    def flag(self, field: str, default: bool) -> bool:
        return bool(self._of(field, bool, default))

    def seconds(self, field: str, default: float, *, most: float) -> float:
        """A number from 0 to `most`."""
        found = self._raw(field, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not (0 <= found <= most):
            self.fault(field, f"a number of seconds from 0 to {most:.0f}")
            return default
        return float(found) if math.isfinite(found) else default

    def choice(self, field: str, default: str, allowed: Sequence[str]) -> str:
        found = self._raw(field, default)
        if found not in allowed:
            self.fault(field, f"one of {', '.join(allowed)}")
            return default
        return str(found)

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts that are not empty; none where it is not there."""
        found = self._raw(field, [])
        if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
            self.fault(field, "a list of texts")
            return ()
        return tuple(found)

    def mapping(self, field: str) -> dict[str, Any]:
        return dict(self._of(field, dict, {}))

    def path(self, field: str, default: str) -> ParsedResult:
        """A JMESPath expression."""
        try:
            return jmespath.compile(self.text(field, default) or "@")
        except JMESPathError as error:
            first = str(error).partition("\n")[0]
            self.fault(field, f"a JMESPath expression: {first[:200]}")
            return jmespath.compile("@")

    def done(self) -> None:
        """Complain of what nobody asked for."""
        for field in self._given:
            if field not in self._known:
                near = difflib.get_close_matches(field, self._known, n=1)
                hint = f": did you mean {near[0]}?" if near else f": it has {', '.join(self._known)}"
                self._problems.append(f"[{self.name}] {field[:60]} is not known{hint}")

    def _raw(self, field: str, default: Any) -> Any:
        self._known.append(field)
        return self._given.get(field, default)

    def _of(self, field: str, kind: type, default: Any) -> Any:
        found = self._raw(field, default)
        if isinstance(found, kind):
            return found
        self.fault(field, _KINDS[kind])
        return default
