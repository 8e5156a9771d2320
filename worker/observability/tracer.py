"""OpenTelemetry's API, as much of it as is used: spans with a parent that is given, never a thread's own.

The only module that imports it, with `exporting`; and only once traces are on. No span raises: a sampler or a
processor of the program's own may, and a span that is lost must not harm what is bought in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from tasks.trace_context import TraceContext
from tasks.tracing import of_span
from worker.domain.remarks import Remarks

log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int | float | bool]
"""No payload, no text of a vendor's, no secret."""

_KINDS: Final = {"consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT}

_remarks: Final = Remarks()


class Span:
    """One that has begun. For one thread at a time.

    Attributes:
        context: what belongs to it is told; None where it has none, for nobody makes spans.
    """

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        found = span.get_span_context()
        self.context: Final = of_span(found) if found.is_valid else None

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        _attempt(self._span.set_attributes, attributes)

    def tell(self, event: str, attributes: Attributes) -> None:
        """Add an event, of now."""
        _attempt(self._span.add_event, event, attributes)

    def fail(self, error_type: str) -> None:
        """Say that what it stands for went wrong; `error_type` is one of few."""
        _attempt(self._span.set_attribute, "error.type", error_type)
        _attempt(self._span.set_status, Status(StatusCode.ERROR))

    def end(self) -> None:
        _attempt(self._span.end)


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
        """Begin a span; without a parent it is the first one of a trace.

        Where the tracer fails it is none, and what belongs to it belongs to its parent.
        """
        context = parent.context if isinstance(parent, Span) else parent
        try:
            span = self._tracer.start_span(
                name,
                # Never the thread's own context: what a library has put there is of another job.
                context=_under(context),
                kind=_KINDS[kind],
                attributes=attributes,
                links=[Link(_span_context(each)) for each in links],
            )
            return Span(span)
        except Exception as error:
            _tell(error)
            return Span(NonRecordingSpan(_span_context(context) if context else trace.INVALID_SPAN_CONTEXT))


def of_provider() -> Tracer:
    """Makes spans by the provider that is set now."""
    return Tracer(trace.get_tracer("aigc-worker", metadata.version("aigc-worker")))


def _attempt(step: Callable[..., Any], *args: Any) -> None:
    try:
        step(*args)
    except Exception as error:
        _tell(error)


def _tell(error: Exception) -> None:
    if often := _remarks.due("", time.monotonic()):
        words = "%d spans were lost, and nothing else: the tracer fails: %s: %s"
        log.warning(words, often, type(error).__name__, error)


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
