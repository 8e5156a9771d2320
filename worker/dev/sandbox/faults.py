"""How each kind of fault looks from outside: the vendor's own errors, a gateway's, the network's."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from worker.dev.sandbox import page
from worker.dev.sandbox.kinds import FaultKind, Target
from worker.dev.sandbox.odd_answers import ODD_ANSWERS
from worker.dev.sandbox.rules import Rule
from worker.dev.sandbox.served_request import HTML, ServedRequest

REDIRECT_TARGET: Final = "/_sandbox/redirected"
_CHUNK: Final = b" " * 65536


_VENDOR_ERRORS: Final[Mapping[FaultKind, bytes]] = {
    FaultKind.SYS_ERROR: page.envelope(None, page.SYS_ERROR, "服务端未知异常"),
    FaultKind.PARAM_ERROR: page.envelope(None, page.PARAM_VALID_ERROR, "参数校验异常"),
    # The page prints this code with a colon at its end.
    FaultKind.COLON: page.envelope(None, page.PARAM_VALID_ERROR + ":", "参数校验异常"),
    FaultKind.AUTH_ERROR: page.envelope(None, page.AUTH_CHECK_ERROR, "签名校验错误"),
    FaultKind.NOT_FOUND: page.envelope(None, page.NOT_FOUND, "接口不存在"),
    FaultKind.UNKNOWN_CODE: page.envelope(
        None, "INTCNN_AIGC_QUOTA_EXCEEDED", "a code that the page does not name"
    ),
    FaultKind.LOWER_CASE: page.envelope(None, f" {page.PARAM_VALID_ERROR.lower()} : ", "参数校验异常"),
}

_PAGES: Final[Mapping[FaultKind, tuple[int, bytes]]] = {
    FaultKind.HTML_502: (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
    FaultKind.HTML_504: (504, b"<html><body><h1>504 Gateway Time-out</h1></body></html>"),
    FaultKind.GARBAGE: (200, b"<html><body>Welcome to the captive portal</body></html>"),
}


async def strike(rule: Rule, served: ServedRequest, success: bytes, error_status: int) -> None:
    """Answer, or do not, as the rule says.

    Args:
        success: the answer that a kind which accepts the job would have given; of a query the right answer,
            of a file its content.
        error_status: HTTP status of the vendor's own errors.
    """
    if rule.kind in _VENDOR_ERRORS:
        status = error_status if rule.argument is None else int(rule.argument)
        await served.answer(status, _VENDOR_ERRORS[rule.kind])
    elif rule.kind in _PAGES:
        status, html = _PAGES[rule.kind]
        await served.answer(status, html, HTML)
    elif rule.kind in ODD_ANSWERS:
        await served.answer(int(rule.amount), ODD_ANSWERS[rule.kind](_task_id(success)))
    else:
        await _OTHERS[rule.kind](rule, served, success)


def _task_id(success: bytes) -> str:
    model = json.loads(success)["model"]
    return str(model["taskId"] if isinstance(model, dict) else model)


async def _sys_error_500(rule: Rule, served: ServedRequest, success: bytes) -> None:
    await served.answer(500, _VENDOR_ERRORS[FaultKind.SYS_ERROR])


async def _too_busy(rule: Rule, served: ServedRequest, success: bytes) -> None:
    status = 429 if rule.kind is FaultKind.THROTTLE else 503
    # Retry-After counts whole seconds.
    extra = [] if rule.argument is None else [(b"retry-after", b"%d" % math.ceil(rule.argument))]
    await served.answer(status, b"<html><body>slow down</body></html>", HTML, *extra)


async def _status(rule: Rule, served: ServedRequest, success: bytes) -> None:
    await served.answer(int(rule.amount), b"<html><body>not by the application</body></html>", HTML)


async def _redirect(rule: Rule, served: ServedRequest, success: bytes) -> None:
    await served.answer(int(rule.amount), b"", HTML, (b"location", REDIRECT_TARGET.encode()))


async def _hang(rule: Rule, served: ServedRequest, success: bytes) -> None:
    if not await served.left(rule.amount):
        await served.drop(reset=False)


async def _reset(rule: Rule, served: ServedRequest, success: bytes) -> None:
    await served.drop(reset=True)


async def _cut(rule: Rule, served: ServedRequest, success: bytes) -> None:
    if rule.target is Target.FILE:
        end = len(success) // 2
    else:
        task_id = _task_id(success).encode()
        end = success.index(task_id) + len(task_id)
    await served.break_off(int(rule.amount), len(success), success[:end])


async def _slow(rule: Rule, served: ServedRequest, success: bytes) -> None:
    if not await served.left(rule.amount / 1000):
        await served.answer(200, success)


async def _drip(rule: Rule, served: ServedRequest, success: bytes) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for byte in success:
            yield bytes((byte,))
            if await served.left(rule.amount):
                return

    await served.stream(len(success), drops())


async def _huge(rule: Rule, served: ServedRequest, success: bytes) -> None:
    chunks = int(rule.amount * 1_000_000) // len(_CHUNK) + 1

    async def padded() -> AsyncIterator[bytes]:
        is_file = rule.target is Target.FILE  # one that begins as it should
        if is_file:
            yield success
        for _ in range(chunks):
            yield _CHUNK
        if not is_file:
            yield success

    await served.stream(chunks * len(_CHUNK) + len(success), padded())


_OTHERS: Final[Mapping[FaultKind, Callable[[Rule, ServedRequest, bytes], Awaitable[None]]]] = {
    FaultKind.SYS_ERROR_500: _sys_error_500,
    FaultKind.THROTTLE: _too_busy,
    FaultKind.BUSY: _too_busy,
    FaultKind.STATUS: _status,
    FaultKind.REDIRECT: _redirect,
    FaultKind.HANG: _hang,
    FaultKind.HANG_BEFORE: _hang,
    FaultKind.RESET: _reset,
    FaultKind.RESET_AFTER_ACCEPT: _reset,
    FaultKind.CUT: _cut,
    FaultKind.SLOW: _slow,
    FaultKind.DRIP: _drip,
    FaultKind.HUGE: _huge,
}
