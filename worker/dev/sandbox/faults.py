"""How each kind of fault looks from outside: the vendor's own errors, a gateway's, the network's."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from worker.dev.sandbox import page
from worker.dev.sandbox.exchange import HTML, Exchange
from worker.dev.sandbox.kinds import Kind, Target
from worker.dev.sandbox.odd_answers import ODD_ANSWERS
from worker.dev.sandbox.rules import Rule

REDIRECT_TARGET: Final = "/_sandbox/redirected"
_CHUNK: Final = b" " * 65536


_VENDOR_ERRORS: Final[Mapping[Kind, bytes]] = {
    Kind.SYS_ERROR: page.envelope(None, page.SYS_ERROR, "服务端未知异常"),
    Kind.PARAM_ERROR: page.envelope(None, page.PARAM_VALID_ERROR, "参数校验异常"),
    # The page prints this code with a colon at its end.
    Kind.COLON: page.envelope(None, page.PARAM_VALID_ERROR + ":", "参数校验异常"),
    Kind.AUTH_ERROR: page.envelope(None, page.AUTH_CHECK_ERROR, "签名校验错误"),
    Kind.NOT_FOUND: page.envelope(None, page.NOT_FOUND, "接口不存在"),
    Kind.UNKNOWN_CODE: page.envelope(
        None, "INTCNN_AIGC_QUOTA_EXCEEDED", "a code that the page does not name"
    ),
    Kind.LOWER_CASE: page.envelope(None, f" {page.PARAM_VALID_ERROR.lower()} : ", "参数校验异常"),
}

_PAGES: Final[Mapping[Kind, tuple[int, bytes]]] = {
    Kind.HTML_502: (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
    Kind.HTML_504: (504, b"<html><body><h1>504 Gateway Time-out</h1></body></html>"),
    Kind.GARBAGE: (200, b"<html><body>Welcome to the captive portal</body></html>"),
}


async def strike(rule: Rule, exchange: Exchange, success: bytes, error_status: int) -> None:
    """Answer, or do not, as the rule says.

    Args:
        success: the answer that a kind which accepts the job would have given; of a query the right answer,
            of a file its content.
        error_status: HTTP status of the vendor's own errors.
    """
    if rule.kind in _VENDOR_ERRORS:
        status = error_status if rule.argument is None else int(rule.argument)
        await exchange.answer(status, _VENDOR_ERRORS[rule.kind])
    elif rule.kind in _PAGES:
        status, html = _PAGES[rule.kind]
        await exchange.answer(status, html, HTML)
    elif rule.kind in ODD_ANSWERS:
        await exchange.answer(int(rule.amount), ODD_ANSWERS[rule.kind](_task_id(success)))
    else:
        await _OTHERS[rule.kind](rule, exchange, success)


def _task_id(success: bytes) -> str:
    model = json.loads(success)["model"]
    return str(model["taskId"] if isinstance(model, dict) else model)


async def _sys_error_500(rule: Rule, exchange: Exchange, success: bytes) -> None:
    await exchange.answer(500, _VENDOR_ERRORS[Kind.SYS_ERROR])


async def _too_busy(rule: Rule, exchange: Exchange, success: bytes) -> None:
    status = 429 if rule.kind is Kind.THROTTLE else 503
    # Retry-After counts whole seconds.
    extra = [] if rule.argument is None else [(b"retry-after", b"%d" % math.ceil(rule.argument))]
    await exchange.answer(status, b"<html><body>slow down</body></html>", HTML, *extra)


async def _status(rule: Rule, exchange: Exchange, success: bytes) -> None:
    await exchange.answer(int(rule.amount), b"<html><body>not by the application</body></html>", HTML)


async def _redirect(rule: Rule, exchange: Exchange, success: bytes) -> None:
    await exchange.answer(int(rule.amount), b"", HTML, (b"location", REDIRECT_TARGET.encode()))


async def _hang(rule: Rule, exchange: Exchange, success: bytes) -> None:
    if not await exchange.left(rule.amount):
        await exchange.drop(reset=False)


async def _reset(rule: Rule, exchange: Exchange, success: bytes) -> None:
    await exchange.drop(reset=True)


async def _cut(rule: Rule, exchange: Exchange, success: bytes) -> None:
    if rule.target is Target.FILE:
        end = len(success) // 2
    else:
        task_id = _task_id(success).encode()
        end = success.index(task_id) + len(task_id)
    await exchange.break_off(int(rule.amount), len(success), success[:end])


async def _slow(rule: Rule, exchange: Exchange, success: bytes) -> None:
    if not await exchange.left(rule.amount / 1000):
        await exchange.answer(200, success)


async def _drip(rule: Rule, exchange: Exchange, success: bytes) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for byte in success:
            yield bytes((byte,))
            if await exchange.left(rule.amount):
                return

    await exchange.stream(len(success), drops())


async def _huge(rule: Rule, exchange: Exchange, success: bytes) -> None:
    chunks = int(rule.amount * 1_000_000) // len(_CHUNK) + 1

    async def padded() -> AsyncIterator[bytes]:
        is_file = rule.target is Target.FILE  # one that begins as it should
        if is_file:
            yield success
        for _ in range(chunks):
            yield _CHUNK
        if not is_file:
            yield success

    await exchange.stream(chunks * len(_CHUNK) + len(success), padded())


_OTHERS: Final[Mapping[Kind, Callable[[Rule, Exchange, bytes], Awaitable[None]]]] = {
    Kind.SYS_ERROR_500: _sys_error_500,
    Kind.THROTTLE: _too_busy,
    Kind.BUSY: _too_busy,
    Kind.STATUS: _status,
    Kind.REDIRECT: _redirect,
    Kind.HANG: _hang,
    Kind.HANG_BEFORE: _hang,
    Kind.RESET: _reset,
    Kind.RESET_AFTER_ACCEPT: _reset,
    Kind.CUT: _cut,
    Kind.SLOW: _slow,
    Kind.DRIP: _drip,
    Kind.HUGE: _huge,
}
