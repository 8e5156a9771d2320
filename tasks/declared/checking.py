"""An algoInput against its schema, by jsonschema, in a bounded number of steps and without any look-up.

The only module that imports jsonschema (0.1 s, which a program without declared workflows does not pay).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker, TypeChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from ..checks import check_json, clip
from ..exceptions import AigcError, InvalidPayload
from ..typed_json import typed_values
from . import Fault
from .formats import FORMATS
from .patterns import matches
from .schema import Schemas
from .words import Words

INPUT_MAX_BYTES: Final = 256 * 1024
STEPS_MOST: Final = 100_000
"""About the keywords applied to values in one check: half a second. An ordinary input takes some dozens."""

FAULTS_MOST: Final = 20
"""Faults that are told of one input."""


class TooManySteps(AigcError):
    """The check of this input would take too long."""


class _Budget(threading.local):
    left: int = STEPS_MOST


_budget: Final = _Budget()


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    """The same keyword, which counts how often it is applied."""

    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _budget.left -= 1 + _size(value) // 10 + _size(instance) // 1000
        if _budget.left < 0:
            raise TooManySteps
        return check(validator, value, instance, schema)

    return run


def _size(value: Any) -> int:
    """A long list of choices is compared one by one, and jsonschema writes a long value into its messages."""
    return len(value) if isinstance(value, list | dict | str) else 0


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError("")


def _format(validator: Any, name: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not FORMATS[name](instance):
        yield ValidationError("")


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # jsonschema's own compares each with each where they cannot be sorted.
    if wanted and isinstance(instance, list) and len({*map(_comparable, instance)}) < len(instance):
        yield ValidationError("")


def _comparable(value: Any) -> Any:
    """Hashable, and equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, list):
        return "array", tuple(map(_comparable, value))
    if isinstance(value, dict):
        return "object", frozenset((name, _comparable(each)) for name, each in value.items())
    return value


def _is_integer(checker: TypeChecker, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_OWN: Final = {"pattern": _pattern, "format": _format, "uniqueItems": _unique_items}
_Validator: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={name: _counted(run) for name, run in {**Draft202012Validator.VALIDATORS, **_OWN}.items()},
    # As for the built-in workflows: 1.0 is written as no integer, and is sent as it is written.
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_NOTHING_ELSE: Final[Registry[Any]] = Registry()
"""Without it jsonschema would fetch a reference that leads elsewhere."""


def schema_faults(schema: dict[str, Any]) -> list[Fault]:
    """What is wrong with a schema for algoInput; nothing where it can be used."""
    try:
        check_json(schema, "algoInput", most_bytes=INPUT_MAX_BYTES)
    except InvalidPayload as error:
        return list(error.errors)
    try:
        # Without formats: whether a pattern is right, another engine decides.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        return [(path, _of_type(error) or words) for path, words in Words({}, "a schema").of(error)]
    try:
        faults = list(Schemas(schema).faults())
    except RecursionError:
        faults = [("algoInput", "must not lead through so many references, one after the other")]
    if faults:
        return faults[:FAULTS_MOST]
    if schema.get("type", "object") != "object":
        return [("algoInput.type", "must be object: an algoInput is one")]
    return []


def _of_type(error: SchemaError) -> str | None:
    """What `type` must be: the metaschema says that by a reference of its own."""
    if error.validator != "anyOf" or list(error.absolute_path)[-1:] != ["type"]:
        return None
    return f"must be one of {', '.join(_TYPES)}, or an array of these, got {clip(error.instance)}"


_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")


class Checker:
    """Whether an input fits a schema.

    Args:
        schema: one without `schema_faults`.
        name: the workflow's, for messages.
    """

    def __init__(self, schema: dict[str, Any], name: str) -> None:
        self._validator = _Validator(schema, registry=_NOTHING_ELSE)
        self._words = Words(schema, name)

    def faults(self, algo_input: dict[str, Any]) -> list[Fault]:
        """What is wrong with an algoInput, field by field; no long value is repeated in it."""
        try:
            check_json(algo_input, "algoInput", most_bytes=INPUT_MAX_BYTES)
        except InvalidPayload as error:
            return list(error.errors)
        if typed := list(typed_values(algo_input, "algoInput")):
            return typed
        _budget.left = STEPS_MOST
        try:
            errors = islice(self._validator.iter_errors(algo_input), FAULTS_MOST)
            found = dict(fault for error in errors for fault in self._words.of(error))
        except (TooManySteps, RecursionError, OverflowError):
            return [("algoInput", f"must be simpler: to check it takes more than {STEPS_MOST} steps")]
        return list(found.items())[:FAULTS_MOST]
