"""Jinja2 templates over what a mapping knows of a product, held to what ends soon. Pure.

Product data is never read as a template. A template itself has expressions and {% if %} only: without loops,
calls and macros its work is bounded by its own length and that of the data, and every filter that could
multiply the two is bounded as well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from worker.mapping.filters import FILTERS, TESTS
from worker.mapping.paths import unknown_name

TEMPLATE_MAX_CHARS: Final = 20_000
TEXT_MAX_CHARS: Final = 300_000
"""More than any algoInput may hold; what it must be at most is for the workflow's own rules to say."""

_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name, nodes.Const),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Neg, nodes.Pos, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword),
)
_FAULTS: Final = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError)

_NULL: Final = "is null; write {{ … or 'something else' }}"
_FIELDS_MAX: Final = 500

Evaluate = Callable[[dict[str, Any]], Any]


class _NoField(StrictUndefined):
    """What a template names and the product has not."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        fields = (
            list(islice(filter(_is_text, self._undefined_obj), _FIELDS_MAX)) if self._is_of_object else []
        )
        near = difflib.get_close_matches(str(self._undefined_name)[:40], fields, 1)
        hint = f"did you mean {near[0]}?" if near else "| default('…') stands for what may be missing"
        return f"there is no {self._undefined_name!r}; {hint}"

    @property
    def _is_of_object(self) -> bool:
        return isinstance(self._undefined_obj, dict)


class _Environment(SandboxedEnvironment):
    intercepted_binops = frozenset({"*", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        # A dict's own methods would hide fields called items, values, count or copy.
        return self.getitem(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return False  # data has fields and items, which are no attributes

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator} is for numbers only")
        return super().call_binop(context, operator, left, right)


def compile_template(source: str, names: Collection[str]) -> Evaluate:
    """A template over a scope of these names: one {{ … }} and nothing else gives its value, of its type.

    What it gives raises ValueError where the product has not what it names, or null, or no text where text
    is made of it.

    Raises:
        ValueError: it cannot be right, in words that go after its field's name.
    """
    if "{" not in source:
        return lambda scope: source
    if len(source) > TEMPLATE_MAX_CHARS:
        raise ValueError(f"must be at most {TEMPLATE_MAX_CHARS} characters")
    try:
        tree = _ENVIRONMENT.parse(source)
        _check(tree, names)
        if (expression := _only_expression(tree, source)) is not None:
            found = _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)
            return _in_words(lambda scope: _value(found(**scope)))
        return _in_words(_ENVIRONMENT.from_string(source).render)
    except TemplateSyntaxError as error:
        where = f" (line {error.lineno})" if "\n" in source else ""
        raise ValueError(f"not a template: {error.message}{where}") from None
    except (TemplateError, RecursionError) as error:
        raise ValueError(f"not a template: {error}") from None


def _check(tree: nodes.Template, names: Collection[str]) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            kind = type(node).__name__.lower()
            hint = ": write a filter, as in {{ product.title | upper }}" if kind == "call" else ""
            raise ValueError(f"a template has {{{{ … }}}} and {{% if %}} only, no {kind}{hint}")
        if isinstance(node, nodes.Name) and node.name not in names:
            raise ValueError(unknown_name(node.name, names))


def _only_expression(tree: nodes.Template, source: str) -> str | None:
    """What stands between the braces of a template that is one {{ … }} and nothing else."""
    match tree.body:
        case [nodes.Output(nodes=[inner])] if not isinstance(inner, nodes.TemplateData):
            text = source.strip()
            # A comment beside it leaves no trace in the tree: that is text, then.
            if text.startswith("{{") and text.endswith("}}"):
                return re.sub(r"^[-+]|[-+]$", "", text[2:-2]).strip()
    return None


def _in_words(evaluate: Evaluate) -> Evaluate:
    def guarded(scope: dict[str, Any]) -> Any:
        try:
            found = evaluate(scope)
        except _FAULTS as error:
            raise ValueError(str(error)[:300] or type(error).__name__) from None
        if isinstance(found, str) and len(found) > TEXT_MAX_CHARS:
            raise ValueError(f"gives {len(found)} characters")
        return found

    return guarded


def _value(found: Any) -> Any:
    """What an expression gave; raises where that is nothing."""
    if isinstance(found, Undefined):
        found._fail_with_undefined_error()
    if found is None:
        raise ValueError(_NULL)
    return _plain(found)


def _plain(found: Any) -> Any:
    """In JSON's types: filters give iterators and tuples, too."""
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple | Iterator):
        return [_plain(value) for value in found]
    return found


def _in_text(found: Any) -> Any:
    """What may stand in the middle of a text: a list or an object would be Python's spelling of it."""
    if found is None:
        raise ValueError(_NULL)
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str | int | float | Undefined):
        raise ValueError("gives a list or an object, of which no text is made; | join(', ') makes one")
    return found


def _is_text(name: Any) -> bool:
    return isinstance(name, str)


_ENVIRONMENT: Final = _Environment(
    undefined=_NoField, finalize=_in_text, autoescape=False, keep_trailing_newline=True
)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = FILTERS
_ENVIRONMENT.tests = TESTS
_ENVIRONMENT.policies["truncate.leeway"] = 0  # truncate(500) means at most 500
