"""``/_sandbox/…``: what a test reads from the sandbox and changes in it while it runs.

Open to whoever reaches the port, like everything here: a test server, not one for a public network.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from worker.dev.sandbox import rules
from worker.dev.sandbox.ledger import Post, busiest
from worker.dev.sandbox.queries import shown
from worker.dev.sandbox.state import Sandbox
from worker.domain.signing import Credentials

Change = Callable[[Any], None]


def control_routes(sandbox: Sandbox) -> list[BaseRoute]:
    """The routes of the control API, for one sandbox."""
    observe, change = _Observe(sandbox), _Change(sandbox)
    return [
        Mount(
            "/_sandbox",
            routes=[
                Route("/health", observe.health),
                Route("/stats", observe.stats),
                Route("/ledger", observe.ledger),
                Route("/posts", observe.posts),
                Route("/arrivals", observe.arrivals),
                Route("/queries", observe.queries),
                Route("/tasks", observe.tasks),
                Route("/tasks/{task_id}", observe.task),
                Route("/redirected", observe.redirected, methods=["GET", "POST", "PUT", "DELETE"]),
                Route("/rules", _changing(change.rules), methods=["POST"]),
                Route("/latency", _changing(change.latency), methods=["POST"]),
                Route("/keys", _changing(change.keys), methods=["POST"]),
                Route("/reset", _changing(change.reset), methods=["POST"]),
            ],
        )
    ]


class _Observe:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def stats(self, request: Request) -> Response:
        return JSONResponse(self._sandbox.stats())

    async def ledger(self, request: Request) -> Response:
        billed = (post for post in self._sandbox.ledger.posts if post.task_id is not None)
        return JSONResponse([post.to_json() for post in billed if _wanted(post, request)])

    async def posts(self, request: Request) -> Response:
        return JSONResponse([post.to_json() for post in self._sandbox.ledger.posts if _wanted(post, request)])

    async def arrivals(self, request: Request) -> Response:
        window_s = _window_s(request)
        if window_s is None:
            return _NO_WINDOW
        times = [post.arrived for post in self._sandbox.ledger.posts]
        return JSONResponse({"arrivals": times, "busiest_window": busiest(times, window_s)})

    async def queries(self, request: Request) -> Response:
        window_s = _window_s(request)
        return _NO_WINDOW if window_s is None else JSONResponse(self._sandbox.queries.to_json(window_s))

    async def tasks(self, request: Request) -> Response:
        posts = [post for post in self._sandbox.ledger.posts if post.task is not None]
        # Each file is made for its hash: queries need not wait for that.
        return JSONResponse(await asyncio.to_thread(lambda: [shown(post) for post in posts]))

    async def task(self, request: Request) -> Response:
        post = self._sandbox.ledger.task(request.path_params["task_id"])
        if post is None:
            return JSONResponse({"error": "taskId is not known"}, status_code=404)
        return JSONResponse(shown(post))

    async def redirected(self, request: Request) -> Response:
        self._sandbox.redirects_followed += 1
        return JSONResponse({"error": "the redirect was followed"})


_NO_WINDOW = JSONResponse({"error": "window_s must be a number of seconds"}, status_code=400)


def _window_s(request: Request) -> float | None:
    try:
        return float(request.query_params.get("window_s", "1"))
    except ValueError:
        return None


def _wanted(post: Post, request: Request) -> bool:
    shown = post.to_json()
    return all(shown.get(name) == value for name, value in request.query_params.items())


class _Change:
    """Each takes the request's JSON and raises ValueError, TypeError or KeyError where it is wrong."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def rules(self, wanted: Any) -> None:
        self._sandbox.play([rules.parse(text) for text in wanted["rules"]])

    def latency(self, wanted: Any) -> None:
        base, jitter = float(wanted["latency_ms"]), float(wanted.get("jitter_ms", 0))
        if not (0 <= base <= 3_600_000 and 0 <= jitter <= 3_600_000):
            raise ValueError("latency_ms and jitter_ms must be from 0 to 3600000")
        self._sandbox.latency_ms, self._sandbox.jitter_ms = base, jitter

    def keys(self, wanted: Any) -> None:
        self._sandbox.keys = [Credentials(pair["access_key"], pair["secret_key"]) for pair in wanted["keys"]]

    def reset(self, wanted: Any) -> None:
        self._sandbox.reset()


def _changing(change: Change) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            change(json.loads(await request.body() or b"{}"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)
        return JSONResponse({"ok": True})

    return endpoint
