"""What the worker tells its operators: a log line for each job that ends and each failed attempt, with
the same ids everywhere, and a report to Sentry for each job that did not end well.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any, Final, Literal, Protocol

from tasks.result import Result
from worker.domain.outcome import Outcome, OutcomeKind
from worker.observability.line_writer import LineWriter
from worker.observability.logs import setup_logging
from worker.observability.redact import Redactor, keep_private

__all__ = ["Reporter", "flush_log", "keep_private", "log_trouble", "setup"]

CLOCK_TOLERANCE_S: Final = 60.0

log = logging.getLogger(__name__)

_sentry: ModuleType | None = None
"""Where reports go, if anywhere; Sentry's package is not imported before it is known to be wanted."""

_writer: LineWriter | None = None

_redactor = Redactor()
"""Knows only shapes until :func:`setup` tells it the secrets."""


class Wanted(Protocol):
    """The settings that matter here."""

    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> Literal["auto", "human", "json"]: ...
    @property
    def sentry_dsn(self) -> str | None: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def secrets(self) -> tuple[str, ...]: ...


def setup(settings: Wanted) -> None:
    """Begin to log, and to report where a DSN is set; call it once, before threads start."""
    global _redactor, _sentry, _writer
    _redactor = redactor = Redactor(settings.secrets())
    _writer = setup_logging(settings.log_level, settings.log_format, redactor)
    if settings.sentry_dsn:
        from worker.observability import sentry  # 3 MB and 70 ms, for those who have no use for it

        sentry.start(settings.sentry_dsn, redactor)
        _sentry = sentry
    for warning in settings.warnings:
        log.warning(warning)


def log_trouble() -> str:
    """What an operator should know of the log, which it cannot tell itself; empty where there is nothing."""
    lost = _writer.unsaid if _writer else 0
    return f"its log is not read: {lost} lines of it are lost so far" if lost else ""


def flush_log() -> None:
    """Wait for a while until all lines are written: for a process that ends without Python's own end."""
    if _writer:
        _writer.flush()


class Reporter:
    """Who is told about attempts and jobs, and about what keeps this worker from working."""

    def keep_private(self, payload: Any) -> None:
        """The job in hand: its texts stay out of what this thread logs and reports from now on."""
        keep_private(payload)

    def redacted(self, text: str) -> str:
        """Free text as it may be kept: neither secrets nor the texts of the job in hand."""
        return _redactor.text(text)

    def attempt_failed(
        self, job_id: str, request_id: str, workflow: str, attempts: int, outcome: Outcome, next_step: str
    ) -> None:
        """Log one attempt that was not accepted, and what follows from it."""
        fields = {
            "job": job_id,
            "request": request_id or None,
            "workflow": workflow,
            "attempts": attempts,
            "outcome": str(outcome.kind),
            "code": outcome.error_code,
            "http": outcome.http_status,
            "next": next_step,
            "error": outcome.error_msg,
        }
        log.warning("attempt failed", extra={"fields": fields})

    def job_ended(self, result: Result, outcome_kind: str | None = None) -> None:
        """Log how a job ended; report it unless the vendor accepted it, or it was cancelled."""
        wanted = result.status in ("submitted", "cancelled")
        level = logging.INFO if wanted else logging.ERROR
        if not log.isEnabledFor(level) and wanted:
            return
        fields = {
            "job": result.job_id,
            "request": result.request_id,
            "task": result.task_id,
            "workflow": result.workflow,
            "attempts": result.attempts,
            "outcome": outcome_kind and str(outcome_kind),
            "code": result.error_code,
            "possible_duplicate": result.possible_duplicate or None,
            "error": result.error_msg,
        }
        log.log(level, "job %s", result.status, extra={"fields": fields})
        if not wanted:
            report(result.status, result.error_code, result.workflow, fields)

    def submitted_again(self, job_id: str, was: str, next_step: str) -> None:
        """Log that a job which had ended came once more, and what follows."""
        fields = {"job": job_id, "was": was, "next": next_step}
        log.warning("job that had ended was submitted again", extra={"fields": fields})

    def misconfigured(self, outcome: Outcome) -> None:
        """Say loudly that the vendor refuses this worker's configuration; once for each pause."""
        remedy = _remedy(outcome)
        fields = {
            "outcome": str(OutcomeKind.MISCONFIGURED),
            "code": outcome.error_code,
            "http": outcome.http_status,
            "clock_skew_s": outcome.clock_skew_s,
            "error": outcome.error_msg,
        }
        log.critical("the vendor refuses this worker: %s; intake pauses", remedy, extra={"fields": fields})
        report("misconfigured", outcome.error_code, "", fields | {"remedy": remedy})

    def refusal(self, outcome: Outcome) -> str:
        """What the vendor answered to this worker's configuration, and the remedy, for `aigc status`."""
        status = f"HTTP {outcome.http_status}" if outcome.http_status else None
        answered = ", ".join(filter(None, (outcome.error_code, status)))
        said = f" ({self.redacted(outcome.error_msg)})" if outcome.error_msg else ""
        return f"it answered {answered}{said}: {_remedy(outcome)}"

    def paid_twice(self, result: Result) -> None:
        """Say that the vendor accepted a job that it had accepted before: money is gone."""
        fields = {"job": result.job_id, "request": result.request_id, "task": result.task_id}
        log.critical("job was paid for twice", extra={"fields": fields})
        report("paid_twice", None, result.workflow, fields)

    def unreachable(self, detail: str) -> None:
        """Say loudly that this worker does not reach the vendor while others do; once until it does again."""
        words = f"this worker {detail}; it takes one job now and then to see whether it does again"
        log.critical("%s", words)
        report("cut_off", None, "", {"error": words})

    def store_refuses(self, words: str, *, again: bool = False) -> None:
        """Say loudly that Redis refuses what this worker must write, and what to mend; report it but once."""
        log.critical("%s", words)
        if not again:
            report("store_refuses", None, "", {"error": words})

    def redis_away(self, words: str, seconds: float) -> None:
        """Say that an outage of Redis lasts; once for each."""
        log.error("Redis has been away for %.0f s: jobs wait, producers are refused; %s", seconds, words)
        report("redis_away", None, "", {"error": words, "seconds": round(seconds)})

    def vendor_down(self, seconds: float, cause: str = "") -> None:
        """Say that an outage of the vendor lasts, and its last failure; once for each, of all workers
        together."""
        log.error(
            "the vendor has been down for %.0f s: jobs wait, unharmed, and one at a time probes%s",
            seconds,
            f"; the last failure: {cause}" if cause else "",
        )
        report("vendor_down", None, "", {"seconds": round(seconds), "error": cause or None})

    def not_forwarded(self, what: str, words: str, fields: dict[str, Any]) -> None:
        """Say that an endpoint does not get its webhooks; `what` groups such reports."""
        log.error("%s", words, extra={"fields": fields})
        report(what, None, "", fields | {"error": words})

    def crashed(self, job_id: str) -> None:
        """Log and report the exception being handled: a fault of this program that a job ran into."""
        log.exception("a fault of this program; the job is kept", extra={"fields": {"job": job_id}})
        if _sentry:
            _sentry.report_exception({"job": job_id})


def _remedy(outcome: Outcome) -> str:
    skew = outcome.clock_skew_s
    if skew is not None and abs(skew) > CLOCK_TOLERANCE_S:
        direction = "ahead of" if skew > 0 else "behind"
        return f"this machine's clock is {abs(skew):.0f} s {direction} the vendor's: set it"
    if outcome.http_status in (401, 403) or "AUTH" in (outcome.error_code or "").upper():
        return "check AIGC_ACCESS_KEY and AIGC_SECRET_KEY"
    if outcome.http_status == 407:
        return "the proxy wants credentials: check HTTPS_PROXY"
    return "check AIGC_ENDPOINT"


def report(what: str, code: str | None, workflow: str, fields: dict[str, Any]) -> None:
    """Report to Sentry, where it is wanted."""
    if _sentry is None:
        return
    tags = {"outcome": what, "error_code": code or "", "workflow": workflow}
    tags |= {name: fields.get(name) or "" for name in ("job", "request")}
    _sentry.report(
        " ".join(filter(None, (what, workflow, code))),
        level="fatal" if what == "misconfigured" else "error",
        fingerprint=[what, code or "", workflow],
        tags={name: value for name, value in tags.items() if value},
        extra={name: value for name, value in fields.items() if value is not None},
    )
