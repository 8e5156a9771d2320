"""The spans of webhooks: one for each attempt, in the trace of the job that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.services.forward.answers import Answer, WebhookOutcome
from worker.services.forward.webhook import Webhook

if TYPE_CHECKING:
    from worker.observability.tracer import Span, Tracer


class WebhookSpans:
    """Begins and ends them. Thread-safe.

    Args:
        origin: scheme, host and port of the endpoint; the rest of its URL may hold a secret.
    """

    def __init__(self, tracer: Tracer, origin: str) -> None:
        self._tracer = tracer
        parts = urlsplit(origin)
        self._of_all: dict[str, str | int] = {
            "http.request.method": "POST",
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }

    def begin(self, webhook: Webhook) -> Span:
        """Begin the span of an attempt; what it sends carries that one's context."""
        about = {**self._of_all, "aigc.webhook.id": webhook.message_id, "aigc.webhook.type": webhook.type}
        return self._tracer.begin("POST", "client", webhook.trace, about)

    def end(self, span: Span, answer: Answer) -> None:
        if answer.status is not None:
            span.note({"http.response.status_code": answer.status})
        if answer.outcome is not WebhookOutcome.DELIVERED:
            span.fail(str(answer.status or "no_answer"))
        span.end()
