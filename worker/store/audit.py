"""What operators decided: who, when, what. A stream that keeps about the last 100,000."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tasks.times import utc_iso
from worker.store.keys import KeyNames

KEPT: Final = 100_000
EVERYTHING: Final = "*"
"""Stands among the paused workflows for all of them."""

_PAGE: Final = 500


def decision(who: str, what: str, **about: Any) -> str:
    """A decision as it is recorded; what is None is left out."""
    told = {"at": utc_iso(), "who": who, "what": what, **about}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def history(client: Any, keys: KeyNames) -> Iterator[dict[str, Any]]:
    """All decisions that are kept, oldest first."""
    after = "-"
    while page := client.xrange(keys.decisions, after, "+", count=_PAGE):
        for _, fields in page:
            yield json.loads(fields[b"decision"])
        after = f"({page[-1][0].decode()}"


def pause(client: Any, keys: KeyNames, workflow: str | None, who: str) -> None:
    """Let all workers pause, for one workflow or for all."""
    with client.pipeline(transaction=True) as pipe:
        pipe.sadd(keys.paused, workflow or EVERYTHING)
        pipe.xadd(keys.decisions, _entry(who, "pause", workflow), maxlen=KEPT)
        pipe.execute()


def note_cancel(client: Any, keys: KeyNames, who: str, **about: Any) -> None:
    """Write down that jobs were cancelled, and which."""
    entry: Any = {"decision": decision(who, "cancel", **about)}
    client.xadd(keys.decisions, entry, maxlen=KEPT)


def note_tasks(client: Any, keys: KeyNames, who: str, what: str, **about: Any) -> None:
    """Write down what was decided about tasks that are followed."""
    entry: Any = {"decision": decision(who, what, **about)}
    client.xadd(keys.decisions, entry, maxlen=KEPT)


def resume(client: Any, keys: KeyNames, workflow: str | None, who: str) -> tuple[bool, list[str]]:
    """End such a pause; whether there was one, and what is paused still: workflows, or `EVERYTHING`."""
    with client.pipeline(transaction=True) as pipe:
        pipe.srem(keys.paused, workflow or EVERYTHING)
        pipe.xadd(keys.decisions, _entry(who, "resume", workflow), maxlen=KEPT)
        pipe.smembers(keys.paused)
        removed, _, left = pipe.execute()
    return removed == 1, sorted(name.decode() for name in left)


def _entry(who: str, what: str, workflow: str | None) -> Any:
    return {"decision": decision(who, what, workflow=workflow)}
