"""Which trace a job belongs to that is enqueued now: that of the active span, or one given as text.

    with tasks.tracing.trace_context(request.headers.get("traceparent"), request.headers.get("tracestate")):
        submit(…)

Needs no package: where the program uses OpenTelemetry, that is imported already, and its active span goes
before what is given here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

from .trace_context import TraceContext, bounded, parsed

__all__ = ["TraceContext", "current", "trace_context"]

_given: Final[ContextVar[TraceContext | None]] = ContextVar("aigc-trace-context", default=None)


@contextmanager
def trace_context(traceparent: str | None, tracestate: str | None = None) -> Iterator[TraceContext | None]:
    """Jobs that are enqueued in this block, by this thread or asyncio task, belong to the caller's trace.

    For programs without OpenTelemetry: where a span is active, theirs is the trace of that.

    Args:
        traceparent, tracestate: as the caller's HTTP request has them, in the grammar of the W3C's Trace
            Context. What is none is ignored, as the W3C wants it. None: whatever holds outside holds inside.

    Yields: what is believed of them.
    """
    trace = parsed(traceparent, tracestate)
    if trace is None:
        yield None
        return
    token = _given.set(trace)
    try:
        yield trace
    finally:
        _given.reset(token)


def current() -> TraceContext | None:
    """The trace context of a job that is enqueued now; None where there is none."""
    # What is not imported has no active span: so a program that does not use it pays for no import. Another
    # thread may be importing it just now, and then the name is not there yet.
    get_current_span: Any = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if get_current_span is not None:
        # Another's code, which may fail in a way of its own: a lost trace costs less than a lost job.
        with suppress(Exception):
            span = get_current_span().get_span_context()
            if span.is_valid:
                return of_span(span)
    return _given.get()


def of_span(span: Any) -> TraceContext:
    """OpenTelemetry's own `SpanContext`, as it is carried."""
    parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return TraceContext(parent, bounded(span.trace_state.to_header()) if span.trace_state else "")
