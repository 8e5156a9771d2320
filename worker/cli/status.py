"""`aigc status`: how the queue stands."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import click

from worker.cli.store import age, opened, plain

WATCH_EVERY_S: Final = 2.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object (with --watch, one each time).")
@click.option("--watch", is_flag=True, help=f"Again every {WATCH_EVERY_S:.0f} s, until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """Show jobs by state, money, circuit breaker, adaptive rate, workers, and what is wrong with Redis.

    \b
    Example:
      aigc status --json | jq .jobs.unknown
    """
    with opened() as (scripts, keys):
        from worker.store.stats import stats

        while True:
            found = stats(scripts, keys)
            if watch and not as_json:
                click.clear()
            click.echo(json.dumps(found) if as_json else plain("\n".join(_lines(found))))
            if not watch:
                return
            time.sleep(WATCH_EVERY_S)


def _lines(found: dict[str, Any]) -> list[str]:
    jobs, money = found["jobs"], found["money"]
    queued = [f"{name} {_messages(line)}" for name, line in jobs["queued"].items()]
    backlogs = [f"{workflow} {count}" for workflow, count in jobs["sidings"].items() if count]
    return [
        f"queue      {', '.join(queued) or 'empty'}",
        f"working    {jobs['sending']} sending, {jobs['in_hand_messages']} messages in hand,"
        f" {jobs['waiting']} waiting" + (f", in backlogs: {', '.join(backlogs)}" if backlogs else ""),
        f"failed     {jobs['unknown']} unknown (held), {jobs['exhausted']} exhausted,"
        f" {jobs['rejected']} rejected, {jobs['malformed_messages']} malformed messages",
        f"oldest     {_oldest(found)}",
        f"money      {money['posts']} posts, {money['submitted']} submitted,"
        f" {money['possible_duplicates']} possible duplicates, {money['paid_twice']} paid twice",
        *_repeats(found["repeats"]),
        f"vendor     {_vendor(found['brake'], found['pace'])}",
        *([f"paused     {', '.join(found['paused']).replace('*', 'everything')}"] if found["paused"] else []),
        f"workers    {len(found['workers']) or 'none'}",
        *(_worker(worker) for worker in found["workers"]),
        *(f"WARNING    {warning}" for warning in found["warnings"]),
    ]


def _repeats(repeats: dict[str, int]) -> list[str]:
    """Ids that were submitted again after their job's end, where there were any."""
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in repeats.items())
    return [f"repeats    {told}"] if any(repeats.values()) else []


def _oldest(found: dict[str, Any]) -> str:
    if found["oldest_job_s"] is not None:
        return age(found["oldest_job_s"])
    jobs = found["jobs"]
    # A producer in another language need not say when it queued a job.
    return "not known" if jobs["queued"] or jobs["waiting"] or any(jobs["sidings"].values()) else "-"


def _messages(line: dict[str, int]) -> str:
    messages, jobs = line["messages"], line["jobs_about"]
    return f"{messages}" if messages == jobs else f"{messages} messages (about {jobs} jobs)"


def _vendor(breaker: dict[str, Any], adaptive_rate: dict[str, Any] | None) -> str:
    if breaker["open"]:
        probe = (
            "a probe is under way" if breaker["probing"] else f"next probe in {age(breaker['next_probe_s'])}"
        )
        cause = f"; the last failure: {breaker['cause']}" if breaker["cause"] else ""
        return f"DOWN for {age(breaker['since_s'])}; {probe}{cause}"
    if adaptive_rate is None:
        return "no brake"
    words = f"at most {adaptive_rate['posts_per_s']} posts/s, {adaptive_rate['grows']}"
    return words + (
        f"; none for {age(adaptive_rate['nothing_for_s'])}" if adaptive_rate["nothing_for_s"] else ""
    )


def _worker(worker: dict[str, Any]) -> str:
    looked = age(worker["pulse_s"]) + " ago" if worker["pulse_s"] is not None else "never"
    return (
        f"           {worker['name']}  pid {worker['pid'] or '?'}  alive {age(worker['beat_s'])} ago,"
        f" looked at the queue {looked}, holds {worker['holds_messages']} messages"
        + (f": {worker['trouble']}" if "trouble" in worker else "")
    )
