"""The result: the one message that says how a job ended, and its JSON. Pure."""

from __future__ import annotations

from dataclasses import field, fields
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin, get_type_hints

from pydantic import Field
from pydantic.alias_generators import to_camel

from .checks import clip
from .contract import RESULT_SCHEMA, Status
from .exceptions import AigcError
from .frozen import value
from .json_text import dumps, loads
from .times import TIME_PATTERN, TIME_RULE


class NewerResult(AigcError, ValueError):
    """A result that a later version of this program wrote, and that only such a one can read."""


@value(frozen=True, slots=True)
class Result:
    """How one job ended.

    In JSON the same fields in camel case, `schema` first. What each one means stands beside it.
    """

    job_id: Annotated[str, Field(description="The job's id.")]
    status: Annotated[
        Status,
        Field(
            description="submitted: the vendor accepted it. rejected: the job itself is bad. exhausted:"
            " retries or the deadline ran out, nothing was accepted. unknown: an attempt may have been"
            " accepted."
            " cancelled: withdrawn before anything was bought. A later version may add others."
        ),
    ]
    task_id: Annotated[str | None, Field(description="The vendor's id; set where it was submitted.")]
    workflow: Annotated[str, Field(description='As in the payload; "" where it had none.')]
    version: Annotated[str, Field(description='As in the payload; "" where it had none.')]
    attempts: Annotated[
        int, Field(ge=0, description="POSTs that the vendor answered or may have taken; 0: nothing was sent.")
    ]
    request_id: Annotated[
        str | None, Field(description="x-acs-request-id of the last attempt, for the vendor's support.")
    ]
    error_code: Annotated[str | None, Field(description="The vendor's code, or one of ours: AIGC_….")]
    error_msg: Annotated[str | None, Field(description="What was wrong, in words.")]
    possible_duplicate: Annotated[
        bool, Field(description="An earlier attempt of the job may have been accepted too.")
    ]
    finished_at: Annotated[str, Field(description=TIME_RULE, pattern=TIME_PATTERN)]
    metadata: Annotated[dict[str, Any], Field(description="The producer's; {} where none was given.")] = (
        field(default_factory=dict)
    )
    schema: Annotated[int, Field(description="The version of this format.")] = RESULT_SCHEMA
    queue: Annotated[
        str, Field(description="From which the job was taken; an older worker does not say it.")
    ] = ""

    def to_json(self) -> str:
        """Compact ASCII JSON with the contract's keys in the contract's order."""
        document = dict(zip(_KEYS, _VALUES(self), strict=True))
        if not self.queue:
            del document["queue"]
        return dumps(document).decode("ascii")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`. Keys that are not in the contract are ignored.

        Raises:
            NewerResult: it is of a later schema, or has a status that this version does not know.
            ValueError: it is no result.
        """
        try:
            document = loads(text)
        except RecursionError:
            raise ValueError("not a result: nested too deep") from None
        except ValueError:
            raise ValueError("not a result: not JSON") from None
        if not isinstance(document, dict):
            raise ValueError("not a result: not a JSON object")
        schema = document.get("schema")
        if type(schema) is int and schema > RESULT_SCHEMA:
            raise NewerResult(f"a result of schema {clip(schema)}, this program knows {RESULT_SCHEMA}")
        values = {}
        for name, key, types in _FIELDS:
            if key not in document:
                if key == "queue":
                    continue
                raise ValueError(f"not a result: {key} is missing")
            value = values[name] = document[key]
            if type(value) not in types:
                raise ValueError(f"not a result: {key} is of the wrong type")
        if values["schema"] != RESULT_SCHEMA:
            raise ValueError(f"not a result: schema must be {RESULT_SCHEMA}")
        if values["status"] not in _STATUSES:
            raise NewerResult(
                f"a result of status {clip(values['status'])}, which this program does not know"
            )
        return cls(**values)


def of_queue(result_json: str, queue: str) -> str:
    """A result's JSON that says of which queue it is, without being taken apart for it."""
    return f'{result_json[:-1]},"queue":{dumps(queue).decode("ascii")}}}'


def _json_types(hint: Any) -> frozenset[type]:
    """What a value of this type hint is once it was read from JSON."""
    if isinstance(hint, UnionType):
        return frozenset().union(*map(_json_types, get_args(hint)))
    if get_origin(hint) is Literal:
        return frozenset(map(type, get_args(hint)))
    return frozenset({get_origin(hint) or hint})


_HINTS: Final = get_type_hints(Result)
_NAMES: Final = sorted((each.name for each in fields(Result)), key=lambda name: name != "schema")
_FIELDS: Final = [(name, to_camel(name), _json_types(_HINTS[name])) for name in _NAMES]
_KEYS: Final = [key for _, key, _ in _FIELDS]
_VALUES: Final = attrgetter(*_NAMES)
_STATUSES: Final = frozenset(get_args(_HINTS["status"]))
