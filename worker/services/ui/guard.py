"""Who may look: with a token whoever has it, without one only who speaks to this machine by its own name."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.checks import is_loopback

OPEN_PATHS: Final = frozenset({"/healthz"})
"""For probes, which cannot know a token; nothing of the queue is told there."""


class Guard:
    """An ASGI app before another one.

    Args:
        token: None where none is asked for.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None if scope["path"] in OPEN_PATHS else self._refusal(Headers(scope=scope))
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if self._token is None:
            if is_own_name(headers.get("host", "")):
                return None
            words = "without AIGC_UI_TOKEN only requests to this machine's own name are answered: localhost\n"
            return PlainTextResponse(words, 403)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if hmac.compare_digest(given.strip().encode(), self._token) and scheme.lower() == "bearer":
            return None
        words = "send the token: Authorization: Bearer …\n"
        return PlainTextResponse(words, 401, {"www-authenticate": 'Bearer realm="aigc"'})


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine's loopback: a page elsewhere could have a name of its own lead
    here, and read what a browser on this machine gets."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())
