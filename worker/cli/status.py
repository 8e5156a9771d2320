"""`aigc status`: how the queue stands."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from worker.cli import alarms
from worker.cli.common import counted
from worker.cli.forwards import in_words, stream_names
from worker.cli.store import age, opened, plain
from worker.cli.tables import NARROWEST, wrapped

WATCH_EVERY_S: Final = 2.0
_INDENT: Final = 11


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object (with --watch, one each time).")
@click.option("--watch", is_flag=True, help=f"Again every {WATCH_EVERY_S:.0f} s, until Ctrl-C.")
@click.option("--check", is_flag=True, help="Exit 1, and say why, where somebody has to see to it.")
@click.option(
    "--workers",
    "least",
    type=click.IntRange(0),
    metavar="N",
    help="With --check: so many workers must consume; 1 where not given.",
)
@click.option(
    "--oldest",
    "oldest_s",
    type=click.FloatRange(0),
    metavar="S",
    help="With --check: no job may have waited for more than S seconds.",
)
def status(as_json: bool, watch: bool, check: bool, least: int | None, oldest_s: float | None) -> None:
    """Show jobs by state, money, circuit breaker, adaptive rate, workers, and what is wrong with Redis.

    \b
    Examples:
      aigc status --json | jq .jobs.unknown
      aigc status --check --workers 2 --oldest 600 > /dev/null
    """
    if watch and check:
        raise click.UsageError("--check looks once: give it without --watch")
    if not check and (least, oldest_s) != (None, None):
        raise click.UsageError("--workers and --oldest go with --check")
    with opened() as (scripts, keys):
        from worker.store.status import status as found_in

        while True:
            found = found_in(scripts, keys, stream_names())
            if watch and not as_json:
                click.clear()
            click.echo(json.dumps(found) if as_json else "\n".join(_fitting(_lines(found))))
            if not watch:
                break
            time.sleep(WATCH_EVERY_S)
    if check:
        _check(found, 1 if least is None else least, oldest_s)


def _check(found: dict[str, Any], least: int, oldest_s: float | None) -> None:
    lines = alarms.of_workers(found, least) + alarms.of_operation(found) + alarms.of_jobs(found, oldest_s)
    lines += alarms.of_forwards(found["forwards"])
    if lines:
        raise click.ClickException(plain("\n".join(lines)))


def _fitting(lines: list[str]) -> Iterator[str]:
    """On a terminal no line is longer than it; what does not fit goes on below, as far to the right."""
    for line in lines:
        title, words = plain(line[:_INDENT]), plain(line[_INDENT:])
        if not sys.stdout.isatty():
            yield title + words
            continue
        for part in wrapped(words, max(shutil.get_terminal_size().columns - _INDENT, NARROWEST)):
            yield title + part
            title = " " * _INDENT


def _lines(found: dict[str, Any]) -> list[str]:
    jobs, money = found["jobs"], found["money"]
    queued = [f"{name} {_messages(line)}" for name, line in jobs["queued"].items()]
    backlogs = [f"{workflow} {count}" for workflow, count in jobs["sidings"].items() if count]
    return [
        f"queue      {', '.join(queued) or 'empty'}",
        f"working    {jobs['sending']} sending, {counted(jobs['in_hand_messages'], 'message')} in hand,"
        f" {jobs['waiting']} waiting" + (f", in backlogs: {', '.join(backlogs)}" if backlogs else ""),
        f"failed     {jobs['unknown']} unknown (held), {jobs['exhausted']} exhausted,"
        f" {jobs['rejected']} rejected, {counted(jobs['malformed_messages'], 'malformed message')}",
        f"oldest     {_oldest(found)}",
        f"money      {counted(money['posts'], 'post')}, {money['submitted']} submitted,"
        f" {counted(money['possible_duplicates'], 'possible duplicate')}, {money['paid_twice']} paid twice",
        *_repeats(found["repeats"]),
        *_following(found["following"]),
        f"vendor     {_vendor(found)}",
        *([f"paused     {', '.join(found['paused']).replace('*', 'everything')}"] if found["paused"] else []),
        *(f"forward    {in_words(each)}" for each in found["forwards"]),
        f"workers    {len(found['workers']) or 'none'}{_mixed(found)}{_dead(found['dead_workers'])}",
        *(_worker(worker) for worker in (*found["workers"], *found["dead_workers"])),
        *(f"WARNING    {warning}" for warning in found["warnings"]),
    ]


def _mixed(found: dict[str, Any]) -> str:
    """That workers of several versions run, as during an upgrade; empty where it is one."""
    from worker.store.worker_stats import versions

    counts = versions(found["workers"])
    told = ", ".join(f"{count} of {version}" for version, count in counts.items())
    return f", of {len(counts)} versions: {told}" if len(counts) > 1 else ""


def _repeats(repeats: dict[str, int]) -> list[str]:
    """Ids that were submitted again after their job's end, where there were any."""
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in repeats.items())
    return [f"repeats    {told}"] if any(repeats.values()) else []


def _following(following: dict[str, Any]) -> list[str]:
    """A line about tasks that are followed, where there were any; and another where that pauses."""
    ended = [f"{following[what]:,} {what}" for what in ("succeeded", "failed", "lost") if following[what]]
    lines = []
    if following["open"] or ended or following["unstored"]:
        oldest = f", the oldest for {age(following['oldest_s'])}" if following["open"] else ""
        missing = f", {counted(following['unstored'], 'file')} not kept" if following["unstored"] else ""
        told = f"{following['open']:,} open{oldest}"
        lines.append(f"tasks      {', '.join([told, *ended])}{missing}")
    if following["paused"]:
        lines.append(f"following  PAUSED: {following['paused']}")
    return lines


def _oldest(found: dict[str, Any]) -> str:
    if found["oldest_job_s"] is not None:
        return age(found["oldest_job_s"])
    jobs = found["jobs"]
    # A producer in another language need not say when it queued a job.
    return "not known" if jobs["queued"] or jobs["waiting"] or any(jobs["sidings"].values()) else "-"


def _messages(line: dict[str, int]) -> str:
    messages, jobs = line["messages"], line["jobs_about"]
    return (
        f"{messages}"
        if messages == jobs
        else f"{counted(messages, 'message')} (about {counted(jobs, 'job')})"
    )


def _dead(workers: list[dict[str, Any]]) -> str:
    return f", and {len(workers)} dead" if workers else ""


def _vendor(found: dict[str, Any]) -> str:
    breaker, adaptive_rate, workers = found["brake"], found["pace"], found["workers"]
    if breaker["open"]:
        probe = (
            "a probe is under way" if breaker["probing"] else f"next probe in {age(breaker['next_probe_s'])}"
        )
        cause = f"; the last failure: {breaker['cause']}" if breaker["cause"] else ""
        return f"DOWN for {age(breaker['since_s'])}; {probe}{cause}"
    if refused := [worker for worker in workers if worker["refused"]]:
        answer = refused[-1].get("refusal", "see its log for the answer")
        return f"REFUSES {len(refused)} of {len(workers)} workers: {answer}"
    if adaptive_rate is None:
        return "no outage, no slow-down"
    words = f"at most {adaptive_rate['posts_per_s']} posts/s, {adaptive_rate['grows']}"
    return words + (
        f"; none for {age(adaptive_rate['nothing_for_s'])}" if adaptive_rate["nothing_for_s"] else ""
    )


def _worker(worker: dict[str, Any]) -> str:
    looked = age(worker["pulse_s"]) + " ago" if worker["pulse_s"] is not None else "never"
    silence = age(worker["beat_s"])
    alive = f"alive {silence} ago" if worker["alive"] else f"DEAD, silent for {silence}"
    return (
        f"           {_who(worker)}  {alive},"
        f" looked at the queue {looked}, holds {counted(worker['holds_messages'], 'message')}"
        + (f": {worker['trouble']}" if "trouble" in worker else "")
    )


def _who(worker: dict[str, Any]) -> str:
    from worker.store.worker_stats import place_of

    version = f"version {worker['version']}" if worker["version"] else ""
    words = (worker["name"], place_of(worker), version, f"pid {worker['pid'] or '?'}")
    return "  ".join(filter(None, words))
