"""What a worker's spans say, by OpenTelemetry's SDK in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tasks.contract import Status
from tasks.envelope import Job
from tasks.result import Result
from tasks.trace_context import TraceContext
from tests.unit.processing.fakes import CAT
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply
from worker.domain.signing import SUBMIT_URI
from worker.observability.tracer import Tracer
from worker.processing.spans import Spans
from worker.processing.values import Decided, Disposition, Prepared, Received, Run
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Reschedule, Settlement

CALLER = TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "shop=eu")
DELIVERY = Delivery("me", "1.7", 1)
FEEDBACK = Feedback(counted=True, vendor_works=True)
JOB = Job("a-job", CAT)


class Exported:
    """A worker's spans, and what became of the message that they are of."""

    def __init__(self, exporter: InMemorySpanExporter, spans: Spans) -> None:
        self._exporter = exporter
        self.spans = spans
        self.dispositions: list[Disposition] = []

    def message(self, *jobs: Job) -> Received:
        """One that was delivered, in its span."""
        received = Received("me/1.7", len(jobs), lambda _: None, self.dispositions.append)
        self.jobs = self.spans.delivered(received, jobs)
        return received

    def attempt(self, attempts: int = 0, uncounted: int = 0) -> Any:
        """The span of one of the only job of a message."""
        run = Run(JOB, DELIVERY, self.message(replace(JOB, trace=CALLER)))
        run.prepared = Prepared(JOB, DELIVERY, "TEXT2IMAGE", b"{}")
        return self.spans.attempted(run, claim(attempts, uncounted))

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def only(self) -> tuple[ReadableSpan, dict[str, Any]]:
        """The one span that has ended, and its attributes."""
        (span,) = self.ended
        return span, dict(span.attributes or {})


def claim(attempts: int = 0, uncounted: int = 0) -> Claim:
    return Claim(ClaimVerdict.GO, attempts, uncounted, False, 0.0, 0.0, 0, "", "request-1")


def settled(status: Status, code: str | None = None) -> Settlement:
    result = Result(JOB.id, status, None, "TEXT2IMAGE", "1.0.0", 1, None, code, None, False, "")
    return Settlement(JOB, DELIVERY, None, result, OutcomeKind.REJECTED, FEEDBACK)


def waiting() -> Reschedule:
    return Reschedule(JOB, DELIVERY, None, FEEDBACK, 1, 0, False, 2.5)


@pytest.fixture
def exported() -> Iterator[Exported]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Exported(exporter, Spans(Tracer(provider.get_tracer("test")), "aigc", "https://vendor.example/"))
    provider.shutdown()


def test_a_delivery_is_a_span_below_the_producers(exported: Exported) -> None:
    """With the message's id, a link to who sent it, and what became of it; the job stays in its trace."""
    exported.message(replace(JOB, trace=CALLER)).job_done(Disposition.SETTLED)
    span, attributes = exported.only()
    assert (span.name, span.kind) == ("process aigc", SpanKind.CONSUMER)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == CALLER.traceparent.split("-")[2]
    assert len(span.links) == 1
    assert exported.jobs[0].trace == CALLER
    assert exported.dispositions == [Disposition.SETTLED]
    assert attributes == {
        "messaging.system": "celery", "messaging.destination.name": "aigc",
        "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.client.id": "me", "messaging.message.id": JOB.id, "aigc.disposition": "settled",
    }  # fmt: skip


def test_many_jobs_without_a_trace_belong_to_their_deliverys(exported: Exported) -> None:
    """Which says how many they are; one that is left where it is went wrong."""
    message = exported.message(JOB, Job("b", CAT))
    assert message.span is not None
    assert [job.trace for job in exported.jobs] == [message.span.context] * 2
    message.job_done(Disposition.SETTLED)
    message.job_done(Disposition.STUCK)
    span, attributes = exported.only()
    assert (span.parent, len(span.links), attributes["messaging.batch.message_count"]) == (None, 0, 2)
    assert "messaging.message.id" not in attributes
    assert (span.status.status_code, attributes["error.type"]) == (StatusCode.ERROR, "stuck")


def test_an_attempt_is_a_span_below_its_delivery(exported: Exported) -> None:
    """That of one which was accepted says by which task id."""
    span = exported.attempt()
    accepted = Outcome(OutcomeKind.ACCEPTED, "task-1")
    decided = Decided(settled("submitted"), accepted, 1, "submitted")
    exported.spans.answered(span, Reply(200, b"{}"), decided)
    ended, attributes = exported.only()
    assert (ended.name, ended.kind) == (f"POST {SUBMIT_URI}", SpanKind.CLIENT)
    assert ended.parent is not None
    assert ended.status.status_code is StatusCode.UNSET
    assert attributes == {
        "http.request.method": "POST", "url.full": f"https://vendor.example{SUBMIT_URI}",
        "server.address": "vendor.example", "server.port": 443, "http.response.status_code": 200,
        "aigc.job.id": JOB.id, "aigc.workflow": "TEXT2IMAGE", "aigc.request.id": "request-1",
        "aigc.attempt": 1, "aigc.outcome": "accepted", "aigc.next": "submitted", "aigc.task.id": "task-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "told"), [("INTCNN_COMMON_SYS_ERROR", "INTCNN_COMMON_SYS_ERROR"), ("a cat", "vendor_fault")]
)
def test_a_failed_attempt_tells_a_code_and_never_a_text(exported: Exported, code: str, told: str) -> None:
    """A text may quote the job; a failure of the network has no status; a further attempt says so."""
    span = exported.attempt(attempts=1, uncounted=2)
    failed = Outcome(OutcomeKind.VENDOR_FAULT, error_code=code)
    answer = Failure(sent=True, detail="connection lost")
    exported.spans.answered(span, answer, Decided(waiting(), failed, 2, "tried again in 2 s"))
    ended, attributes = exported.only()
    assert ended.status.status_code is StatusCode.ERROR
    assert (attributes["error.type"], attributes["http.request.resend_count"]) == (told, 3)
    assert "http.response.status_code" not in attributes


@pytest.mark.parametrize(
    ("decision", "event", "error_type"),
    [
        (settled("submitted"), "job ended", None),
        (settled("cancelled"), "job ended", None),
        (settled("rejected", "AIGC_INVALID"), "job ended", "AIGC_INVALID"),
        (settled("unknown"), "job ended", "unknown"),
        (waiting(), "job waits", None),
    ],
)
def test_what_was_written_down_is_an_event_of_the_delivery(
    exported: Exported, decision: Settlement | Reschedule, event: str, error_type: str | None
) -> None:
    """A job that did not end well makes it one that went wrong."""
    message = exported.message(JOB)
    assert message.span is not None
    exported.spans.written(message.span, decision)
    message.job_done(Disposition.ACKNOWLEDGE)
    span, attributes = exported.only()
    assert [each.name for each in span.events] == [event]
    assert attributes.get("error.type") == error_type
