"""The service as an ASGI app: `/metrics`, `/api/status`, `/healthz`, and `/` that leads there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tasks.frozen import value
from tasks.redis_errors import refusal
from worker.domain.remarks import Remarks
from worker.services.asgi import RETRY_AFTER_S
from worker.services.ui.exposition import CONTENT_TYPE, exposition
from worker.services.ui.guard import Guard
from worker.services.ui.looks import Look
from worker.store.metrics import Snapshot
from worker.store.retrying import Away

log = logging.getLogger(__name__)

HEALTH_WITHIN_S: Final = 0.7
"""Less than the second that probes mostly give."""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_INDEX: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>aigc</title>
<h1>aigc</h1>
<ul>
<li><a href="metrics">metrics</a>, for Prometheus
<li><a href="api/status">status</a>, as aigc status --json has it
<li><a href="healthz">healthz</a>, whether this service and its Redis are there
</ul>
</html>
"""


@value(frozen=True, slots=True)
class Sources:
    """Where the answers come from; each blocks, and raises where Redis is away."""

    snapshot: Callable[[], Snapshot]
    status: Callable[[], dict[str, Any]]
    ping: Callable[[], Any]


def create_app(sources: Sources, token: str | None) -> Starlette:
    """The app.

    Args:
        token: that is asked for, but at `/healthz`; None: only requests to a loopback name are answered.
    """
    text = Look(lambda: exposition(sources.snapshot()))
    status, ping = Look(sources.status), Look(sources.ping)
    remarks = Remarks()

    def answered(answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except Away as error:
            words = refusal(error) or f"Redis does not answer: {error}"
            if often := remarks.due("redis", time.monotonic()):
                log.error("Redis is away", extra={"fields": {"error": words, "times": often}})
            return PlainTextResponse(f"{words}\n", 503, {"retry-after": str(RETRY_AFTER_S)})

    # Without async: starlette runs these in threads, for Redis is waited for.
    def metrics(_: Request) -> Response:
        return answered(lambda: Response(text.get(), headers=_HEADERS, media_type=CONTENT_TYPE))

    def api_status(_: Request) -> Response:
        return answered(lambda: JSONResponse(status.get(), headers=_HEADERS))

    async def index(_: Request) -> Response:
        return HTMLResponse(_INDEX, headers=_HEADERS)

    async def healthz(_: Request) -> Response:
        # Not a fault of this process: starting it again would not bring Redis back.
        return JSONResponse({"status": "ok", "redis": "ok" if await is_there(ping.get) else "away"})

    routes = (("/", index), ("/metrics", metrics), ("/api/status", api_status), ("/healthz", healthz))
    app = Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes],
        middleware=[Middleware(Guard, token=token)],
    )
    app.router.redirect_slashes = False
    return app


async def is_there(ping: Callable[[], Any]) -> bool:
    """Whether Redis answers within `HEALTH_WITHIN_S`; what takes longer goes on in its thread."""

    def asked() -> bool:
        try:
            return bool(ping())
        except Away:
            return False

    task = asyncio.create_task(asyncio.to_thread(asked))
    done, _ = await asyncio.wait({task}, timeout=HEALTH_WITHIN_S)
    return task in done and task.result()
