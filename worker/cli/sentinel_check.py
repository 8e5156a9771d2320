"""Whether the sentinels of the URL answer and agree: lines of `aigc doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.redis_url import sentinels_of
from tasks.sentinels import survey


def sentinel_findings(redis_url: str) -> Iterator[tuple[bool, str]]:
    """Each sentinel that does not answer or names another primary; nothing where the URL names none."""
    sentinels = sentinels_of(redis_url)
    if sentinels is None:
        return
    said = survey(sentinels)
    addresses = [words for _, words in said if " " not in words]
    for place, words in said:
        if " " in words:
            yield False, f"AIGC_REDIS_URL: the sentinel {words}"
        elif words != max(addresses, key=addresses.count):
            yield False, f"AIGC_REDIS_URL: the sentinel {place[0]}:{place[1]} alone names {words}"
    if len(addresses) == len(said) and len(set(addresses)) == 1:
        yield True, f"the sentinels name {addresses[0]}"
    if len(said) == 1:
        yield False, "AIGC_REDIS_URL names one sentinel: name all, for it may be away when it is needed"
