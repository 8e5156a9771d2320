"""The trace context as the messages to consumers have it: two fields with their JSON Schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .trace_context import TRACEPARENT_PATTERN, TRACESTATE_MAX_CHARS

Traceparent = Annotated[
    str,
    Field(
        description="The W3C's trace context that the job belongs to; missing where it has none.",
        pattern=TRACEPARENT_PATTERN,
    ),
]
Tracestate = Annotated[str, Field(description="What goes with it.", max_length=TRACESTATE_MAX_CHARS)]
