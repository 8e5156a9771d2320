"""Fields of a job as a mapping writes them: templates, paths and plain values, compiled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from worker.mapping.paths import Path
from worker.mapping.templates import Evaluate, compile_template

SCOPE: Final = ("product", "item", "image", "number", "shop", "event")
"""The names that expressions and templates begin with."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one table, each to be evaluated over a scope."""

    evaluate: dict[str, Evaluate]

    def __call__(self, scope: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The values by name; and of those that have none, name and reason."""
        values: dict[str, Any] = {}
        faults: list[tuple[str, str]] = []
        for name, evaluate in self.evaluate.items():
            try:
                values[name] = evaluate(scope)
            except ValueError as error:
                faults.append((name, str(error)))
        return values, faults


def compile_fields(table: Mapping[str, Any], faults: list[tuple[str, str]]) -> Fields:
    """All fields of a table; what cannot be right goes into `faults`, as name and reason."""
    compiled = {}
    for name, raw in table.items():
        try:
            compiled[name] = _field(raw)
        except ValueError as error:
            faults.append((name, str(error)))
    return Fields(compiled)


def _field(raw: Any) -> Evaluate:
    """A string is a template; {path = "…", default = …} is JMESPath, and any other table an object of fields.

    Raises ValueError, in words that go after the field's name.
    """
    if isinstance(raw, str):
        return compile_template(raw, SCOPE)
    if isinstance(raw, list):
        return _together({str(index): _field(each) for index, each in enumerate(raw)}, as_list=True)
    if isinstance(raw, dict):
        if "path" in raw and raw.keys() <= {"path", "default"}:
            return _path(raw["path"], raw.get("default"))
        return _together({name: _field(each) for name, each in raw.items()}, as_list=False)
    if isinstance(raw, date | time):
        raise ValueError("is a date or a time, which JSON has not: put it into quotes")
    return lambda scope: raw


def _path(expression: Any, default: Any) -> Evaluate:
    if not isinstance(expression, str):
        raise ValueError("path: must be a string")
    find = Path(expression, SCOPE)

    def evaluate(scope: dict[str, Any]) -> Any:
        found = find(scope)
        if found is None and default is None:
            raise ValueError(f"the path {expression} finds nothing, and there is no default")
        return default if found is None else found

    return evaluate


def _together(parts: dict[str, Evaluate], *, as_list: bool) -> Evaluate:
    def evaluate(scope: dict[str, Any]) -> Any:
        values = {}
        for name, part in parts.items():
            try:
                values[name] = part(scope)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return list(values.values()) if as_list else values

    return evaluate


def texts(value: Any) -> Iterator[str]:
    """All strings within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
