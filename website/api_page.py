"""docs/reference/api.md: signatures and docstrings of what producers and consumers import."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel

MODULES: Final = ("tasks", "tasks.results", "tasks.outputs", "tasks.batches", "tasks.testing")
"""Whose `__all__` is public; one that is not there yet is left out."""

HEAD: Final = """# Python interface

<!-- Written by ./dev docs from the docstrings; do not edit. -->

What there is at a glance: [the table](python.md). `aigc` is the same package as `tasks`, by another name.
"""
_SECTION: Final = re.compile(r"(Args|Raises|Yields|Returns|Attributes)(,[^:\n]*)?:$")


def page() -> str:
    """The whole page."""
    modules = [import_module(name) for name in MODULES if find_spec(name)]
    return HEAD + "".join(_module(module) for module in modules)


def _module(module: ModuleType) -> str:
    names = [name for name in getattr(module, "__all__", ()) if not _is_alias(getattr(module, name))]
    parts = [_entry(name, getattr(module, name)) for name in names]
    return "\n".join([f"\n## {module.__name__}\n", _prose(module.__doc__ or ""), *parts])


def _is_alias(thing: object) -> bool:
    return not (inspect.isclass(thing) or inspect.isroutine(thing))


def _entry(name: str, thing: Any) -> str:
    lines = [f"### {name}", ""]
    if not (inspect.isclass(thing) and issubclass(thing, BaseException)):
        lines += ["```text", _signature(name, thing), "```", ""]
    lines.append(_prose(_own_doc(thing)))
    lines += [
        f"- `{method}{_short(function)}`: {_first_sentence(function)}" for method, function in _methods(thing)
    ]
    return "\n".join(lines).rstrip() + "\n"


def _methods(thing: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that a class defines itself, with a docstring."""
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            function = getattr(thing, name) if isinstance(member, classmethod | staticmethod) else member
            if not name.startswith("_") and inspect.isroutine(function) and function.__doc__:
                yield name, function


def _own_doc(thing: Any) -> str:
    """Its docstring, unless that is the signature which dataclasses make up."""
    doc = thing.__doc__ or ""
    made_up = is_dataclass(thing) and doc.startswith(f"{getattr(thing, '__name__', '')}(")
    return "" if made_up else inspect.cleandoc(doc)


def _first_sentence(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _signature(name: str, thing: Any) -> str:
    """On one line where it fits, else with a line for each parameter."""
    parameters = _parameters(thing)
    returns = _annotation(_inspected(thing).return_annotation) if inspect.isroutine(thing) else ""
    end = f" -> {returns}" if returns else ""
    line = f"{name}({', '.join(parameters)}){end}"
    return (
        line
        if len(line) <= 96
        else "\n    ".join([f"{name}(", *(f"{each}," for each in parameters)]) + f"\n){end}"
    )


def _short(function: Callable[..., Any]) -> str:
    return f"({', '.join(each for each in _parameters(function) if each not in ('self', 'cls'))})"


def _parameters(thing: Any) -> list[str]:
    if inspect.isclass(thing) and issubclass(thing, BaseModel):
        return ["*", *(_field(name, field) for name, field in thing.model_fields.items())]
    shown, star = [], False
    for parameter in _inspected(thing).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        shown.append(_parameter(parameter))
    return shown


def _inspected(thing: Any) -> inspect.Signature:
    return inspect.signature(thing)


def _field(name: str, field: Any) -> str:
    default = "" if field.is_required() else f" = {field.default!r}"
    return f"{name}: {_annotation(field.annotation)}{default}"


def _parameter(parameter: inspect.Parameter) -> str:
    kind = parameter.kind
    stars = "*" if kind is parameter.VAR_POSITIONAL else "**" if kind is parameter.VAR_KEYWORD else ""
    annotation = _annotation(parameter.annotation)
    text = f"{stars}{parameter.name}" + (f": {annotation}" if annotation else "")
    if parameter.default is parameter.empty:
        return text
    default = "…" if "object at 0x" in repr(parameter.default) else repr(parameter.default)
    return f"{text} = {default}" if annotation else f"{text}={default}"


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _prose(doc: str) -> str:
    """A docstring as Markdown: its sections become headed lists, what is indented becomes a block."""
    paragraphs = re.split(r"\n{2,}", inspect.cleandoc(doc))
    return "\n\n".join(map(_paragraph, paragraphs)).replace("\n```\n\n```text\n", "\n\n").rstrip() + "\n"


def _paragraph(text: str) -> str:
    head, _, rest = text.partition("\n")
    if head in ("Returns:", "Yields:"):
        return f"**{head.rstrip(':')}**\n\n{textwrap.dedent(rest)}"
    if _SECTION.match(head):
        return f"**{head.rstrip(':')}**\n\n{_entries(rest)}"
    if text.startswith("    "):
        return f"```text\n{textwrap.dedent(text)}\n```"
    return text


def _entries(lines: str) -> str:
    """The list of a section: one entry begins on each line that is indented least."""
    text = textwrap.dedent(lines)
    return re.sub(
        r"^(?! )(?:([^:\n]+): )?", lambda name: f"- `{name[1]}`: " if name[1] else "- ", text, flags=re.M
    )
