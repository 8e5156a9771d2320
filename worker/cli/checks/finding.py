"""What a check of `aigc doctor` found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from tasks.frozen import value

Level = Literal["ok", "warn", "wrong"]

CHECKS: Final[Mapping[str, str]] = {
    "settings": "the settings of a worker, and names that are none",
    "limits": "limits that contradict each other, or are not there",
    "times": "deadline, retries and the record's life against each other",
    "risks": "settings that are allowed and cost something: resubmit, no breaker, DEBUG",
    "prices": "prices: of which workflows, in which currency",
    "fetch-allow": "networks that customers' URLs may lead to",
    "preflight": "whether pictures are looked at",
    "connection": "the way to Redis: TLS, its certificate, a password",
    "secrets": "the token of `aigc ui` and the secret of `aigc forward`, where they are set",
    "extras": "packages that a configured feature needs",
    "state-folder": "the folder of in-flight logs: whether it can be written to, and has room",
    "descriptors": "file descriptors: the hard limit against AIGC_CONCURRENCY",
    "store": "the store of finished files",
    "sentinels": "each sentinel of the URL",
    "redis": "whether Redis answers, as which version, and as a primary",
    "rights": "each command and key that a worker needs, without writing anything",
    "durability": "what Redis loses with its process, its machine or a failover",
    "memory": "how near Redis is to refusing or being killed",
    "clients": "connections to Redis against its maximum",
    "clock": "this machine's clock against Redis's and the vendor's",
    "endpoint": "the vendor's endpoint, by one unsigned HEAD /",
    "workers": "workers that consume, and are of one version",
    "following": "whether tasks are followed where they are to be",
    "operation": "pauses, the breaker, and all that `aigc status` warns of",
    "workflows": "the file of workflows here and on the workers",
    "limit-names": "limits of workflows of which there never was a job",
    "unread-lists": "lists of jobs that no worker reads: whether all keys were looked at",
    "waiting": "jobs, messages and files that wait for an operator",
    "forward": "endpoints of `aigc forward`",
}
"""By name, what is checked; the names are in `aigc doctor --json`."""

_SHOWN: Final[Mapping[Level, str]] = {"ok": "ok   ", "warn": "warn ", "wrong": "WRONG"}


@value(frozen=True, slots=True)
class Finding:
    """One line of `aigc doctor`: by which check, how bad, what, and what to do about it.

    ``remedy`` is empty where nothing is to be done, or the words of ``what`` have it.
    """

    check: str
    level: Level
    what: str
    remedy: str = ""

    @property
    def line(self) -> str:
        return f"{_SHOWN[self.level]}  {self.what}" + (f"; {self.remedy}" if self.remedy else "")

    def document(self) -> dict[str, Any]:
        return {"check": self.check, "level": self.level, "what": self.what, "remedy": self.remedy or None}


def ok(check: str, what: str) -> Finding:
    return Finding(check, "ok", what)


def warn(check: str, what: str, remedy: str) -> Finding:
    """Something that is allowed, and that somebody should know of: the exit code stays 0."""
    return Finding(check, "warn", what, remedy)


def wrong(check: str, what: str, remedy: str = "") -> Finding:
    """Something that keeps jobs from being done, or endangers them or money: exit 1."""
    return Finding(check, "wrong", what, remedy)
