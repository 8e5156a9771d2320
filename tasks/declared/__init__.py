"""Workflows that a file declares (`AIGC_WORKFLOWS_FILE`): which there are, and what their input must be.

A workflow of the vendor's page is built in, `tasks.payload` has it. The file adds others, or replaces these,
by a name and a version: a JSON Schema of `algoInput` each. jsonschema is imported with the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ANY_VERSION: Final = "*"
"""In the place of a version: all that have no entry of their own."""

Fault = tuple[str, str]
"""The path of a field, such as "algoInput.seed", and what must stand there."""


@dataclass(frozen=True, slots=True)
class DeclaredWorkflow:
    """One entry of the file.

    `version` is exact or "*". `schema` is the JSON Schema of algoInput. `faults` gives what is wrong with an
    algoInput, nothing where it fits; `images` gives the fields of it that are images: path, URL.
    """

    name: str
    version: str
    description: str
    schema: dict[str, Any] = field(hash=False)
    faults: Callable[[dict[str, Any]], list[Fault]] = field(repr=False, compare=False)
    images: Callable[[dict[str, Any]], Iterator[tuple[str, str]]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Declared:
    """All entries of a file, by name and version; `digest` tells two files apart that say other things."""

    entries: Mapping[tuple[str, str], DeclaredWorkflow] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    digest: str = ""

    def __bool__(self) -> bool:
        return bool(self.entries)

    def find(self, name: object, version: object) -> DeclaredWorkflow | None:
        """The entry for a payload's workflow and version, whatever stands there; None where it has none."""
        if not (isinstance(name, str) and isinstance(version, str) and name in self.names):
            return None
        return self.entries.get((name, version)) or self.entries.get((name, ANY_VERSION))

    def versions(self, name: str) -> list[str]:
        """The versions that the file declares of a workflow."""
        return [version for known, version in self.entries if known == name]


NONE: Final = Declared()
"""Without a file."""
