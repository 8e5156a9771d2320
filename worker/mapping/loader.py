"""Reads a mapping from TOML, and says what cannot be right by its table and field."""

from __future__ import annotations

from collections.abc import Mapping as Document
from pathlib import Path
from typing import Any

from worker.mapping.mapping import Mapping


def load(path: str | Path) -> Mapping:
    """The mapping of a TOML file, or a ready one by its name ("shopify").

    Top-level tables other than [mapping] and [[job]] are left to others.

    Raises:
        MappingError: it cannot be read, or cannot be right; names table and field.
    """
    raise NotImplementedError


def from_document(document: Document[str, Any], source: str) -> Mapping:
    """The same of TOML that was read already; `source` is its name in messages."""
    raise NotImplementedError


def ready_names() -> list[str]:
    """The names of the mappings that ship with the package."""
    raise NotImplementedError
