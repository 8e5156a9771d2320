"""Looks at pictures before anything is paid: what the vendor would surely refuse is refused here."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial

from worker.config.settings import fetch_allow_from_environ
from worker.preflight.checker import Checker
from worker.preflight.checks import Checks, Known
from worker.preflight.values import Code, Fault

__all__ = ["Code", "Fault", "check_each", "check_urls"]


def check_urls(urls: Iterable[str], *, sent_at: float | None = None) -> dict[str, Fault | None]:
    """The faults of the pictures at these URLs, each asked for once; None where nothing is wrong.

    Obeys `AIGC_FETCH_ALLOW`. Blocks: a host that does not answer takes seconds, not seconds for each URL.

    Args:
        sent_at: when jobs with them are going to be sent, in seconds since the epoch; now by default.

    Raises:
        SettingsError: AIGC_FETCH_ALLOW cannot be right.
    """
    wanted = list(dict.fromkeys(urls))
    found = dict(check_each(wanted, sent_at=sent_at))
    return {url: found[url] for url in wanted}


def check_each(urls: Iterable[str], *, sent_at: float | None = None) -> Iterator[tuple[str, Fault | None]]:
    """The same, as they become known; each URL once. Raises as `check_urls`."""
    checker = Checker(fetch_allow_from_environ())
    at = time.time() if sent_at is None else sent_at
    answers: queue.SimpleQueue[tuple[str, Fault | None]] = queue.SimpleQueue()
    checks = Checks(checker.check, queued_most=sys.maxsize)
    left = 0
    try:
        for url in dict.fromkeys(urls):
            found = checks.ask(url, partial(_put, answers, url), at=at)
            if isinstance(found, Known):
                yield url, found.fault
            else:
                left += 1
        for _ in range(left):
            yield answers.get()
    finally:
        checks.close()


def _put(answers: queue.SimpleQueue[tuple[str, Fault | None]], url: str, fault: Fault | None) -> None:
    answers.put((url, fault))
