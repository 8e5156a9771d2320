"""Known workflows in a mapping: a misspelt name, or field, is told before any product is read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.declared import ANY_VERSION
from tasks.workflows import KnownWorkflow, known

Fault = tuple[str, str]
"""The field of the [[job]] table, and what is wrong with it."""


def faults_of(workflow: str, version: str, algo_input: Mapping[str, Any]) -> Iterator[Fault]:
    """What cannot be right of a [[job]] table, as far as it says so by itself and not by templates.

    Args:
        workflow, version: as the table has them.
        algo_input: its [job.input].

    Raises:
        SettingsError: a ValueError, naming what is wrong with AIGC_WORKFLOWS_FILE.
    """
    if not workflow or _is_template(workflow):
        return
    entries = known()
    if not (named := {each.version: each for each in entries if each.name == workflow}):
        near = _near(workflow, {each.name for each in entries})
        ways = "declare it in AIGC_WORKFLOWS_FILE, or set unlisted = true"
        yield "workflow", f"{workflow[:60]!r} is not known here{near}; to send it, {ways}"
    elif not _is_template(version):
        if (entry := named.get(version) or named.get(ANY_VERSION)) is not None:
            yield from _of_fields(entry, algo_input)
        else:
            yield "version", f"must be one of {', '.join(named)} for {workflow}, got {version[:60]!r}"


def _of_fields(entry: KnownWorkflow, algo_input: Mapping[str, Any]) -> Iterator[Fault]:
    schema = entry.schema
    fields, required = schema.get("properties", {}), schema.get("required", ())
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        for name in algo_input:
            if name not in fields:
                hint = _near(name, fields) or f"; it takes {', '.join(fields)}"
                yield f"input.{name}", f"{entry.name} has no such field{hint}"
    if missing := [name for name in required if name not in algo_input]:
        yield "input", f"{', '.join(missing)} is missing, which {entry.name} needs"


def _near(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _is_template(text: str) -> bool:
    return "{" in text
