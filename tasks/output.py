"""The output: the one message that says what became of a task id, and its JSON. Pure."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Final, Self

from pydantic import Field

from .contract import OUTPUT_SCHEMA, OutputStatus
from .frozen import value
from .message_json import MessageFormat, NewerMessage
from .times import TIME_PATTERN, TIME_RULE
from .trace_fields import Traceparent, Tracestate

_Text = str | bytes  # in the class, `bytes` is a field


class NewerOutput(NewerMessage):
    """An output that a later version of this program wrote, and that only such a one can read."""


@value(frozen=True, slots=True)
class Output:
    """What became of one task id.

    In JSON the same fields in camel case, `schema` first. What each one means stands beside it.
    """

    job_id: Annotated[
        str | None, Field(description="The job's id; null for a task that was bought elsewhere.")
    ]
    task_id: Annotated[str, Field(description="The vendor's id.")]
    status: Annotated[
        OutputStatus,
        Field(
            description="succeeded: there is a picture or a clip. failed: the vendor says that there will be"
            " none. lost: nobody learned how it ended before the deadline. A later version may add others."
        ),
    ]
    vendor_status: Annotated[
        str | None, Field(description="The vendor's own word, as it came last; null: it never said one.")
    ]
    url: Annotated[
        str | None,
        Field(description="Where the vendor keeps the file; it expires. Set where the task succeeded."),
    ]
    file: Annotated[
        str | None, Field(description="Where it is kept: a path, or a URL such as s3://…; null: it was not.")
    ]
    sha256: Annotated[str | None, Field(description="Of the kept file, in hex.", pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int | None, Field(ge=0, description="Of the kept file.")]
    content_type: Annotated[
        str | None, Field(description="Of the kept file by its first bytes, such as image/png.")
    ]
    workflow: Annotated[
        str | None, Field(description="As in the job's payload; null for a task that was bought elsewhere.")
    ]
    version: Annotated[
        str | None, Field(description="As in the job's payload; null for a task that was bought elsewhere.")
    ]
    finished_at: Annotated[str, Field(description=f"When that was known. {TIME_RULE}", pattern=TIME_PATTERN)]
    metadata: Annotated[dict[str, Any], Field(description="The producer's; {} where none was given.")] = (
        field(default_factory=dict)
    )
    schema: Annotated[int, Field(description="The version of this format.")] = OUTPUT_SCHEMA
    traceparent: Traceparent = ""
    tracestate: Tracestate = ""

    def to_json(self) -> str:
        """Compact ASCII JSON with the contract's keys in the contract's order."""
        return _FORMAT.to_json(self)

    @classmethod
    def from_json(cls, text: _Text) -> Self:
        """The inverse of `to_json`. Keys that are not in the contract are ignored.

        Raises:
            NewerOutput: it is of a later schema, or has a status that this version does not know.
            ValueError: it is no output.
        """
        return cls(**_FORMAT.values_of(text))


_FORMAT: Final = MessageFormat(
    Output, noun="an output", newer=NewerOutput, schema=OUTPUT_SCHEMA, optional=["traceparent", "tracestate"]
)
