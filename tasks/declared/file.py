"""The file of declared workflows: TOML, a `[[workflow]]` table each, read once and judged as a whole."""

from __future__ import annotations

import hashlib
import json
import tomllib
from typing import Any, Final

from ..checks import NAME_RULE, clip, is_name
from . import ANY_VERSION, NONE, Declared, DeclaredWorkflow

FILE_MAX_BYTES: Final = 1024 * 1024

_FIELDS: Final = ("name", "version", "description", "algoInput")


def load(path: str) -> tuple[Declared, list[str]]:
    """The workflows of a file, and what is wrong with it: by file, table and field, a line each."""
    try:
        document = tomllib.loads(_text(path))
    except OSError as error:
        return NONE, [f"{path} must be a file that can be read: {error.strerror or error}"]
    except UnicodeDecodeError as error:
        return NONE, [f"{path} must be UTF-8 text: byte {error.start + 1} is none"]
    except tomllib.TOMLDecodeError as error:
        return NONE, [f"{path} must be TOML: {error}"]
    except (ValueError, RecursionError) as error:
        return NONE, [f"{path} must be a file of workflows: {error}"]
    declared, problems = _read(document)
    return (NONE if problems else declared), [f"{path}: {problem}" for problem in problems]


def _text(path: str) -> str:
    with open(path, "rb") as file:
        content = file.read(FILE_MAX_BYTES + 1)
    if len(content) > FILE_MAX_BYTES:
        raise ValueError(f"it has more than {FILE_MAX_BYTES} bytes")
    return content.decode()


def _read(document: dict[str, Any]) -> tuple[Declared, list[str]]:
    problems = [
        f"{clip(name)} is unknown: the file has [[workflow]] tables"
        for name in document.keys() - {"workflow"}
    ]
    tables = document.get("workflow")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        return NONE, [*problems, "workflow must be one or more [[workflow]] tables"]
    entries: dict[tuple[str, str], DeclaredWorkflow] = {}
    for number, table in enumerate(tables, 1):
        found = [f"[[workflow]] {number}{_called(table)}: {problem}" for problem in _problems(table)]
        problems += found
        if found:
            continue
        key = (table["name"], table["version"])
        if key in entries:
            problems.append(f"[[workflow]] {number}{_called(table)}: is there twice; keep one")
        entries[key] = _entry(table)
    names = frozenset(name for name, _ in entries)
    return Declared(entries, names, _digest(tables)), problems


def _called(table: dict[str, Any]) -> str:
    name, version = table.get("name"), table.get("version")
    shown = [str(each) for each in (name, version) if is_name(each)]
    return f" ({' '.join(shown)})" if shown else ""


def _problems(table: dict[str, Any]) -> list[str]:
    problems = [
        f"{clip(name)} is unknown: a workflow has {', '.join(_FIELDS)}" for name in table.keys() - {*_FIELDS}
    ]
    for name, more in (("name", ""), ("version", f', or "{ANY_VERSION}" for all others')):
        if not is_name(table.get(name)):
            problems.append(f"{name} must be {NAME_RULE}{more}, got {clip(table.get(name))}")
    if not isinstance(table.get("description", ""), str):
        problems.append(f"description must be a string, got {clip(table['description'])}")
    schema = table.get("algoInput")
    if not isinstance(schema, dict):
        return [*problems, f"algoInput must be a table, a JSON Schema, got {clip(schema)}"]
    from .checking import schema_faults

    return [*problems, *(f"{path} {words}" for path, words in schema_faults(schema))]


def _entry(table: dict[str, Any]) -> DeclaredWorkflow:
    from .checking import Checker
    from .images import Images

    schema, name = table["algoInput"], table["name"]
    return DeclaredWorkflow(
        name,
        table["version"],
        table.get("description", ""),
        schema,
        Checker(schema, name).faults,
        Images(schema).of,
    )


def _digest(tables: list[dict[str, Any]]) -> str:
    """Of what they say, however it is written."""
    said = sorted(json.dumps(table, sort_keys=True, default=str) for table in tables)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]
