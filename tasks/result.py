"""The result: the one message that says how a job ended, and its JSON. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Self, get_args

from tasks.contract import RESULT_SCHEMA, Status

# Field → its key in the contract, in the contract's order.
_KEYS: Final = {
    "schema": "schema",
    "job_id": "jobId",
    "status": "status",
    "task_id": "taskId",
    "workflow": "workflow",
    "version": "version",
    "attempts": "attempts",
    "request_id": "requestId",
    "error_code": "errorCode",
    "error_msg": "errorMsg",
    "possible_duplicate": "possibleDuplicate",
    "finished_at": "finishedAt",
    "metadata": "metadata",
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "schema": (int,),
    "job_id": (str,),
    "status": (str,),
    "task_id": (str, type(None)),
    "workflow": (str,),
    "version": (str,),
    "attempts": (int,),
    "request_id": (str, type(None)),
    "error_code": (str, type(None)),
    "error_msg": (str, type(None)),
    "possible_duplicate": (bool,),
    "finished_at": (str,),
    "metadata": (dict,),
}
_STATUSES: Final = frozenset(get_args(Status))
# Escapes keep every string sendable, half a surrogate pair in someone's metadata included.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Result:
    """How one job ended.

    `status` is "submitted" (`task_id` is set), "rejected", "exhausted" or "unknown". `attempts` are
    the POSTs that the vendor answered or may have taken, `request_id` is the last one's.
    `possible_duplicate`: an earlier attempt ended unknown. `finished_at` is UTC, ISO 8601 with
    milliseconds. `metadata` is the producer's, `{}` where none was given.
    """

    job_id: str
    status: Status
    task_id: str | None
    workflow: str
    version: str
    attempts: int
    request_id: str | None
    error_code: str | None
    error_msg: str | None
    possible_duplicate: bool
    finished_at: str
    metadata: dict[str, Any] = field(default_factory=dict)
    schema: int = RESULT_SCHEMA

    def to_json(self) -> str:
        """Compact ASCII JSON with the contract's keys in the contract's order."""
        return _ENCODER.encode({key: getattr(self, name) for name, key in _KEYS.items()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`. Keys that are not in the contract are ignored.

        Raises ValueError for anything that is not a result of this schema.
        """
        try:
            document = json.loads(text)
        except RecursionError:
            raise ValueError("not a result: nested too deep") from None
        if not isinstance(document, dict):
            raise ValueError("not a result: not a JSON object")
        for name, key in _KEYS.items():
            if key not in document:
                raise ValueError(f"not a result: {key} is missing")
            value, types = document[key], _TYPES[name]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise ValueError(f"not a result: {key} is of the wrong type")
        if document["schema"] != RESULT_SCHEMA:
            raise ValueError(f"a result of schema {document['schema']}, this program knows {RESULT_SCHEMA}")
        if document["status"] not in _STATUSES:
            raise ValueError("not a result: unknown status")
        return cls(**{name: document[key] for name, key in _KEYS.items()})
