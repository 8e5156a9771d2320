"""Webhooks to one endpoint: signed, one POST each, within bounds of time and bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, ProxyError, SSLError, Timeout
from standardwebhooks import Webhook as Signer

from tasks.trace_context import headers_of
from worker.services.forward.answers import Answer, of_failure, of_response
from worker.services.forward.bounded import BoundedAdapter, answer_within, left_s
from worker.services.forward.endpoint import Endpoint
from worker.services.forward.spans import WebhookSpans
from worker.services.forward.webhook import Webhook
from worker.vendor.connector import Connector

if TYPE_CHECKING:
    from worker.observability.tracer import Tracer

CONNECT_S: Final = 5.0
ANSWER_S: Final = 15.0
"""From the beginning of an attempt to the end of its answer."""

ATTEMPT_MAX_S: Final = ANSWER_S + CONNECT_S
_BODY_MOST: Final = 65_536
"""So much of an answer is read to keep the connection for the next webhook, and thrown away."""


class WebhookClient:
    """Sends webhooks; thread-safe: each thread has connections of its own, and keeps them.

    Args:
        endpoint: where they go. Trust and proxies are those of the environment, as for the vendor.
        secrets: each makes a signature, so that an endpoint which knows one of them is content.
        tracer: makes a span for each attempt, where traces are on.

    Raises:
        ValueError: the environment's proxy or CA bundle cannot be used.
    """

    def __init__(self, endpoint: Endpoint, secrets: Sequence[str], tracer: Tracer | None = None) -> None:
        self._url = endpoint.url
        self._spans = WebhookSpans(tracer, endpoint.origin) if tracer is not None else None
        self._connector = Connector(endpoint.origin)
        self._signers = [Signer(secret) for secret in secrets]
        self._agent = f"aigc-worker/{metadata.version('aigc-worker')}"
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []

    def post(self, webhook: Webhook) -> Answer:
        """Make one attempt. Never raises; takes 20 s at most, names that do not resolve aside."""
        if self._spans is None:
            return self._attempt(webhook)
        span = self._spans.begin(webhook)
        answer = self._attempt(replace(webhook, trace=span.context))
        self._spans.end(span, answer)
        return answer

    def _attempt(self, webhook: Webhook) -> Answer:
        began = time.monotonic()
        answer_within(ANSWER_S)
        # Any class: urllib3's own come through here and there, and nothing of it may end the thread.
        try:
            try:
                return self._post(webhook)
            except requests.ConnectionError as error:
                if not (self._of_thread.is_kept and _was_closed(error)):
                    raise
                # A kept connection, that the endpoint closed just then: no fault of it. The id is the same.
                return self._post(webhook)
        except Exception as error:
            return of_failure(_words(error, time.monotonic() - began))

    def _post(self, webhook: Webhook) -> Answer:
        session = self._session()
        with session.post(
            self._url,
            data=webhook.body.encode(),
            headers=self._headers(webhook),
            timeout=(min(CONNECT_S, left_s()), left_s()),
            allow_redirects=False,
            stream=True,
        ) as response:
            # Its status is the answer: a body that is lost, or never ends, makes no other of it.
            with suppress(Exception):
                response.raw.read(_BODY_MOST, decode_content=False)
            self._of_thread.is_kept = True
            return of_response(response.status_code, response.headers.get("Retry-After"))

    def close(self) -> None:
        """Close all connections; once no thread sends."""
        for session in self._sessions:
            session.close()

    def _headers(self, webhook: Webhook) -> dict[str, str]:
        now = datetime.now(UTC)
        signatures = [signer.sign(webhook.message_id, now, webhook.body) for signer in self._signers]
        return {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "Accept-Encoding": "identity",
            "webhook-id": webhook.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
            **headers_of(webhook.trace),
        }

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            self._of_thread.is_kept = False
            session = self._of_thread.session = self._connector.session()
            for prefix, adapter in list(session.adapters.items()):
                assert isinstance(adapter, HTTPAdapter)
                session.mount(prefix, BoundedAdapter(adapter))
            self._sessions.append(session)
        return session


def _words(error: Exception, seconds: float) -> str:
    """Why no answer came. Not the error's own words, which may hold the URL."""
    match error:
        case ConnectTimeout():
            return f"no connection within {CONNECT_S:.0f} s"
        case Timeout() | TimeoutError():
            return f"no answer within {seconds:.0f} s"
        case SSLError():
            return "its certificate, or its TLS, cannot be used"
        case ProxyError():
            return "the proxy of the environment does not let it through"
        case requests.ConnectionError() if seconds >= ANSWER_S:
            return f"no answer within {seconds:.0f} s"
        case requests.ConnectionError():
            return f"no connection, or it was lost ({type(_bottom(error)).__name__})"
        case _:
            return f"no answer that can be read ({type(error).__name__})"


def _was_closed(error: Exception) -> bool:
    """Whether the other side closed the connection before it answered."""
    return isinstance(_bottom(error), (ConnectionResetError, BrokenPipeError))  # http.client's own among them


def _bottom(error: BaseException) -> BaseException:
    """What lies at the bottom of an error."""
    seen = 0
    while seen < 10:
        reason = getattr(error, "reason", None)
        below = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
        if below is None or below is error:
            break
        error, seen = below, seen + 1
    return error
