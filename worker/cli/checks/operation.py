"""The queue and its workers, from what `worker.store.status` found. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from worker.cli import alarms
from worker.cli.checks.finding import Finding, ok, warn, wrong
from worker.store.worker_stats import who

Found = dict[str, Any]


def of_operation(found: Found) -> Iterator[Finding]:
    """What keeps jobs from being done, and what waits for an operator."""
    count = alarms.consuming(found)
    words = f"workers that consume: {count or 'none'}"
    yield ok("workers", words) if count else wrong("workers", words, "start one: aigc worker")
    yield from (wrong("operation", line) for line in alarms.of_operation(found))
    yield from (wrong("forward", line) for line in alarms.of_forwards(found["forwards"]))
    yield from _waiting(found["jobs"], found["following"]["unstored"])


def of_versions(workers: list[dict[str, Any]], here: str | None) -> Iterator[Finding]:
    """Whether all workers, and this machine, are of one version."""
    by_version: dict[str, dict[str, Any]] = {}
    for worker in workers:
        if worker["version"]:
            by_version.setdefault(worker["version"], worker)
    if len(by_version) > 1:
        told = ", ".join(f"{version} is {who(worker)}" for version, worker in sorted(by_version.items()))
        mend = "end the upgrade: restart the older ones, one after the other"
        yield warn("workers", f"workers of {len(by_version)} versions run: {told}", mend)
    elif here and by_version and here not in by_version:
        what = f"the workers are of version {next(iter(by_version))}, and this machine has {here}"
        yield warn("workers", what, "what is checked here may not hold there: look with their version")


def of_following(found: Mapping[str, Any], follows_here: bool) -> Iterator[Finding]:
    """Whether accepted tasks are followed where this machine's settings say that they are."""
    following = found["following"]
    if follows_here and alarms.consuming(dict(found)) and not following["workers_follow"]:
        what = "AIGC_FOLLOW is on here, and no worker has followed tasks for an hour"
        yield warn("following", what, "set AIGC_FOLLOW=on in the workers' environment, and restart them")


def of_unread(is_complete: bool, within_s: float) -> Iterator[Finding]:
    """Whether the look for lists that no worker reads came to its end; what it found is in the status."""
    if not is_complete:
        what = f"not all keys could be looked at for lists that nobody reads, in {within_s:.0f} s"
        yield warn("unread-lists", what, "aigc doctor again, when Redis has less to do")


def _waiting(jobs: Mapping[str, Any], unstored: int) -> Iterator[Finding]:
    if held := jobs["unknown"]:
        what = f"{held} unknown job(s) are held: each may have been bought"
        yield warn("waiting", what, "aigc failed list --status unknown, and ask the vendor by request id")
    if malformed := jobs["malformed_messages"]:
        what = f"{malformed} message(s) could not be read, and were put aside"
        yield warn("waiting", what, "aigc failed list --malformed, and mend their producer")
    if unstored:
        what = f"{unstored} finished file(s) could not be kept, and their links end"
        yield warn("waiting", what, "aigc task fetch --all once the store is mended, or aigc task forget")
