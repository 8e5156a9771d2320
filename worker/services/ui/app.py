"""The service as an ASGI app: `/metrics`, `/api/status` and `/healthz` for programs, the rest for people."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tasks.frozen import value
from tasks.redis_errors import refusal
from worker.domain.remarks import Remarks
from worker.services.asgi import RETRY_AFTER_S
from worker.services.ui import pages, posts
from worker.services.ui.context import Site
from worker.services.ui.exposition import CONTENT_TYPE, exposition
from worker.services.ui.guard import Guard
from worker.services.ui.html import HEADERS, HERE
from worker.services.ui.looks import Look
from worker.store.metrics import Snapshot
from worker.store.redis_wait import Away

log = logging.getLogger(__name__)

HEALTH_WITHIN_S: Final = 0.7
"""Less than the second that probes mostly give."""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@value(frozen=True, slots=True)
class Sources:
    """Where the answers come from; each blocks, and raises where Redis is away."""

    snapshot: Callable[[], Snapshot]
    status: Callable[[], dict[str, Any]]
    ping: Callable[[], Any]


def create_app(sources: Sources, site: Site) -> Starlette:
    """The app.

    Args:
        site: with whose token, but at `/healthz`, one may look; without one only requests to a loopback name
            are answered.
    """
    app = Starlette(
        routes=[*_of_programs(sources), *_of_people(site)],
        middleware=[Middleware(Guard, token=site.access.token, sessions=site.sessions)],
        exception_handlers={HTTPException: lambda request, error: _refused(site, request, error)},
    )
    app.router.redirect_slashes = False
    return app


def _of_programs(sources: Sources) -> list[BaseRoute]:
    text = Look(lambda: exposition(sources.snapshot()))
    status, ping = Look(sources.status), Look(sources.ping)
    away = AwayInWords()

    def answered(answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except Away as error:
            return PlainTextResponse(f"{away.told(error)}\n", 503, {"retry-after": str(RETRY_AFTER_S)})

    # Without async: starlette runs these in threads, for Redis is waited for.
    def metrics(_: Request) -> Response:
        return answered(lambda: Response(text.get(), headers=_HEADERS, media_type=CONTENT_TYPE))

    def api_status(_: Request) -> Response:
        return answered(lambda: JSONResponse(status.get(), headers=_HEADERS))

    async def healthz(_: Request) -> Response:
        # Not a fault of this process: starting it again would not bring Redis back.
        return JSONResponse({"status": "ok", "redis": "ok" if await is_there(ping.get) else "away"})

    routes = (("/metrics", metrics), ("/api/status", api_status), ("/healthz", healthz))
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in routes]


def _of_people(site: Site) -> list[BaseRoute]:
    away = AwayInWords()

    def looked(page: Callable[[Site, Request], Response]) -> Any:
        async def answer(site: Site, request: Request) -> Response:
            return await run_in_threadpool(page, site, request)

        return acted(answer)

    def acted(act: Callable[[Site, Request], Awaitable[Response]]) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                return await act(site, request)
            except Away as error:
                title = "Redis refuses" if refusal(error) else "Redis does not answer"
                wait = {"retry-after": str(RETRY_AFTER_S)}
                return site.problem(request, 503, title, away.told(error), **wait)

        return endpoint

    return [
        Route("/", looked(pages.front), methods=["GET"]),
        Route("/dead-letters/{job_id:path}", looked(pages.job), methods=["GET"]),
        Route("/decisions", acted(posts.propose), methods=["POST"]),
        Route("/decisions/{name}", looked(pages.asked), methods=["GET"]),
        Route("/decisions/{name}", acted(posts.decide), methods=["POST"]),
        Route("/login", looked(posts.login_page), methods=["GET"]),
        Route("/login", acted(posts.log_in), methods=["POST"]),
        Route("/logout", acted(posts.log_out), methods=["POST"]),
        Mount("/static", _Static(directory=HERE / "static")),
    ]


class _Static(StaticFiles):
    """Files that are the same for everybody; a browser asks each time whether they still are."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers.update({**HEADERS, "cache-control": "no-cache"})
        return answer


class AwayInWords:
    """Why Redis gives no answer: in the log now and then, to whoever asks each time."""

    def __init__(self) -> None:
        self._remarks = Remarks()

    def told(self, error: BaseException) -> str:
        """What is said of it."""
        words = refusal(error) or f"Redis does not answer: {error}"
        if often := self._remarks.due("redis", time.monotonic()):
            log.error("Redis is away", extra={"fields": {"error": words, "times": often}})
        return words


def _refused(site: Site, request: Request, error: Exception) -> Response:
    """A path that is none, or not for this method."""
    assert isinstance(error, HTTPException)
    if "aigc_session" not in request.scope:  # at a path that is open to all
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
    answer = site.problem(request, error.status_code, error.detail, f"{request.method} {request.url.path}")
    answer.headers.update(error.headers or {})
    return answer


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
