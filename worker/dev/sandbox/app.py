"""The sandbox vendor as a starlette app: submit, query, the tasks' files, and the control API beside them."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from worker.dev.sandbox import faults, links, page, queries
from worker.dev.sandbox.control import control_routes
from worker.dev.sandbox.kinds import Target
from worker.dev.sandbox.served_request import HTML, JSON, XML, ServedRequest
from worker.dev.sandbox.state import Config, Sandbox


def create_app(config: Config) -> Starlette:
    """A sandbox of its own; its :class:`Sandbox` is ``app.state.sandbox``.

    Run by another server than :func:`worker.dev.sandbox.serve`, the faults that break the connection
    (hangs that end, resets) answer HTTP 500 instead.
    """
    sandbox = Sandbox(config)

    async def not_found(request: Request, error: Exception) -> Response:
        answer = page.envelope(None, page.NOT_FOUND, f"no interface {request.method} {request.url.path}")
        return Response(answer, config.error_status, media_type=JSON.decode())

    routes = [
        Route(page.SUBMIT_PATH, Submit(sandbox), methods=["POST"]),
        Route(page.QUERY_PATH, Query(sandbox), methods=["GET"]),
        Route(links.FOLDER + "{name}", TaskFile(sandbox), methods=["GET"]),
        *control_routes(sandbox),
    ]
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})
    app.router.redirect_slashes = False
    app.state.sandbox = sandbox
    return app


class Submit:
    """``POST …/submitTask``.

    A bare ASGI endpoint, because load tests lean on it: starlette's request and response objects
    would cost more than all the checks together.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sandbox = self._sandbox
        served = ServedRequest(scope, receive, send, sandbox.connections)
        body = await served.read(page.BODY_MAX_BYTES)
        if body is None:
            await served.answer(413, b"", HTML, (b"connection", b"close"))
            return
        with sandbox.load.one():
            planned = sandbox.judge(served.headers, body)
            await _late(sandbox)
            if planned.fault is None:
                await served.answer(planned.status, planned.answer)
            else:
                await faults.strike(planned.fault, served, planned.answer, sandbox.config.error_status)


class Query:
    """``GET …/queryTask``."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sandbox = self._sandbox
        served = ServedRequest(scope, receive, send, sandbox.connections)
        query = scope["query_string"].decode("latin-1")
        planned = queries.judge(sandbox, served.headers, query, _base_url(scope, served))
        await _late(sandbox)
        if planned.fault is None:
            await served.answer(planned.status, planned.answer)
        else:
            await faults.strike(planned.fault, served, planned.answer, sandbox.config.error_status)


class TaskFile:
    """``GET`` of what a task made, by a link that expires."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sandbox = self._sandbox
        served = ServedRequest(scope, receive, send, sandbox.connections)
        name = scope["path"].removeprefix(links.FOLDER)
        why = links.refusal(quote(name, safe=""), scope["query_string"].decode("latin-1"), time.time())
        if why is not None:
            await served.answer(403, _storage_error("AccessDenied", why), XML)
            return
        found = queries.file_named(sandbox, name)
        if found is None:
            await served.answer(404, _storage_error("NoSuchKey", "The key does not exist."), XML)
            return
        task_id, task, file = found
        served.media_type = file.content_type.encode()
        rule = sandbox.fault(Target.FILE, task.rules, task_id.encode())
        if rule is None:
            await served.answer(200, file.content)
        else:
            await faults.strike(rule, served, file.content, sandbox.config.error_status)


def _base_url(scope: Scope, served: ServedRequest) -> str:
    return f"{scope['scheme']}://{served.headers.get(b'host', b'').decode('latin-1')}"


def _storage_error(code: str, message: str) -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{head}<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


async def _late(sandbox: Sandbox) -> None:
    delay_s = sandbox.delay_s()
    if delay_s:
        await asyncio.sleep(delay_s)
