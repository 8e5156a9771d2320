"""The result: the one message that says how a job ended, and its JSON. Pure."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Final, Self

from pydantic import Field

from .contract import RESULT_SCHEMA, Status
from .frozen import value
from .json_text import dumps
from .message_json import MessageFormat, NewerMessage
from .times import TIME_PATTERN, TIME_RULE
from .trace_fields import Traceparent, Tracestate


class NewerResult(NewerMessage):
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
    traceparent: Traceparent = ""
    tracestate: Tracestate = ""
    queue: Annotated[
        str, Field(description="From which the job was taken; an older worker does not say it.")
    ] = ""

    def to_json(self) -> str:
        """Compact ASCII JSON with the contract's keys in the contract's order."""
        return _FORMAT.to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`. Keys that are not in the contract are ignored.

        Raises:
            NewerResult: it is of a later schema, or has a status that this version does not know.
            ValueError: it is no result.
        """
        return cls(**_FORMAT.values_of(text))


def of_queue(result_json: str, queue: str) -> str:
    """A result's JSON that says of which queue it is, without being taken apart for it."""
    return f'{result_json[:-1]},"queue":{dumps(queue).decode("ascii")}}}'


_FORMAT: Final = MessageFormat(
    Result,
    noun="a result",
    newer=NewerResult,
    schema=RESULT_SCHEMA,
    optional=["queue", "traceparent", "tracestate"],
)
