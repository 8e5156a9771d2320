"""Reads a mapping from TOML, and says what cannot be right by its table and field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as Document
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from tasks.options import DEDUPE_MAX_S
from worker.domain.wording import seconds_of
from worker.mapping import paths
from worker.mapping.fields import Fields, compile_fields
from worker.mapping.items import NAMES, Each
from worker.mapping.known import faults_of
from worker.mapping.mapping import JobRule, Mapping
from worker.mapping.purchase import ALL_PARTS, WINDOW_S, Purchase, digest
from worker.mapping.toml_table import Table
from worker.mapping.values import MappingError

FILE_MAX_BYTES: Final = 1_000_000
JOBS_MAX: Final = 50

_READY: Final = files("worker.mapping") / "ready"
_PRODUCT: Final = "product.id"
_IMAGES: Final = "product.images"
_VARIANTS: Final = "product.variants"


def ready_names() -> list[str]:
    """The names of the mappings that ship with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _READY.iterdir() if file.name.endswith(".toml"))


def text_of(path: str | Path) -> str:
    """The TOML of a file, or of a ready mapping by its name. Raises MappingError."""
    name = str(path)
    try:
        if name in ready_names():
            return (_READY / f"{name}.toml").read_text("utf-8")
        with open(path, "rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        ready = ", ".join(ready_names())
        raise MappingError(f"{name}: {error.strerror}; ready mappings: {ready}") from None
    if len(content) > FILE_MAX_BYTES:
        raise MappingError(f"{name}: is larger than {FILE_MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MappingError(f"{name}: not UTF-8 at byte {error.start + 1}") from None


def load(path: str | Path) -> Mapping:
    """The mapping of a TOML file, or a ready one by its name ("shopify").

    Top-level tables other than [mapping] and [[job]] are left to others.

    Raises:
        MappingError: it cannot be read, or cannot be right; names table and field.
    """
    text = text_of(path)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MappingError(f"{path}: not TOML: {error}") from None
    return from_document(document, str(path))


def from_document(document: Document[str, Any], source: str) -> Mapping:
    """The same of TOML that was read already; `source` is its name in messages."""
    faults: list[str] = []
    top = Table("[mapping]", document.get("mapping", {}), faults)
    shop = top.text("shop", "")
    product = top.path("product", _PRODUCT)
    images, variants = top.path("images", _IMAGES), top.path("variants", _VARIANTS)
    top.finish()
    rules = []
    for number, raw in enumerate(_job_tables(document, faults), 1):
        table = Table(f"[[job]] {number}", raw, faults)
        rules.append(_rule(table, number, images, variants))
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults += [f"[[job]]: name: {name!r} is given twice" for name in twice]
    if faults:
        raise MappingError("\n".join(f"{source}: {fault}" for fault in faults))
    return Mapping(shop, product, tuple(rules))


def _job_tables(document: Document[str, Any], faults: list[str]) -> list[Any]:
    jobs = document.get("job")
    if isinstance(jobs, list) and 0 < len(jobs) <= JOBS_MAX:
        return jobs
    if jobs is None:
        near = next((name for name in document if name.lower().startswith("job")), None)
        faults.append(f"[[job]]: is missing{f'; there is {near!r}' if near else ''}: each says what to make")
    else:
        faults.append(f"[[job]]: must be 1 to {JOBS_MAX} tables, each under a line [[job]]")
    return []


def _rule(table: Table, number: int, images: paths.Path, variants: paths.Path) -> JobRule:
    name = table.text("name", "") or str(number)
    each = table.required("each", f"{', '.join(NAMES)}, or JMESPath such as product.images[0]")
    named, raw_input = _named(table), table.table("input")
    rule = JobRule(
        name=name,
        each=Each(each if each in NAMES else table.path("each", _PRODUCT), images, variants),
        when=table.path("when", None),
        workflow=_fields(table, "", named),
        unlisted=table.flag("unlisted", False),
        image_required=table.choice("without_image", ("skip", "problem")) == "problem",
        input=_fields(table, "input", raw_input),
        template=digest(raw_input),
        metadata=_fields(table, "metadata", table.table("metadata")),
        purchase=_purchase(table),
    )
    if not raw_input:
        table.fault("input", "is missing: the algoInput, as fields of [job.input]")
    elif not rule.unlisted:
        for field, reason in faults_of(named["workflow"], named["version"], raw_input):
            table.fault(field, reason)
    table.finish()
    return rule


def _named(table: Table) -> dict[str, Any]:
    """Workflow and version, which may be templates, too."""
    workflow = table.required("workflow", "such as IMAGE2VIDEO")
    return {"workflow": workflow, "version": table.text("version", "1.0.0")}


def _fields(table: Table, name: str, raw: dict[str, Any]) -> Fields:
    found: list[tuple[str, str]] = []
    fields = compile_fields(raw, found)
    for field, reason in found:
        table.fault(".".join(filter(None, (name, field))), reason)
    return fields


def _purchase(table: Table) -> Purchase:
    raw = table.table("purchase")
    below = Table(f"{table.name} purchase", raw, table.faults)
    parts = below.texts("key", list(Purchase().parts))
    if unknown := [part for part in parts if part not in ALL_PARTS]:
        below.fault("key", f"{unknown[0]!r} is none of {', '.join(ALL_PARTS)}")
    if "workflow" not in parts:
        below.fault("key", "must have workflow: else two workflows of one picture are one purchase")
    window = below.text("window", f"{WINDOW_S}s")
    below.finish()
    seconds = seconds_of(window) or 0
    if not 0 < seconds <= DEDUPE_MAX_S:
        below.fault("window", 'must be a time of at most ten years, such as "90d", "12h", "30m" or "10s"')
    # Without one, a catalogue of each night would buy all of itself again a year after its first.
    return Purchase(tuple(dict.fromkeys(parts)), float(seconds), renews="window" not in raw)
