"""JMESPath over what a mapping knows of a product: compiled once, with its roots checked. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any, Final

import jmespath
from jmespath import exceptions, functions

from worker.mapping.urls import split_urls

EXPRESSION_MAX_CHARS: Final = 2000

_OF_FIRST: Final = frozenset(
    {
        "subexpression", "index_expression", "projection", "filter_projection", "value_projection",
        "flatten", "pipe",
    }
)  # fmt: skip
"""Kinds of node whose later children are about what the first one gave."""


class _Functions(functions.Functions):
    @functions.signature({"types": ["string", "null"]})
    def _func_split_urls(self, cell: str | None) -> list[str]:
        return split_urls(cell or "")


_FUNCTIONS: Final = _Functions()
_OPTIONS: Final = jmespath.Options(custom_functions=_FUNCTIONS)


class Path:
    """A JMESPath expression over a scope; its roots must be among the names of that.

    Raises ValueError where it cannot be right, in words that go after its field's name.
    """

    def __init__(self, expression: str, names: Collection[str]) -> None:
        if len(expression) > EXPRESSION_MAX_CHARS:
            raise ValueError(f"must be at most {EXPRESSION_MAX_CHARS} characters")
        try:
            self._compiled = jmespath.compile(expression)
        except exceptions.JMESPathError as error:
            raise ValueError(f"not JMESPath: {' '.join(str(error).split())[:300]}") from None
        for root in _roots(self._compiled.parsed):
            if root not in names:
                raise ValueError(unknown_name(root, names))
        for name in _called(self._compiled.parsed):
            if name not in _FUNCTIONS.FUNCTION_TABLE:
                near = difflib.get_close_matches(name, _FUNCTIONS.FUNCTION_TABLE, 1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"there is no function {name[:40]!r}{meant}")

    def __call__(self, scope: dict[str, Any]) -> Any:
        """What it finds, None where that is nothing; raises ValueError where a function refuses its input."""
        try:
            return self._compiled.search(scope, options=_OPTIONS)
        except (exceptions.JMESPathError, RecursionError) as error:
            raise ValueError(f"JMESPath: {' '.join(str(error).split())[:300]}") from None


def is_true(value: Any) -> bool:
    """As JMESPath has it: null, false, and what is empty are not; 0 is."""
    return not (value is None or value is False or (isinstance(value, str | list | dict) and not value))


def unknown_name(name: str, names: Collection[str]) -> str:
    """That there is no such name, and which one may be meant."""
    near = difflib.get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]}?" if near else f"did you mean product.{name}?"
    return f"there is no {name!r}, but {', '.join(names)}: {meant}"


def _roots(node: Any) -> Iterator[str]:
    """The fields of the scope that an expression begins at."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield node["value"]
    elif kind != "expref":
        for child in children[:1] if kind in _OF_FIRST else children:
            if isinstance(child, dict):
                yield from _roots(child)


def _called(node: Any) -> Iterator[str]:
    """The functions that an expression calls, wherever."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _called(child)
