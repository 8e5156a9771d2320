"""Declared workflows for tests, from schemas and from texts in TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.declared import Declared, DeclaredWorkflow
from tasks.declared.checking import Checker, schema_faults
from tasks.declared.file import load
from tasks.declared.images import Images

HEAD = """
[[workflow]]
name = "FLOW"
version = "1.0.0"

[workflow.algoInput]
"""

EXAMPLE = Path(__file__).parents[4] / "examples" / "workflows.toml"


def entry(schema: dict[str, Any]) -> DeclaredWorkflow:
    """A workflow FLOW with this schema, which must be a right one."""
    assert schema_faults(schema) == []
    return DeclaredWorkflow("FLOW", "1.0.0", "", schema, Checker(schema, "FLOW").faults, Images(schema).of)


def field(schema: dict[str, Any], value: Any) -> dict[str, str]:
    """What is wrong with the value of a field `x` that has this schema."""
    return dict(entry({"properties": {"x": schema}}).faults({"x": value}))


def read(folder: Path, text: str) -> tuple[Declared, list[str]]:
    """A file with this text: its workflows, and what is wrong with it, without the path."""
    path = folder / "workflows.toml"
    path.write_text(text)
    declared, problems = load(str(path))
    assert all(problem.startswith(str(path)) for problem in problems)
    return declared, [problem.removeprefix(str(path)).removeprefix(": ") for problem in problems]
