"""The workers of a queue as operators see them: who is alive, who is dead, what keeps one from working."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from worker.local import description, process_identity
from worker.store.keys import KeyNames
from worker.store.workers import BEAT_S, SILENCE_S

RETURN_S: Final = 2 * BEAT_S
"""For so long after Redis's start an old beat says nothing: nobody could beat while it was down."""

Worker = dict[str, Any]
"""One worker as JSON values; see `shown`."""


def hashes(keys: KeyNames) -> tuple[str, ...]:
    """The hashes that `shown` reads, by owner."""
    return (keys.identities, keys.descriptions, keys.last_polls, keys.troubles, keys.refusals)


def shown(
    keys: KeyNames,
    found: Mapping[Any, Any],
    holds: Mapping[str, int],
    now_ms: int,
    is_gone: Callable[[str], bool] = process_identity.is_gone,
) -> list[Worker]:
    """All workers that were not taken over, the dead among them (``alive`` is false).

    Args:
        found: what Redis holds, by the key's name; and ``server``, its INFO of that section.
        holds: messages that each of them holds.
        is_gone: whether the process that lives there is certainly gone.
    """
    returning = float(found["server"].get("uptime_in_seconds", 0)) < RETURN_S
    workers = []
    for owner, beat_ms in found[keys.workers]:
        worker = _facts(keys, found, owner) | {"holds_messages": holds[owner.decode()]}
        worker["beat_s"], last_poll = _ago_s(beat_ms, now_ms), found[keys.last_polls].get(owner)
        worker["pulse_s"] = _ago_s(last_poll, now_ms) if last_poll else None
        gone = is_gone(found[keys.identities].get(owner, b"").decode())
        worker["alive"] = (returning or worker["beat_s"] <= SILENCE_S) and not gone
        looks = last_poll is not None and (returning or worker["pulse_s"] <= SILENCE_S)
        worker["consumes"] = worker["alive"] and looks
        workers.append(worker)
    refused_nodes = {_node(worker) for worker in workers if worker["refused"]}
    for worker in workers:
        # A node of processes: its parent takes jobs, but its children, which send them, are refused.
        worker["consumes"] &= _node(worker) not in refused_nodes
    return workers


def _facts(keys: KeyNames, found: Mapping[Any, Any], owner: bytes) -> Worker:
    facts = {
        "name": owner.decode(),
        "pid": process_identity.pid_of(found[keys.identities].get(owner, b"").decode()),
        **description.read(found[keys.descriptions].get(owner)),
        "refused": owner in found[keys.refused],
        **_words("trouble", found[keys.troubles].get(owner)),
    }
    return facts | (_words("refusal", found[keys.refusals].get(owner)) if facts["refused"] else {})


def versions(workers: Iterable[Worker]) -> dict[str, int]:
    """How many living workers there are of each version, the scripts named that tell two builds apart."""
    alive = [worker for worker in workers if worker["alive"]]
    return dict(Counter(f"{worker['version'] or '?'} ({worker['scripts'] or 'earlier'})" for worker in alive))


def who(worker: Worker) -> str:
    """A worker in words: its name, and where to find its process."""
    place = place_of(worker) if worker["node"] else ""
    return f"worker {worker['name']} (pid {worker['pid'] or '?'}){' ' if place else ''}{place}"


def place_of(worker: Worker) -> str:
    """Its Celery node name, and its host where the name does not say it; empty where neither is known."""
    node, host = worker["node"] or "", worker["host"]
    return f"{node}{f' on {host}' if host and not node.endswith(f'@{host}') else ''}".strip()


def warnings(workers: list[Worker]) -> list[str]:
    """Workers that are dead, or wait for somebody to mend something."""
    found = []
    for worker in workers:
        if not worker["alive"]:
            found.append(_of_dead(worker))
            continue
        if worker["refused"]:
            answer = worker.get("refusal", "its log has the vendor's answer")
            found.append(
                f"the vendor refuses {who(worker)}: no job is harmed, none is done; check its keys, its"
                f" endpoint and its clock; {answer}"
            )
        if worker["pulse_s"] is not None and worker["pulse_s"] - worker["beat_s"] > SILENCE_S:
            found.append(
                f"{who(worker)} beats, but has not looked at the queue for {worker['pulse_s']:.0f} s"
            )
        if "trouble" in worker:
            found.append(f"{who(worker)}: {worker['trouble']}")
    return found + _of_workflows(workers)


def _of_workflows(workers: list[Worker]) -> list[str]:
    """A line where living workers were declared different workflows: one refuses what another one sends."""
    by_digest: dict[str, str] = {}
    for worker in workers:
        # An earlier version says nothing of it.
        if worker["alive"] and worker["workflows"] is not None:
            by_digest.setdefault(worker["workflows"], who(worker))
    if len(by_digest) < 2:
        return []
    told = ", ".join(f"{digest or 'none'} has {worker}" for digest, worker in by_digest.items())
    return [f"workers differ in AIGC_WORKFLOWS_FILE, so one rejects what another one sends: {told}"]


def _of_dead(worker: Worker) -> str:
    held = worker["holds_messages"]
    kept = f"; the {held} message(s) that it held go on" if held else "; its place is cleared"
    return (
        f"{who(worker)} is dead: silent for {worker['beat_s']:.0f} s{kept} once another worker runs:"
        " start one, and find out why it died"
    )


def _node(worker: Worker) -> tuple[str, str | None]:
    return worker["node"] or worker["name"], worker["host"]


def _words(field: str, words: bytes | None) -> Worker:
    return {field: words.decode("utf-8", "replace")} if words else {}


def _ago_s(then_ms: Any, now_ms: float) -> float:
    return max(0.0, now_ms - float(then_ms)) / 1000
