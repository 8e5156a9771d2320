"""OpenTelemetry's API, as much of it as is used: spans with a parent that is given, never a thread's own.

The only module that imports it, with `exporting`; and only once traces are on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from tasks.trace_context import TraceContext
from tasks.tracing import of_span

Attributes = Mapping[str, str | int | float | bool]
"""No payload, no text of a vendor's, no secret."""

_KINDS: Final = {"consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT}


class Span:
    """One that has begun. For one thread at a time."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.context: Final = of_span(span.get_span_context())

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def tell(self, event: str, attributes: Attributes) -> None:
        """Add an event, of now."""
        self._span.add_event(event, attributes)

    def fail(self, error_type: str) -> None:
        """Say that what it stands for went wrong; `error_type` is one of few."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()


class Tracer:
    """Makes spans. Thread-safe."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin(
        self,
        name: str,
        kind: Literal["consumer", "client"],
        parent: Span | TraceContext | None,
        attributes: Attributes,
        links: Sequence[TraceContext] = (),
    ) -> Span:
        """Begin a span; without a parent it is the first one of a trace."""
        context = parent.context if isinstance(parent, Span) else parent
        span = self._tracer.start_span(
            name,
            # Never the thread's own context: what a library has put there is of another job.
            context=_under(context),
            kind=_KINDS[kind],
            attributes=attributes,
            links=[Link(_span_context(each)) for each in links],
        )
        return Span(span)


def of_provider() -> Tracer:
    """Makes spans by the provider that is set now."""
    return Tracer(trace.get_tracer("aigc-worker", metadata.version("aigc-worker")))


def _under(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    return trace.set_span_in_context(NonRecordingSpan(_span_context(parent)), Context())


def _span_context(context: TraceContext) -> SpanContext:
    _, trace_id, span_id, flags = context.traceparent.split("-")
    state = TraceState.from_header([context.tracestate]) if context.tracestate else None
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)),
        trace_state=state,
    )  # fmt: skip
