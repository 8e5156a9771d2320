"""What is looked at: the page, a job's page, and a decision before and after it is made."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from worker.services.ui.context import Site, as_json, see
from worker.services.ui.plots import plots
from worker.services.ui.reads import Overview
from worker.services.ui.views import job as job_views
from worker.services.ui.views import letters, proposal, state, tasks, work
from worker.services.ui.views.letters import BadQuery, LetterQuery
from worker.store.dead_letter_page import BadCursor
from worker.store.history_values import DAY, HOUR
from worker.store.series import series

CLOSED: Final = "It is a quarter of an hour since it was asked, or another process of aigc ui asked it"


def front(site: Site, request: Request) -> Response:
    """`/`: everything on one page."""
    try:
        query = LetterQuery.read(request.query_params)
        found = site.reads.letters(query.wanted(time.time()), query.cursor or None)
    except (BadQuery, BadCursor) as error:
        return site.problem(request, 400, "The address of the page cannot be right", str(error))
    overview = site.reads.overview()
    session = request.scope["aigc_session"]
    report = site.reports.get(session.sid, request.query_params.get("done", "")) if session else None
    context = {
        "query": query,
        "state": state.state_of(overview.found, state.waiting_jobs(overview.snapshot)),
        "letters": [letters.row(letter) for letter in found.letters],
        "letter_page": found,
        "letter_counts": overview.counts,
        "ages": letters.AGES,
        "means": letters.MEANS,
        "report": report,
        "ended": proposal.ENDED,
        **_of_overview(site, overview, query),
    }
    return site.page(request, "page.html", **context)


def _of_overview(site: Site, overview: Overview, query: LetterQuery) -> dict[str, Any]:
    found, now = overview.found, overview.snapshot
    window = DAY if query.window == "day" else HOUR
    shown = series(overview.history.samples, overview.history.now_s, window)
    return {
        "plots": plots(shown, site.prices.currency),
        "windows": letters.WINDOWS,
        "queue_facts": work.queue_facts(found, now),
        "limit_facts": work.limit_facts(found),
        "money_facts": work.money_facts(found, now, site.prices),
        "hosts": work.hosts(found),
        "pauses": work.pauses(found),
        "workflows": sorted(now.counted.workflows | set(found["jobs"]["sidings"])),
        "batches": [tasks.batch_row(batch) for batch in overview.batches],
        "tasks": overview.tasks,
        "open_tasks": tasks.open_tasks(overview.tasks),
        "outputs": [tasks.output_card(output, site.allowed) for output in overview.tasks.outputs],
        "forwards": found.get("forwards", []),
    }


def job(site: Site, request: Request) -> Response:
    """`/dead-letters/JOB`: all that is known of a job."""
    job_id = request.path_params.get("job_id") or request.query_params.get("job", "")
    if not job_id.strip():
        return see(request, "")
    with_payload = request.query_params.get("payload") == "1"
    # As it is, for ids may begin with a blank; then as somebody may have pasted it.
    details = site.reads.details(job_id, with_payload) or site.reads.details(job_id.strip(), with_payload)
    if details is None:
        words = f"There is no record of the job {job_id}: it never was, or it ended long ago."
        return site.problem(request, 404, "No such job", words)
    payload = as_json(details.get("payload")) if with_payload else None
    view = job_views.job_view(details, payload)
    link = letters.link_of(job_id, payload="1")
    return site.page(request, "job.html", job=view, with_payload=link, without=letters.link_of(job_id))


def asked(site: Site, request: Request) -> Response:
    """`/decisions/NAME`: what would be done, and what it costs."""
    name, session = request.path_params["name"], request.scope["aigc_session"]
    found = site.asked.get(session.sid, name) if session else None
    if found is None:
        return site.problem(request, 404, "This decision is not open any more", f"{CLOSED}: choose again.")
    if found.report is not None:
        return see(request, done_link(found.report))
    left = found.left()
    question = proposal.question(left, site.prices, len(found.ended))
    context = {"question": question, "deed": left.deed, "name": name}
    return site.page(request, "decide.html", **context)


def done_link(name: str) -> str:
    """Where a report is read."""
    return f"?{urlencode({'done': name})}#report"
