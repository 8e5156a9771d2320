"""The service as an ASGI app: `POST /<source>` for each source, `GET /healthz`."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tasks.exceptions import BrokerUnavailable
from tasks.frozen import value
from tasks.times import utc_iso
from tasks.trace_context import TRACEPARENT, TRACESTATE
from tasks.tracing import trace_context
from worker.domain.remarks import Remarks
from worker.services.asgi import RETRY_AFTER_S
from worker.services.events.config import Config, Source
from worker.services.events.orders import Mapped, mapped
from worker.services.events.request_body import Bodies, Gone
from worker.services.events.values import Event, EventDelivery, Ignored, Refusal
from worker.store.events import Enqueued, EventQueue

log = logging.getLogger(__name__)

PROBLEMS_TOLD: Final = 20
PRODUCTS_AT_ONCE: Final = 100
"""Of an event that has more, others' deliveries come in between: their senders do not wait for long."""
REDIS_AWAY: Final = "Redis does not take events: senders are told to come again"
_BEFORE: Final = frozenset({"seen", "outdated"})
_CLOSING: Final = frozenset({408, 413, 503})
"""After these the connection is closed: what of the request has not been read is not waited for."""


@value(frozen=True, slots=True)
class Answer:
    """An HTTP status and what the body says."""

    status: int
    document: dict[str, Any]


def create_app(config: Config, events: EventQueue, queue: str) -> Starlette:
    """The app; `queue` is the list that jobs are for. Whoever makes it closes `events`."""
    bodies = Bodies()

    async def healthz(_: Request) -> Response:
        # Not a fault of this process: starting it again would not bring Redis back.
        return JSONResponse({"status": "ok", "redis": "ok" if await events.is_there() else "away"})

    routes = [Route("/healthz", healthz, methods=["GET"])]
    for source in config.sources:
        endpoint = Endpoint(source, events, queue, bodies)
        paths = [f"/{source.path}", *([f"/{source.path}/{{token}}"] if source.takes_token else [])]
        routes += [Route(path, endpoint, methods=["POST"]) for path in paths]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


class Endpoint:
    """`POST /<source>`: a bare ASGI app; starlette's requests and responses would cost more than all else."""

    def __init__(self, source: Source, events: EventQueue, queue: str, bodies: Bodies) -> None:
        self._source, self._events, self._queue, self._bodies = source, events, queue, bodies
        self._remarks = Remarks()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._bodies.read(scope, receive) as body:
                answer = await self._answer(scope, body)
        except Gone:
            return
        await _send(send, answer)

    async def _answer(self, scope: Scope, body: bytes | Refusal) -> Answer:
        if isinstance(body, Refusal):
            return self._refused(body)
        headers = _joined(scope["headers"])
        if headers.get("content-encoding", "identity").lower() != "identity":
            return self._refused(Refusal(415, "the body must be sent as it is, without Content-Encoding"))
        delivery = EventDelivery(headers, body, scope["path_params"].get("token", ""))
        verdict = self._source.read(delivery, self._source.secrets.current())
        match verdict:
            case Refusal():
                return self._refused(verdict)
            case Ignored():
                return await self._ignored(verdict)
            case Event():
                # The product's jobs are made in this block: they belong to the sender's trace.
                with trace_context(headers.get(TRACEPARENT), headers.get(TRACESTATE)):
                    return await self._take(verdict)

    async def _take(self, event: Event) -> Answer:
        source = self._source
        shop = source.shop_of_keys(event)
        problems, done = list[str](), list[Enqueued]()
        for part in event.parts(PRODUCTS_AT_ONCE):
            orders = mapped(source.name, part, source.map_product, self._queue, source.debounce_s, shop)
            problems += [problem for each in orders for problem in each.problems]
            try:
                done += await asyncio.gather(*(self._enqueue(event, each) for each in orders))
            except BrokerUnavailable as error:
                return self._redis_away(error)
            await asyncio.sleep(0)
        document: dict[str, Any] = {
            "queued": [job for each in done for job in each.queued],
            "known": [job for each in done for job in each.known],
            "problems": problems,
        }
        if done and all(each.verdict in _BEFORE for each in done):
            document["ignored"] = "this event, or a later one of the product, was taken before"
        return Answer(200, document)

    async def _enqueue(self, event: Event, each: Mapped) -> Enqueued:
        done = Enqueued("empty") if each.is_empty else await self._events.enqueue(each.order)
        fields: dict[str, Any] = {
            "source": self._source.name, "shop": event.shop or None, "topic": event.topic or None,
            "product": each.product.key or None, "verdict": _verdict(done), "queued": len(done.queued),
            "known": len(done.known), "replaced": done.replaced or None,
        }  # fmt: skip
        log.info("product event", extra={"fields": fields})
        if each.problems and done.verdict == "queued":
            await self._keep(fields, each.problems)
        return done

    async def _keep(self, fields: dict[str, Any], problems: Sequence[str]) -> None:
        words = "; ".join(problems[:3])
        log.warning("a product made less than it should", extra={"fields": {**fields, "error": words}})
        # What has been queued is answered for, whether or not this is kept as well.
        with suppress(BrokerUnavailable):
            await self._events.note(
                json.dumps({"at": utc_iso(), **fields, "problems": problems[:PROBLEMS_TOLD]})
            )

    async def _ignored(self, ignored: Ignored) -> Answer:
        if often := self._remarks.due(ignored.reason, time.monotonic()):
            fields = {"source": self._source.name, "times": often, "error": ignored.reason}
            log.info("a delivery made nothing", extra={"fields": fields})
        if ignored.keep:
            kept = {"at": utc_iso(), "source": self._source.name, "keep": ignored.keep}
            try:
                await self._events.note(json.dumps(kept))
            except BrokerUnavailable as error:
                return self._redis_away(error)
        return Answer(200, {"ignored": ignored.reason})

    def _refused(self, refusal: Refusal) -> Answer:
        if often := self._remarks.due(refusal.reason, time.monotonic()):
            fields = {
                "source": self._source.name, "http": refusal.status, "times": often, "error": refusal.reason,
            }  # fmt: skip
            log.warning("a delivery was refused", extra={"fields": fields})
        return Answer(refusal.status, {"error": refusal.reason})

    def _redis_away(self, error: BrokerUnavailable) -> Answer:
        if often := self._remarks.due("redis", time.monotonic()):
            fields = {
                "source": self._source.name,
                "times": often,
                "error": str(error),
            }
            log.error(REDIS_AWAY, extra={"fields": fields})
        return Answer(503, {"error": "Redis is away: send it again"})


def _verdict(done: Enqueued) -> str:
    """The same for the log, where nothing was queued that was not before."""
    if done.verdict != "queued" or done.queued:
        return done.verdict
    return "known" if done.known else "nothing"


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, given in headers:
        key, text = name.decode("latin-1"), given.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _send(send: Send, answer: Answer) -> None:
    body = json.dumps(answer.document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if answer.status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    if answer.status in _CLOSING:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
