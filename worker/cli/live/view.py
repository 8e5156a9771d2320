"""What `aigc top` shows: from what was found to lines, and from lines to what rich draws. Pure.

Text of strangers (hosts, workflows, the vendor's words) is never read as rich's markup, and has nothing left
that could move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tasks.frozen import value
from worker.cli import alarms
from worker.cli.common import counted
from worker.cli.live.rates import Rates
from worker.cli.store import age
from worker.cli.tables import safe, wrapped

if TYPE_CHECKING:
    from rich.text import Text

_INDENT: Final = 11
_STYLES: Final = {"good": "green", "bad": "bold red", "odd": "yellow", "": ""}


@value(frozen=True, slots=True)
class Seen:
    """What there is to show. ``found`` is `aigc status --json`, None before Redis first answered.

    Args:
        away: why Redis does not answer; empty while it does. ``found`` is then from ``old_s`` seconds ago.
        limits: in words, as this machine's environment has them.
        currency: of what was spent; empty where it is not said.
    """

    found: Mapping[str, Any] | None
    rates: Rates | None
    spent: float
    old_s: float
    away: str
    limits: str
    currency: str


def sentence(seen: Seen) -> tuple[str, str]:
    """How it stands, and whether that is good, odd or bad: the worst that is true."""
    if seen.away:
        ago = f"; what follows is from {age(seen.old_s)} ago" if seen.found else ""
        return f"Redis does not answer: {seen.away}{ago}", "bad"
    if seen.found is None:
        return "Asking Redis", ""
    jobs, found = seen.found["jobs"], dict(seen.found)
    waits, consuming = _waiting(jobs), alarms.consuming(found)
    about = f"{counted(waits, 'job')} wait" + ("s" if waits == 1 else "")
    if not consuming:
        return f"No worker consumes, {about}", "bad"
    if found["brake"]["open"]:
        return f"The vendor is down for {age(found['brake']['since_s'])}, {about}", "bad"
    if "*" in found["paused"]:
        return f"Paused, {about}: aigc resume", "odd"
    if found["warnings"]:
        return f"{counted(consuming, 'worker')}, {counted(len(found['warnings']), 'warning')}, {about}", "bad"
    if jobs["unknown"]:
        return f"{counted(jobs['unknown'], 'unknown job')} held for a decision, {about}", "odd"
    if waits or jobs["sending"]:
        return f"Running on {counted(consuming, 'worker')}, {about}", "good"
    return f"Idle: {counted(consuming, 'worker')}, nothing waits", "good"


def lines(seen: Seen) -> Iterator[tuple[str, str, str]]:
    """Title, words and style of each line, the most important first: what does not fit is cut off below."""
    yield "", *sentence(seen)
    if seen.found is None:
        return
    found: dict[str, Any] = dict(seen.found)
    jobs, money = found["jobs"], found["money"]
    yield from (("WARNING", warning, "bad") for warning in found["warnings"])
    if found["paused"]:
        yield "paused", ", ".join(found["paused"]).replace("*", "everything"), "odd"
    yield "queue", _queue(found), ""
    sending = f"{jobs['sending']:,} sending, {counted(jobs['in_hand_messages'], 'message')} in hand"
    yield "working", f"{sending}, {jobs['waiting']:,} delayed", ""
    yield "rates", _rates(seen.rates), ""
    yield "vendor", *_vendor(found, seen.rates)
    yield "limits", seen.limits, ""
    twice = f"{money['possible_duplicates']:,} possible duplicates, {money['paid_twice']:,} paid twice"
    bought = f"{counted(money['posts'], 'post')}, {money['submitted']:,} submitted, {twice}{_spent(seen)}"
    yield "money", bought, "bad" if money["paid_twice"] else ""
    malformed = counted(jobs["malformed_messages"], "malformed message")
    dead = (
        f"{jobs['unknown']:,} unknown (held), {jobs['exhausted']:,} exhausted, {jobs['rejected']:,} rejected"
    )
    yield "failed", f"{dead}, {malformed}", "odd" if jobs["unknown"] else ""
    following = found["following"]
    if following["open"] or following["unstored"]:
        missing = counted(following["unstored"], "file")
        yield "tasks", f"{following['open']:,} open, {missing} not kept", ""
    yield from _workers(found)


def one_line(seen: Seen, at: str) -> str:
    """The same in one line, for what is no terminal."""
    words, _ = sentence(seen)
    told = _rates(seen.rates) if seen.rates else "rates are known at the next look"
    rate = f"; {told}" if seen.found and not seen.away else ""
    return safe(f"{at}  {words}{rate}")


def drawn(seen: Seen, at: str, every_s: float, width: int, height: int) -> Text:
    """What fits a terminal of this size, as rich draws it: never more, so that it never scrolls."""
    from rich.text import Text

    queue = safe((seen.found or {}).get("queue", ""))
    head = next(wrapped(f"aigc top  {queue}  {at}  every {every_s:g} s, q quits", width))
    rows = [row for title, words, style in lines(seen) for row in _rows(title, words, style, width)]
    room = max(1, height - 1)
    if len(rows) > room:
        rows = [*rows[: room - 1], ("", next(wrapped(f"… {len(rows) - room + 1} lines more", width)), "")]
    whole = Text(no_wrap=True, overflow="crop")
    whole.append(head, style="dim")
    for title, words, style in rows:
        whole.append("\n")
        whole.append(title, style="bold")
        whole.append(words, style=_STYLES[style])
    return whole


def _rows(title: str, words: str, style: str, width: int) -> Iterator[tuple[str, str, str]]:
    """A line, broken to the width; all but the sentence, which has no title, in the column beside titles."""
    beside = f"{title:<{_INDENT}}" if title and width >= 2 * _INDENT else ""
    for part in wrapped(safe(words), max(width - len(beside), 1)):
        yield beside, part, style
        beside = " " * len(beside)


def _waiting(jobs: Mapping[str, Any]) -> int:
    queued = sum(line["jobs_about"] for line in jobs["queued"].values())
    return int(queued + jobs["waiting"] + sum(jobs["sidings"].values()))


def _queue(found: Mapping[str, Any]) -> str:
    jobs = found["jobs"]
    queued = [f"{name} about {counted(line['jobs_about'], 'job')}" for name, line in jobs["queued"].items()]
    backlogs = [f"backlog of {name} {count:,}" for name, count in jobs["sidings"].items() if count]
    oldest_s = found["oldest_job_s"]
    oldest = [f"the oldest for {age(oldest_s)}"] if oldest_s is not None else []
    return ", ".join([*queued, *backlogs, *oldest]) or "empty"


def _rates(rates: Rates | None) -> str:
    if rates is None:
        return "not known yet"
    ended = [f"{rate:.1f} {name}/s" for name, rate in rates.jobs.items() if rate or name == "submitted"]
    return ", ".join([f"{rates.attempts:.1f} attempts/s", *ended]) + f", over {rates.over_s:.0f} s"


def _vendor(found: Mapping[str, Any], rates: Rates | None) -> tuple[str, str]:
    breaker, pace = found["brake"], found["pace"]
    times = "no answer lately"
    if rates and rates.p50_s is not None and rates.p95_s is not None:
        times = f"answers in {rates.p50_s:.2f} s (p50), {rates.p95_s:.2f} s (p95)"
    slowed = f", slowed to {pace['posts_per_s']} posts/s" if pace else ""
    if breaker["open"]:
        return f"breaker OPEN: {breaker['cause'] or 'no cause known'}; {times}{slowed}", "bad"
    return f"{times}, breaker closed{slowed}", ""


def _spent(seen: Seen) -> str:
    if not seen.spent:
        return ""
    currency = f" {seen.currency}" if seen.currency else ""
    hourly = f", {seen.rates.spent * 3600:,.2f} an hour" if seen.rates else ""
    return f"; {seen.spent:,.2f}{currency} spent{hourly}"


def _workers(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """A line for each machine: how many of its workers consume, and what they hold."""
    by_host: dict[str, list[dict[str, Any]]] = {}
    for worker in (*found["workers"], *found["dead_workers"]):
        by_host.setdefault(worker["host"] or "host not known", []).append(worker)
    for number, (host, workers) in enumerate(sorted(by_host.items())):
        up = sum(worker["consumes"] for worker in workers)
        held = counted(sum(worker["holds_messages"] for worker in workers), "message")
        versions = ", ".join(sorted({worker["version"] or "?" for worker in workers}))
        words = f"{host}  {up} of {len(workers)} consume, {held}, version {versions}"
        troubles = [f": {worker['trouble']}" for worker in workers if "trouble" in worker]
        style = "" if up == len(workers) else "bad"
        yield " " if number else "workers", words + "".join(troubles[:1]), style
    if not by_host:
        yield "workers", "none", "bad"
