"""What is posted: choose what is to be decided, decide it, log in and out."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tasks.checks import NAME_RULE, TASK_ID_RULE, is_name, is_task_id
from worker.services.ui.asked import Asked
from worker.services.ui.context import Site, address_of, see
from worker.services.ui.forms import BadForm, Form, posted
from worker.services.ui.guard import ENDED, cookie_name
from worker.services.ui.pages import CLOSED, done_link
from worker.services.ui.proposals import Proposal
from worker.services.ui.sessions import Session
from worker.services.ui.views.letters import BadQuery, LetterQuery
from worker.services.ui.views.state import waiting_jobs
from worker.store.audit import EVERYTHING
from worker.store.decisions import Verb

WHO_MAX_CHARS: Final = 60
WHO_RULE: Final = f"1 to {WHO_MAX_CHARS} printable characters"

_OF_MANY: Final[dict[str, Verb]] = {"retry": "retry", "discard": "discard"}


async def propose(site: Site, request: Request) -> Response:
    """`POST /decisions`: what was chosen is kept, and shown to be confirmed."""
    return await _posted(site, request, _propose)


async def decide(site: Site, request: Request) -> Response:
    """`POST /decisions/NAME`: what was confirmed is done, once."""
    return await _posted(site, request, _decide)


async def log_in(site: Site, request: Request) -> Response:
    """`POST /login`: a session for who has the token."""
    return await _posted(site, request, _log_in, deciding=False)


async def log_out(site: Site, request: Request) -> Response:
    """`POST /logout`: the session ends."""
    return await _posted(site, request, _log_out, deciding=False)


Act = Callable[[Site, Request, Session, Form], Response]


async def _posted(site: Site, request: Request, act: Act, *, deciding: bool = True) -> Response:
    if deciding and site.access.read_only:
        words = "This page was started with --read-only: it shows, and decides nothing."
        return site.problem(request, 403, "Nothing can be decided here", words)
    try:
        session, form = await posted(request, site.sessions)
        return await run_in_threadpool(act, site, request, session, form)
    except BadForm as error:
        return site.problem(request, error.status, "The form was not taken", str(error))


def _propose(site: Site, request: Request, session: Session, form: Form) -> Response:
    name = site.asked.put(session.sid, Asked(_chosen(site, form)))
    return see(request, f"decisions/{name}")


def _chosen(site: Site, form: Form) -> Proposal:
    deed = form.get("deed", "")
    if deed in ("pause", "resume"):
        return _pause(site, form)
    jobs = form.getlist("job")
    if deed == "accept":
        task_id = form.get("task_id", "").strip()
        if not is_task_id(task_id) or len(jobs) != 1:
            raise BadForm(400, f"task_id: must be {TASK_ID_RULE}, of one job.")
        return site.desk.choose("accept", jobs, task_id)
    verb = _OF_MANY.get(deed)
    if verb is None:
        raise BadForm(400, "deed: must be retry, discard, accept, pause or resume.")
    if form.get("all") == "1":
        try:
            wanted = LetterQuery.read(form).wanted(time.time())
        except BadQuery as error:
            raise BadForm(400, str(error)) from None
        return site.desk.choose_all(verb, wanted)
    if not jobs:
        raise BadForm(400, "No job was chosen: go back, and tick some, or all that pass the filter.")
    return site.desk.choose(verb, jobs)


def _pause(site: Site, form: Form) -> Proposal:
    deed: Literal["pause", "resume"] = "pause" if form["deed"] == "pause" else "resume"
    # What is paused is resumed by its very name, which may be one that an earlier version took.
    workflow = form.get("workflow", "") if deed == "resume" else form.get("workflow", "").strip()
    if workflow == EVERYTHING or (deed == "pause" and workflow and not is_name(workflow)):
        raise BadForm(400, f"workflow: must be {NAME_RULE}, or empty for everything.")
    waiting = waiting_jobs(site.reads.overview().snapshot, workflow or None)
    return site.desk.choose_pause(deed, workflow or None, waiting)


def _decide(site: Site, request: Request, session: Session, form: Form) -> Response:
    asked = site.asked.get(session.sid, request.path_params["name"])
    if asked is None:
        raise BadForm(409, f"{CLOSED}: nothing was done now. Choose again.")

    def make() -> str:
        report = site.desk.carry_out(asked.proposal, site.who(request, session), asked.ended)
        return site.reports.put(session.sid, report)

    return see(request, done_link(asked.once(make)))


def _log_in(site: Site, request: Request, session: Session, form: Form) -> Response:
    address, name = address_of(request), form.get("name", "").strip()
    if site.access.token is None:
        return see(request, "")
    if wait_s := site.throttle.wait_s(address):
        words = f"Too many wrong tokens came from {address}: wait {wait_s:.0f} s."
        return login_page(site, request, 429, words, name, **{"retry-after": f"{wait_s:.0f}"})
    if not (name.isprintable() and 0 < len(name) <= WHO_MAX_CHARS):
        return login_page(site, request, 400, f"Your name must be {WHO_RULE}.", name)
    if not hmac.compare_digest(form.get("token", "").strip().encode(), site.access.token.encode()):
        site.throttle.wrong(address)
        return login_page(site, request, 403, "That is not the token.", name)
    answer = see(request, "")
    # Another one: whoever knew the session before knows nothing of this one.
    site.sessions.end(session)
    site.give(request, answer, site.sessions.begin(name))
    return answer


def _log_out(site: Site, request: Request, session: Session, form: Form) -> Response:
    site.sessions.end(session)
    answer = see(request, "login" if site.access.token else "")
    answer.delete_cookie(cookie_name(request.scope), path="/", httponly=True, samesite="strict")
    return answer


def login_page(
    site: Site, request: Request, status: int = 200, words: str = "", name: str = "", **headers: str
) -> Response:
    """`GET /login`; again, with words, where it failed."""
    if not words and request.url.query == ENDED:
        words = "Your session has ended, so nothing was done. Log in, and choose again."
    answer = site.page(request, "login.html", status, words=words, name=name, most=WHO_MAX_CHARS)
    answer.headers.update(headers)
    return answer
