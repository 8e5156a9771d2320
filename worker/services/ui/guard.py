"""Who may look: with a token whoever has it, without one only who speaks to this machine by its own name."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.checks import is_loopback
from worker.services.ui.sessions import Session, Sessions

OPEN_PATHS: Final = frozenset({"/healthz"})
"""For probes, which cannot know a token; nothing of the queue is told there."""

LOGIN: Final = "/login"
STATIC: Final = "/static/"
ENDED: Final = "ended=1"
"""The query of the login page for whoever posted, and had no session any more."""


class Guard:
    """An ASGI app before another one; it leaves the session, or None, in the scope as ``aigc_session``.

    Args:
        token: None where none is asked for.
    """

    def __init__(self, app: ASGIApp, token: str | None, sessions: Sessions) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            session = scope["aigc_session"] = self._session(scope, headers)
            refused = self._refusal(scope, headers, session)
        await (refused or self._app)(scope, receive, send)

    def _session(self, scope: Scope, headers: Headers) -> Session | None:
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(scope))
        return self._sessions.read(cookie) if cookie else None

    def _refusal(self, scope: Scope, headers: Headers, session: Session | None) -> Response | None:
        if self._token is None:
            if is_own_name(headers.get("host", "")):
                return None
            words = "without AIGC_UI_TOKEN only requests to this machine's own name are answered: localhost\n"
            return PlainTextResponse(words, 403)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if hmac.compare_digest(given.strip().encode(), self._token) and scheme.lower() == "bearer":
            return None
        path = scope["path"]
        if (session and session.who) or path == LOGIN or path.startswith(STATIC):
            return None
        if not given and "text/html" in headers.get("accept", ""):
            # Whoever posts had a session when the form was shown to them.
            ended = f"?{ENDED}" if scope["method"] == "POST" else ""
            return RedirectResponse(up(path) + LOGIN[1:] + ended, 303, {"cache-control": "no-store"})
        words = "send the token: Authorization: Bearer …\n"
        return PlainTextResponse(words, 401, {"www-authenticate": 'Bearer realm="aigc"'})


def cookie_name(scope: Scope) -> str:
    """By port: browsers give the cookies of one to the others, and each may be the page of another queue."""
    server = scope.get("server") or ("", 0)
    return f"aigc-ui-{server[1]}"


def up(path: str) -> str:
    """From this path to `/`, relatively: whoever puts a proxy before us may give us a prefix."""
    return "../" * (path.count("/") - 1) or "./"


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine's loopback: a page elsewhere could have a name of its own lead
    here, and read what a browser on this machine gets."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())
