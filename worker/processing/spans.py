"""The spans of a worker: one for each delivery of a message, and below it one for each attempt.

By OpenTelemetry's conventions for messaging and HTTP. A message says whose trace it belongs to, and so does
what is published of its jobs. After a kill the new delivery is another span below the same parent; the spans
that had not ended are lost with the process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tasks.envelope import InvalidJob, Job
from worker.domain.outcome import Failure, OutcomeKind, Reply
from worker.domain.signing import SUBMIT_URI
from worker.processing.values import Decided, Disposition, Received, Run
from worker.store.values import Claim, Decision, Reschedule, Settlement

if TYPE_CHECKING:
    from worker.observability.tracer import Span, Tracer

_ENDS_WELL: Final = ("submitted", "cancelled")
_CODE: Final = re.compile(r"[A-Z0-9_]{1,64}")


class Spans:
    """Begins and ends them. Thread-safe.

    Args:
        queue: from which messages are taken.
        endpoint: of the vendor: scheme, host and port.
    """

    def __init__(self, tracer: Tracer, queue: str, endpoint: str) -> None:
        self._tracer = tracer
        self._process_name = f"process {queue}"
        self._of_process = {
            "messaging.system": "celery",
            "messaging.destination.name": queue,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
        }
        parts = urlsplit(endpoint)
        self._attempt_name = f"POST {SUBMIT_URI}"
        self._of_attempt: dict[str, str | int] = {
            "http.request.method": "POST",
            "url.full": f"{endpoint.rstrip('/')}{SUBMIT_URI}",
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }

    def delivered(self, received: Received, jobs: Sequence[Job | InvalidJob]) -> list[Job | InvalidJob]:
        """Begin the span of a message. Its jobs: those without a trace belong to that of this span."""
        trace = jobs[0].trace  # all of a message have one
        about: dict[str, str | int] = {
            **self._of_process,
            "messaging.client.id": received.name.partition("/")[0],
        }
        if len(jobs) == 1:
            about["messaging.message.id"] = jobs[0].id
        else:
            about["messaging.batch.message_count"] = len(jobs)
        links = (trace,) if trace is not None else ()
        span = self._tracer.begin(self._process_name, "consumer", trace, about, links)
        received.in_span(span, lambda disposition: _end(span, disposition))
        return list(jobs) if trace is not None else [replace(job, trace=span.context) for job in jobs]

    def attempted(self, run: Run, claim: Claim) -> Span:
        """Begin the span of an attempt."""
        about: dict[str, str | int] = {
            **self._of_attempt,
            "aigc.job.id": run.fit.job.id,
            "aigc.workflow": run.fit.workflow,
            "aigc.request.id": claim.request_id,
            "aigc.attempt": claim.attempts + 1,
        }
        if resent := claim.attempts + claim.uncounted:
            about["http.request.resend_count"] = resent
        return self._tracer.begin(self._attempt_name, "client", run.message.span, about)

    def answered(self, span: Span, answer: Reply | Failure, decided: Decided) -> None:
        """End the span of an attempt."""
        outcome = decided.outcome
        span.note({"aigc.outcome": str(outcome.kind), "aigc.next": decided.words})
        if isinstance(answer, Reply):
            span.note({"http.response.status_code": answer.status})
        if outcome.task_id:
            span.note({"aigc.task.id": outcome.task_id})
        if outcome.kind is not OutcomeKind.ACCEPTED:
            span.fail(_error_type(outcome.error_code, str(outcome.kind)))
        span.end()

    def written(self, span: Span, decision: Decision) -> None:
        """Tell a delivery's span what was written down of one of its jobs."""
        match decision:
            case Settlement(result=result):
                ended: dict[str, str | int] = {
                    "aigc.job.id": result.job_id,
                    "aigc.job.status": result.status,
                    "aigc.attempts": result.attempts,
                }
                span.tell("job ended", ended)
                if result.status not in _ENDS_WELL:
                    span.fail(_error_type(result.error_code, result.status))
            case Reschedule(job=job, delay_s=delay_s):
                span.tell("job waits", {"aigc.job.id": job.id, "aigc.delay_s": delay_s})


def _error_type(code: str | None, otherwise: str) -> str:
    """A code that is one. What an answer has in its place may be a text, which may quote the job."""
    return code if code and _CODE.fullmatch(code) else otherwise


def _end(span: Span, disposition: Disposition) -> None:
    span.note({"aigc.disposition": disposition.name.lower()})
    if disposition is Disposition.STUCK:
        span.fail("stuck")
    span.end()
