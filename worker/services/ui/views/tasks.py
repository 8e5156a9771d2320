"""Open tasks, outputs with their pictures, and batches. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from tasks.batches.progress import Progress
from tasks.checks import is_public_url
from tasks.frozen import value
from tasks.output import Output
from tasks.settings import Network
from worker.domain.wording import age
from worker.store.task_overview import TaskOverview

_FILMS: Final = frozenset({"IMAGE2VIDEO"})
_FILM_ENDINGS: Final = (".mp4", ".webm", ".mov", ".m4v", ".gif.mp4")


@value(frozen=True, slots=True)
class OutputCard:
    """An output. ``picture``: the URL of one that a browser may show, else empty; ``link`` a URL to go to;
    ``file`` where it is kept."""

    task_id: str
    job_id: str
    status: str
    level: str
    workflow: str
    finished_at: str
    picture: str
    link: str
    file: str
    about: str


@value(frozen=True, slots=True)
class OpenTask:
    """A task that is followed and has not ended."""

    task_id: str
    job_id: str
    workflow: str
    vendor_status: str
    since: str
    asked: int


@value(frozen=True, slots=True)
class BatchRow:
    """A batch; ``ended`` of ``total`` for the bar."""

    name: str
    state: str
    total: int
    ended: int
    percent: str
    statuses: str
    rate: str
    cost: str


def output_card(output: Output, allowed: Iterable[Network] = ()) -> OutputCard:
    """An output as it is shown.

    Args:
        allowed: networks beside the public internet that a URL of it may name (`AIGC_FETCH_ALLOW`).
    """
    link = output.url if output.url and may_show(output.url, allowed) else ""
    size = f"{output.bytes:,} bytes" if output.bytes is not None else ""
    return OutputCard(
        task_id=output.task_id,
        job_id=output.job_id or "",
        status=output.status,
        level={"succeeded": "good", "failed": "bad"}.get(output.status, "attention"),
        workflow=output.workflow or "",
        finished_at=output.finished_at,
        picture=link if link and _is_picture(output) else "",
        link=link,
        file=output.file or "",
        about=", ".join(filter(None, (output.content_type, size, output.vendor_status))),
    )


def _is_picture(output: Output) -> bool:
    if output.content_type is not None:
        return output.content_type.startswith("image/")
    path = urlsplit(output.url or "").path.lower()
    return output.workflow not in _FILMS and not path.endswith(_FILM_ENDINGS)


def may_show(url: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether a browser may be led there: HTTP or HTTPS, and no address of a network that is not public."""
    if is_public_url(url):
        return True
    try:
        parts = urlsplit(url)
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    ordinary = parts.scheme in ("http", "https") and url.isprintable() and " " not in url
    return ordinary and any(address in network for network in allowed)


def open_tasks(overview: TaskOverview) -> list[OpenTask]:
    """The oldest of the open tasks."""
    return [
        OpenTask(
            task_id=task.task_id,
            job_id=task.job_id or "",
            workflow=task.workflow or "",
            vendor_status=task.vendor_status or "",
            since=age(overview.now_s - task.accepted_s) if task.accepted_s is not None else "?",
            asked=task.asked,
        )
        for task in overview.oldest
    ]


def batch_row(found: Progress) -> BatchRow:
    """A batch as a row."""
    state = "finished" if found.finished else "closed" if found.closed else "open"
    statuses = [f"{count:,} {status}" for status, count in found.statuses.items() if count]
    if found.waiting:
        statuses.append(f"{found.waiting:,} waiting")
    left = f", {age(found.time_left_s)} left" if found.waiting and found.time_left_s is not None else ""
    return BatchRow(
        name=found.batch,
        state=state,
        total=found.total,
        ended=found.ended,
        percent=f"{100 * found.ended / found.total:.0f} %" if found.total else "-",
        statuses=", ".join(statuses) or "none",
        rate=f"{found.rate_per_s:.1f}/s{left}" if found.waiting else "-",
        cost=_cost(found),
    )


def _cost(found: Progress) -> str:
    parts = ((found.cost, ""), (found.cost_waiting, " more"), (found.cost_in_doubt, " in doubt"))
    told = [f"{amount:,f} {found.currency}".strip() + words for amount, words in parts if amount]
    return ", ".join(told) or "-"
