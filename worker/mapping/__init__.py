"""From a shop's product to jobs, as a mapping in TOML says; docs/how-to/map-products.md."""

from __future__ import annotations

from worker.mapping.loader import from_document, load, ready_names
from worker.mapping.mapping import Mapping
from worker.mapping.values import NO_IMAGE, NOT_WANTED, MappedJob, MappedJobs, MappingError, Problem

__all__ = [
    "NOT_WANTED",
    "NO_IMAGE",
    "MappedJob",
    "MappedJobs",
    "Mapping",
    "MappingError",
    "Problem",
    "from_document",
    "load",
    "ready_names",
]
