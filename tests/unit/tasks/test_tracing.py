"""Which trace a job belongs to when it is enqueued; with OpenTelemetry, and without it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tasks.envelope import jobs_of
from tasks.push import pushes
from tasks.trace_context import TraceContext
from tasks.tracing import current, trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{TRACE}-{'1' * 16}-01"
CAT: dict[str, Any] = {
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "algoInput": {"inputText": "a cat", "width": 512, "height": 512},
}
TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("tests")


def headers(*messages: bytes) -> list[tuple[str, int]]:
    """Of each message its traceparent, "" where it has none, and how many jobs it carries."""
    found = []
    for message in messages:
        document = json.loads(message)
        (first,), _, _ = json.loads(b64decode(document["body"]))
        found.append((document["headers"].get("traceparent", ""), len(first)))
    return found


def test_the_active_span_goes_before_what_is_given() -> None:
    """What it says of itself; without one it is what was given, inside the block only."""
    assert current() is None
    with trace_context(PARENT, "shop=eu"):
        assert current() == TraceContext(PARENT, "shop=eu")
        with TRACER.start_as_current_span("a request") as span:
            own = span.get_span_context()
            found = current()
        assert found is not None
        assert found.traceparent[:-3] == f"00-{own.trace_id:032x}-{own.span_id:016x}"
        with trace_context("none of it"):
            assert current() == TraceContext(PARENT, "shop=eu")
    assert current() is None


def test_the_state_of_a_span_is_carried() -> None:
    """It is the caller's, in whose trace the span is."""
    state = trace.TraceState([("shop", "eu")])
    remote = trace.SpanContext(int(TRACE, 16), int(SPAN, 16), True, trace.TraceFlags(1), state)
    with trace.use_span(trace.NonRecordingSpan(remote)):
        assert current() == TraceContext(PARENT, "shop=eu")


def test_a_span_that_fails_keeps_no_job_from_being_enqueued() -> None:
    """What is given as text holds then."""

    class Faulty(trace.NonRecordingSpan):
        def get_span_context(self) -> trace.SpanContext:
            raise RuntimeError("its own fault")

    with trace.use_span(Faulty(trace.INVALID_SPAN_CONTEXT)), trace_context(PARENT):
        assert current() == TraceContext(PARENT)


def test_a_message_of_many_jobs_has_one_trace() -> None:
    """Where the trace changes between two jobs, so does the message."""

    def payloads() -> Iterator[dict[str, Any]]:
        for parent, count in ((PARENT, 3), (OTHER, 2)):
            for _ in range(count):
                with trace_context(parent):
                    yield CAT
        yield CAT

    (push,) = pushes(payloads(), "aigc", 50)
    push.close()
    assert headers(*push.messages) == [(PARENT, 3), (OTHER, 2), ("", 1)]


def test_each_task_of_asyncio_has_its_own() -> None:
    """What one is given is not another's, though they take turns."""

    async def submit(parent: str) -> None:
        with trace_context(parent):
            await asyncio.sleep(0)
            (push,) = pushes([CAT], "aigc", 50)
            push.close()
            found.extend(headers(*push.messages))

    async def both() -> None:
        await asyncio.gather(submit(PARENT), submit(OTHER))

    found: list[tuple[str, int]] = []
    asyncio.run(both())
    assert sorted(found) == sorted([(PARENT, 1), (OTHER, 1)])


def test_a_message_that_has_no_trace_is_as_it_was() -> None:
    """Not a byte more where nobody traces; what a foreign producer wrote there is read by the same rules."""
    (job,) = jobs_of("tasks.submit_workflow", "j", [CAT], {}, {})
    assert isinstance(job.payload, dict)
    assert job.trace is None
    for value in ("00-none", 7, None):
        (job,) = jobs_of("tasks.submit_workflow", "j", [CAT], {}, {"traceparent": value})
        assert job.trace is None
    (push,) = pushes([CAT], "aigc", 50)
    push.close()
    assert b"trace" not in push.messages[0]
    (job,) = jobs_of("tasks.submit_workflow", "j", [CAT], {}, {"traceparent": PARENT, "tracestate": "a=b"})
    assert job.trace == TraceContext(PARENT, "a=b")
    bad = jobs_of("tasks.submit_workflows", "j", [[{}, {"id": "k"}]], {}, {"traceparent": PARENT})
    assert [each.trace for each in bad] == [TraceContext(PARENT)] * 2


def test_importing_tasks_imports_no_opentelemetry() -> None:
    """Nor does submitting: a program that does not use it pays for nothing, and need not have it."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import tasks; from tasks.tracing import current, trace_context\n"
        f"with trace_context({PARENT!r}) as given: assert current() == given\n"
        "from tasks.push import pushes\n"
        f"(push,) = pushes([{CAT!r}], 'aigc', 50)\n"
        "push.close()\n"
        "sys.exit(', '.join(each for each in sys.modules if each.startswith('opentelemetry.')) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
