"""What an attempt's answer changes: in the backlog, in the endpoint's health, and in Redis."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import replace
from typing import Any, Final

from tasks.times import utc_iso
from worker.observability import Reporter
from worker.services.forward.answers import Answer, WebhookOutcome
from worker.services.forward.backlog import Backlog, Item
from worker.services.forward.endpoint import Endpoint
from worker.services.forward.health import RELEASE_AFTER_MS, Health
from worker.services.forward.schedule import next_attempt_ms
from worker.store.forward_state import Changes, ForwardState
from worker.store.forward_values import Entry, WebhookRetry

log = logging.getLogger(__name__)

GONE: Final = "gone_ms"
"""Field of the state: when the endpoint answered that it wants no more."""


class Settling:
    """Collects what is to be written, and writes it in one piece; for one thread.

    Args:
        state: the endpoint's, in Redis.
    """

    def __init__(self, endpoint: Endpoint, state: ForwardState, backlog: Backlog, health: Health) -> None:
        self._endpoint = endpoint
        self._state = state
        self._backlog = backlog
        self._health = health
        self._reporter = Reporter()
        self._error = ""
        self._is_left_told = False
        self.changes = Changes()
        self.is_gone = False

    def flush(self) -> None:
        """Write what there is. Where it raises, it is all still to be written."""
        if self.changes:
            self._state.write(self.changes)
            self.changes = Changes()

    def answered(self, item: Item, answer: Answer, now_ms: int) -> None:
        """An attempt has ended."""
        retry = item.retry
        first_ms = now_ms if retry.first_ms is None else retry.first_ms
        tried = replace(
            retry, attempts=retry.attempts + 1, first_ms=first_ms, due_ms=now_ms, error=answer.words
        )
        match answer.outcome:
            case WebhookOutcome.DELIVERED:
                self._delivered(item, tried, now_ms)
            case WebhookOutcome.GONE:
                self._gone(item, tried, now_ms)
            case WebhookOutcome.FAILED:
                self._failed(item, tried, answer, now_ms)

    def _delivered(self, item: Item, tried: WebhookRetry, now_ms: int) -> None:
        self._finished(item)
        self.changes.count("delivered")
        log.info("webhook delivered", extra={"fields": self._fields(item, tried, "")})
        failing_since_ms = self._health.succeeded()
        if failing_since_ms is not None:
            self.changes.state |= {"failing_since_ms": None, "told": None, "last_error": None}
            if now_ms - failing_since_ms >= RELEASE_AFTER_MS:
                self._backlog.release(now_ms)
            log.info("%s takes webhooks again, after %.0f s", self._shown, (now_ms - failing_since_ms) / 1000)

    def _failed(self, item: Item, tried: WebhookRetry, answer: Answer, now_ms: int) -> None:
        self._health.failed(now_ms, item.key, answer.retry_after_s)
        self._say_failing(answer.words)
        assert tried.first_ms is not None
        due_ms = next_attempt_ms(tried.first_ms, now_ms, random.random())
        fields = self._fields(item, tried, answer.words)
        if due_ms is None:
            self._bury(item, tried, now_ms)
            words = "a webhook was not taken for a day, and is given up; see aigc forward failed"
            self._reporter.not_forwarded("webhook_given_up", words, fields)
            return
        log.warning("webhook failed", extra={"fields": fields | {"again_s": round((due_ms - now_ms) / 1000)}})
        self._keep(item, tried, due_ms)

    def _gone(self, item: Item, tried: WebhookRetry, now_ms: int) -> None:
        self._keep(item, tried, now_ms)
        if self.is_gone:
            return
        self.is_gone = True
        self.changes.state[GONE] = str(now_ms)
        words = f"{self._shown} answers HTTP 410: forwarding to it ends. To begin again: --again"
        self._reporter.not_forwarded("webhook_endpoint_gone", words, self._fields(item, tried, "HTTP 410"))

    def _keep(self, item: Item, tried: WebhookRetry, due_ms: int) -> None:
        retry = replace(tried, due_ms=due_ms)
        self._backlog.put_back(item, retry)
        item.is_kept = True
        self.changes.retries.append(retry)

    def _say_failing(self, words: str) -> None:
        since = str(self._health.failing_since_ms)
        if (since, words) != (self.changes.state.get("failing_since_ms"), self._error):
            self._error = words
            self.changes.state |= {"failing_since_ms": since, "last_error": words}

    def tell(self, now_ms: int) -> None:
        """Tell people once where the endpoint has been failing for long."""
        if self._health.to_tell(now_ms) and self._health.failing_since_ms is not None:
            seconds = (now_ms - self._health.failing_since_ms) / 1000
            words = f"{self._shown} has taken no webhook for {seconds:.0f} s ({self._error}); they wait"
            fields = {"endpoint": self._shown, "error": self._error, "waiting": len(self._backlog)}
            self._reporter.not_forwarded("webhook_endpoint_failing", words, fields)
            self.changes.state["told"] = "1"

    def left(self, entry_id: str, why: str) -> None:
        """What only a later version can send stays unacknowledged, or a retry: that one finds it so."""
        if not self._is_left_told:
            self._is_left_told = True
            log.warning("entry %s is left to a newer version: %s", entry_id, why)

    def not_forwardable(self, entry: Entry, why: str, now_ms: int) -> None:
        """What stands in the stream is no message: it is put aside, for it can never be sent."""
        self.changes.done.append((entry.stream, entry.entry_id))
        text = (entry.text or b"")[:10_000].decode("utf-8", "replace")
        self._dead(WebhookRetry(entry.stream, entry.entry_id, ""), why, text, now_ms)
        fields = {"stream": entry.stream, "entry": entry.entry_id, "error": why}
        self._reporter.not_forwarded("webhook_impossible", "an entry of the stream is no message", fields)

    def trimmed(self, count: int) -> None:
        """So many messages were trimmed off the stream before they could be read."""
        self.changes.count("lost", count)
        words = (
            f"{count} messages were trimmed off the stream before {self._shown} got them: they are lost to it"
        )
        self._reporter.not_forwarded("webhooks_lost", words, {"endpoint": self._shown, "lost": count})

    def text_lost(self, item: Item, why: str, now_ms: int) -> None:
        """A message that was taken cannot be sent (again): its text is not there any more."""
        self.changes.count("lost")
        self._finished(item)
        self._dead(item.retry, why, None, now_ms)
        self._reporter.not_forwarded("webhooks_lost", why, self._fields(item, item.retry, why))

    def _bury(self, item: Item, tried: WebhookRetry, now_ms: int) -> None:
        text = item.webhook.text if item.webhook else tried.text
        self._finished(item)
        self._dead(tried, tried.error, text, now_ms)

    def _dead(self, retry: WebhookRetry, why: str, text: str | None, now_ms: int) -> None:
        document = {
            "stream": retry.stream,
            "entry": retry.entry_id,
            "jobId": retry.job or None,
            "attempts": retry.attempts,
            "firstAt": None if retry.first_ms is None else utc_iso(retry.first_ms / 1000),
            "failedAt": utc_iso(now_ms / 1000),
            "error": why,
            "text": text,
        }
        self.changes.failed.append(json.dumps(document))
        self.changes.count("failed")

    def _finished(self, item: Item) -> None:
        self._backlog.remove(item)
        self.changes.done.append((item.retry.stream, item.retry.entry_id))
        if item.is_kept:
            self.changes.finished_retries.append(item.key)

    def _fields(self, item: Item, tried: WebhookRetry, error: str) -> dict[str, Any]:
        webhook = item.webhook
        return {
            "webhook": webhook and webhook.message_id,
            "type": webhook and webhook.type,
            "job": tried.job,
            "attempts": tried.attempts,
            "error": error or None,
        }

    @property
    def _shown(self) -> str:
        return self._endpoint.shown
