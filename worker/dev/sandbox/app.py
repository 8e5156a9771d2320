"""The sandbox vendor as a starlette app: submit, query, and the control API beside them."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from worker.dev.sandbox import faults, page
from worker.dev.sandbox.control import control_routes
from worker.dev.sandbox.exchange import HTML, JSON, Exchange
from worker.dev.sandbox.state import Config, Sandbox


def create_app(config: Config) -> Starlette:
    """A sandbox of its own; its :class:`Sandbox` is ``app.state.sandbox``.

    Run by another server than :func:`worker.dev.sandbox.serve`, the faults that break the connection
    (hangs that end, resets) answer HTTP 500 instead.
    """
    sandbox = Sandbox(config)

    async def query(request: Request) -> Response:
        return _query(sandbox, request)

    async def not_found(request: Request, error: Exception) -> Response:
        answer = page.envelope(None, page.NOT_FOUND, f"no interface {request.method} {request.url.path}")
        return Response(answer, config.error_status, media_type=JSON.decode())

    routes = [
        Route(page.SUBMIT_PATH, Submit(sandbox), methods=["POST"]),
        Route(page.QUERY_PATH, query),
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
        exchange = Exchange(scope, receive, send, sandbox.connections)
        body = await exchange.read(page.BODY_MAX_BYTES)
        if body is None:
            await exchange.answer(413, b"", HTML, (b"connection", b"close"))
            return
        with sandbox.load.one():
            verdict = sandbox.judge(exchange.headers, body)
            delay_s = sandbox.delay_s()
            if delay_s:
                await asyncio.sleep(delay_s)
            if verdict.fault is None:
                await exchange.answer(verdict.status, verdict.answer)
            else:
                await faults.strike(verdict.fault, exchange, verdict.answer, sandbox.config.error_status)


def _query(sandbox: Sandbox, request: Request) -> Response:
    """Every task is finished at once; the picture's address is the sandbox's own and leads nowhere."""
    task_id = request.query_params.get("taskId", "")
    if sandbox.ledger.task(task_id) is None:
        answer = page.envelope(None, page.PARAM_VALID_ERROR, "taskId is not known")
        return Response(answer, sandbox.config.error_status, media_type=JSON.decode())
    path = str(request.url.replace(path=f"/_sandbox/output/{task_id}.png", query=""))
    model = {"taskId": task_id, "status": "SUCCESS", "ossPath": path}
    return JSONResponse({"success": True, "model": model, "errorCode": None, "errorMsg": None})
