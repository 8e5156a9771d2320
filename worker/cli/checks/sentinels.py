"""Whether the sentinels of the URL answer and agree: lines of `aigc doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tasks.redis_url import sentinels_of
from tasks.sentinels import survey
from worker.cli.checks.finding import Finding, ok, wrong

_MEND: Final = "bring it back, or take it out of the URL; SENTINEL RESET where it keeps an old primary"


def sentinel_findings(redis_url: str) -> Iterator[Finding]:
    """Each sentinel that does not answer or names another primary; nothing where the URL names none."""
    sentinels = sentinels_of(redis_url)
    if sentinels is None:
        return
    said = survey(sentinels)
    addresses = [words for _, words in said if " " not in words]
    for place, words in said:
        if " " in words:
            yield wrong("sentinels", f"AIGC_REDIS_URL: the sentinel {words}", _MEND)
        elif words != max(addresses, key=addresses.count):
            told = f"AIGC_REDIS_URL: the sentinel {place[0]}:{place[1]} alone names {words}"
            yield wrong("sentinels", told, _MEND)
    if len(addresses) == len(said) and len(set(addresses)) == 1:
        yield ok("sentinels", f"the sentinels name {addresses[0]}")
    if len(said) == 1:
        told = "AIGC_REDIS_URL names one sentinel, which may be away when it is needed"
        yield wrong("sentinels", told, "name all of them")
