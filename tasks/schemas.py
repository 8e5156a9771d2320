"""JSON Schemas of what producers write and consumers read, generated from what checks it.

For users of other languages: `aigc schema NAME` prints one, docs/reference/schemas/ has them all. A value
class that is written as JSON states each field's type, limits and description in `Annotated`: `of_value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_type_hints
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from .batches.progress import EVENT_SCHEMA, BatchEvent
from .contract import JOB_ID_MAX_CHARS, METADATA_MAX_BYTES, NAME_MAX_CHARS, OUTPUT_SCHEMA, RESULT_SCHEMA
from .declared import ANY_VERSION
from .declared.schema import DIALECT
from .output import Output
from .result import Result
from .workflows import KnownWorkflow

__all__ = ["documents", "of_value"]

Schema = dict[str, Any]

_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": NAME_MAX_CHARS}


def documents(known: Iterable[KnownWorkflow]) -> dict[str, Schema]:
    """All schemas by name: "result", "output", "batch-event", "job", "payload", each workflow's by its own.

    Args:
        known: the workflows that payloads may name, as `tasks.workflows.known` gives them.
    """
    by_name: dict[str, list[KnownWorkflow]] = {}
    for workflow in known:
        by_name.setdefault(workflow.name, []).append(workflow)
    payloads = {name: _payload_of(entries) for name, entries in by_name.items()}
    definitions = {_definition(name): payload for name, payload in payloads.items()}
    bodies = {
        "result": _result(),
        "output": _output(),
        "batch-event": _batch_event(),
        "job": {**_JOB, "$defs": {"payload": _payload(payloads), **definitions}},
        "payload": {**_payload(payloads), "$defs": definitions},
    }
    bodies |= {name: payload for name, payload in payloads.items() if name not in bodies}
    return {
        name: {
            "$schema": DIALECT,
            "$id": f"{quote(name, safe='')}.json",
            "title": _TITLES.get(name, name),
            **body,
        }
        for name, body in bodies.items()
    }


def of_value(cls: type, *, optional: Iterable[str] = (), constant: Mapping[str, Any] | None = None) -> Schema:
    """The schema of a value class in JSON: its fields in camel case. Others are allowed: later versions add.

    Args:
        cls: a dataclass whose fields are annotated `Annotated[type, pydantic.Field(description=…)]`.
        optional: fields that may be missing, by their names in JSON.
        constant: fields that have one value only.
    """
    hints = get_type_hints(cls, include_extras=True)
    names = sorted(hints, key=lambda name: name != "schema")  # it stands first in each message
    properties = {to_camel(name): _field(hints[name]) for name in names}
    for name, value in (constant or {}).items():
        properties[name] = {"description": properties[name]["description"], "const": value}
    required = [name for name in properties if name not in {*optional}]
    words = (cls.__doc__ or "").partition("\n")[0]
    return {"description": words, "type": "object", "required": required, "properties": properties}


def _field(hint: Any) -> Schema:
    schema = TypeAdapter(hint).json_schema()
    # Pydantic's way to say that it may be null.
    if all(each.keys() == {"type"} for each in schema.get("anyOf", ({},))):
        schema["type"] = [each["type"] for each in schema.pop("anyOf")]
    return schema


def _result() -> Schema:
    schema = of_value(
        Result, optional=["queue", "traceparent", "tracestate"], constant={"schema": RESULT_SCHEMA}
    )
    status = {"properties": {"status": {"const": "submitted"}}}
    return {**schema, "if": status, "then": {"properties": {"taskId": {"type": "string"}}}}


def _output() -> Schema:
    schema = of_value(Output, optional=["traceparent", "tracestate"], constant={"schema": OUTPUT_SCHEMA})
    status = {"properties": {"status": {"const": "succeeded"}}}
    return {**schema, "if": status, "then": {"properties": {"url": {"type": "string"}}}}


def _batch_event() -> Schema:
    schema = of_value(BatchEvent, constant={"schema": EVENT_SCHEMA})
    statuses = schema["properties"]["statuses"]
    statuses["required"] = statuses.pop("propertyNames")["enum"]
    return schema


def _payload(payloads: Iterable[str]) -> Schema:
    """Of any of these workflows; each schema stands in `$defs`, so that a fault is told of that one only."""
    names = list(payloads)
    workflow = {"description": "The workflow's name.", "enum": names}
    return {
        "type": "object",
        "required": ["workflow", "version", "algoInput"],
        "properties": {"workflow": workflow},
        "allOf": [
            {
                "if": {"properties": {"workflow": {"const": name}}, "required": ["workflow"]},
                "then": {"$ref": f"#/$defs/{quote(_escaped(_definition(name)), safe='')}"},
            }
            for name in names
        ],
    }


def _definition(workflow: str) -> str:
    return f"workflow-{workflow}"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _payload_of(entries: list[KnownWorkflow]) -> Schema:
    """Of one workflow, in all of its versions."""
    exact = {entry.version: entry for entry in entries if entry.version != ANY_VERSION}
    others = next((entry for entry in entries if entry.version == ANY_VERSION), None)
    schema: Schema = {
        "description": next((entry.description for entry in entries if entry.description), ""),
        "type": "object",
        "required": ["workflow", "version", "algoInput"],
        "properties": {
            "workflow": {"const": entries[0].name},
            "version": {"description": "The workflow's version, in printable characters.", **_NAME},
            "algoInput": {"type": "object"},
        },
        "additionalProperties": False,
    }
    if not exact and others:
        schema["properties"]["algoInput"] = _own(others)
        return schema
    if not others:
        schema["properties"]["version"]["enum"] = list(exact)
    schema["allOf"] = [
        {"if": _versions([version]), "then": _input(entry)} for version, entry in exact.items()
    ]
    if others:
        schema["allOf"].append({"if": {"not": _versions(list(exact))}, "then": _input(others)})
    return schema


def _versions(versions: list[str]) -> Schema:
    return {"properties": {"version": {"enum": versions}}}


def _input(entry: KnownWorkflow) -> Schema:
    return {"properties": {"algoInput": _own(entry)}}


def _own(entry: KnownWorkflow) -> Schema:
    """The schema of algoInput, a document of its own: its references begin where it does."""
    return {"$id": f"{quote(f'{entry.name}-{entry.version}', safe='')}.algoInput.json", **entry.schema}


_TITLES: Final = {
    "result": "How a job ended",
    "output": "What became of a task id",
    "batch-event": "That a batch has finished",
    "job": "A line of a file for aigc submit",
    "payload": "What the vendor is to do",
}

_METADATA: Final[Schema] = {
    "description": f"Echoed in the result, not sent to the vendor: at most {METADATA_MAX_BYTES} bytes.",
    "type": "object",
}
_UNLISTED: Final[Schema] = {
    "type": "object",
    "required": ["workflow", "version", "algoInput"],
    "properties": {"workflow": _NAME, "version": _NAME, "algoInput": {"type": "object"}},
    "additionalProperties": False,
}
_WRAPPED: Final[Schema] = {
    "description": "A payload, and what is said of the job beside it.",
    "type": "object",
    "required": ["payload"],
    "properties": {
        "payload": {"description": "In the vendor's shape.", **_UNLISTED},
        "id": {
            "description": "The job's id in printable characters; without one it gets a random one.",
            "type": "string",
            "minLength": 1,
            "maxLength": JOB_ID_MAX_CHARS,
        },
        "metadata": _METADATA,
        "unlisted": {
            "description": "true: send a workflow that is not known, its algoInput unchecked.",
            "type": "boolean",
        },
    },
    "additionalProperties": False,
    "if": {"properties": {"unlisted": {"const": True}}, "required": ["unlisted"]},
    "else": {"properties": {"payload": {"$ref": "#/$defs/payload"}}},
}
_JOB: Final[Schema] = {
    "description": "A payload in the vendor's shape, or one in a wrapping. One JSON object a line.",
    "type": "object",
    "if": {"required": ["workflow"]},
    "then": {"$ref": "#/$defs/payload"},
    "else": _WRAPPED,
}
