"""What all pages of `aigc ui` share: who asks, what every template needs, and how it is answered."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tasks.frozen import value
from tasks.prices import Prices
from tasks.settings import Network
from tasks.times import utc_iso
from worker.services.ui.asked import Asked
from worker.services.ui.desk import Desk
from worker.services.ui.forms import TOKEN_FIELD
from worker.services.ui.guard import cookie_name, up
from worker.services.ui.html import Pages
from worker.services.ui.kept import Kept
from worker.services.ui.proposals import Report
from worker.services.ui.reads import Reads
from worker.services.ui.sessions import LASTS_S, Session, Sessions
from worker.services.ui.throttle import Throttle


@value(frozen=True, slots=True)
class Access:
    """Who may do what: ``token`` None where none is asked for; ``read_only``: nobody decides anything."""

    token: str | None
    read_only: bool = False


class Site:
    """What all pages share.

    Args:
        queue: its name, for the title.
        allowed: see `worker.services.ui.views.tasks.may_show`.
    """

    def __init__(
        self, access: Access, sessions: Sessions, reads: Reads, desk: Desk,
        queue: str, prices: Prices, allowed: tuple[Network, ...],
    ) -> None:  # fmt: skip
        self.access, self.sessions = access, sessions
        self.reads, self.desk = reads, desk
        self.queue, self.prices, self.allowed = queue, prices, allowed
        self.throttle = Throttle()
        self.asked: Kept[Asked] = Kept()
        self.reports: Kept[Report] = Kept()
        self._pages = Pages()

    def page(
        self, request: Request, template: str, status: int = 200, *, forms: bool = True, **context: Any
    ) -> Response:
        """A page in HTML; its forms are of a session, which begins here if there is none."""
        session = request.scope["aigc_session"]
        begins = session is None and forms
        if begins:
            session = self.sessions.begin()
        common = {
            "up": up(request.scope["path"]),
            "queue": self.queue,
            "now": utc_iso(precision="seconds"),
            "read_only": self.access.read_only,
            "who": session.who if session else None,
            "token_field": TOKEN_FIELD,
            "form_token": self.sessions.form_token(session) if session else "",
        }
        answer = self._pages.answer(template, common | context, status)
        if begins:
            self.give(request, answer, session)
        return answer

    def problem(self, request: Request, status: int, title: str, words: str, **headers: str) -> Response:
        """A page that says why there is no other."""
        answer = self.page(
            request, "problem.html", status, forms=False, title=title, words=words, status_code=status
        )
        answer.headers.update(headers)
        return answer

    def give(self, request: Request, answer: Response, session: Session) -> None:
        """Have the browser keep a session."""
        answer.set_cookie(
            cookie_name(request.scope), self.sessions.cookie(session), max_age=LASTS_S,
            path="/", secure=is_https(request), httponly=True, samesite="strict",
        )  # fmt: skip

    def who(self, request: Request, session: Session) -> str:
        """Who is written down as the one who decided."""
        return session.who or f"ui {address_of(request)}"


def is_https(request: Request) -> bool:
    """Whether the browser speaks HTTPS, with us or with the proxy before us."""
    told = request.headers.get("x-forwarded-proto", request.url.scheme)
    return told.rpartition(",")[2].strip().lower() == "https"


def address_of(request: Request) -> str:
    """The address of the client, as this machine sees it."""
    return request.client.host if request.client else "unknown"


def see(request: Request, path: str) -> Response:
    """Lead the browser to a path, from `/` on, by GET."""
    return RedirectResponse(up(request.scope["path"]) + path, 303, {"cache-control": "no-store"})


def as_json(document: Any) -> str:
    """JSON that people read."""
    return json.dumps(document, indent=2, ensure_ascii=False)
