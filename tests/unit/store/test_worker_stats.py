"""Which workers count, from what Redis holds of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.cli.alarms import of_workflows
from worker.store.keys import KeyNames
from worker.store.worker_stats import RETURN_S, Worker, shown, versions, warnings
from worker.store.workers import SILENCE_S

KEYS = KeyNames("aigc", "aigc:results")
NOW_MS = 10_000_000
LONG_S = 3600.0
HERE = "boot/namespace/0/7/1/token"


def seen(
    beat_s: float = 1.0, pulse_s: float | None = 1.0, *, uptime_s: float = LONG_S, refused: bool = False,
    about: bytes | None = None, gone: bool = False,
) -> Worker:  # fmt: skip
    """One worker that beat and looked so long ago."""
    polls = {} if pulse_s is None else {b"a": str(NOW_MS - round(1000 * pulse_s)).encode()}
    found: dict[Any, Any] = {
        KEYS.workers: [(b"a", NOW_MS - 1000 * beat_s)], KEYS.identities: {b"a": HERE.encode()},
        KEYS.last_polls: polls, KEYS.troubles: {}, KEYS.refused: {b"a"} if refused else set(),
        KEYS.refusals: {}, KEYS.descriptions: {b"a": about} if about else {},
        "server": {"uptime_in_seconds": uptime_s},
    }  # fmt: skip
    (worker,) = shown(KEYS, found, {"a": 2}, NOW_MS, lambda _: gone)
    return worker


@pytest.mark.parametrize(
    ("changes", "alive", "consumes"),
    [
        ({}, True, True),
        ({"beat_s": SILENCE_S}, True, True),
        ({"beat_s": SILENCE_S + 1}, False, False),
        ({"gone": True}, False, False),
        ({"pulse_s": None}, True, False),
        ({"pulse_s": SILENCE_S + 1}, True, False),
        ({"refused": True}, True, False),
        ({"beat_s": LONG_S, "pulse_s": LONG_S, "uptime_s": RETURN_S - 1}, True, True),
        ({"beat_s": LONG_S, "pulse_s": LONG_S, "uptime_s": RETURN_S}, False, False),
    ],
)
def test_who_is_alive_and_who_consumes(changes: dict[str, Any], alive: bool, consumes: bool) -> None:
    """Not who is silent, gone, refused, or does not look; after Redis's start each may first beat."""
    worker = seen(**changes)
    assert (worker["alive"], worker["consumes"]) == (alive, consumes)


def test_a_dead_worker_is_warned_of_with_what_it_holds() -> None:
    """What the operator has to do stands there, too."""
    (line,) = warnings([seen(beat_s=102)])
    assert "is dead: silent for 102 s" in line
    assert "2 message(s)" in line
    assert "start one" in line


def test_one_that_beats_but_does_not_look_is_warned_of() -> None:
    """It hangs; not so while its beats could not be written either."""
    (line,) = warnings([seen(pulse_s=60)])
    assert "has not looked at the queue for 60 s" in line
    assert warnings([seen(beat_s=15, pulse_s=30)]) == []


@pytest.mark.parametrize("about", [None, b"", b"no JSON", b"[]", b'{"host": 5}'])
def test_a_description_that_is_none_is_no_error(about: bytes | None) -> None:
    """Workers of earlier versions write none."""
    worker = seen(about=about)
    assert (worker["host"], worker["node"], worker["version"]) == (None, None, None)


def test_workers_that_differ_in_their_workflows_are_warned_of() -> None:
    """One rejects what the other sends; an earlier version does not say, and a dead one does not matter."""

    def with_(digest: str, **changes: Any) -> Worker:
        return seen(about=json.dumps({"workflows": digest}).encode(), **changes)

    assert warnings([with_("abc"), with_("abc"), seen()]) == []
    assert [
        line for line in warnings([with_("abc"), with_("", gone=True)]) if "AIGC_WORKFLOWS_FILE" in line
    ] == []
    (line,) = warnings([with_("abc"), with_("")])
    assert line.startswith("workers differ in AIGC_WORKFLOWS_FILE")
    assert "abc has worker a" in line
    assert "none has worker a" in line
    found = {"workers": [with_("abc"), seen()]}
    assert of_workflows(found, "abc") == []
    assert len(of_workflows(found, "def")) == 1


def test_a_parent_whose_children_are_refused_does_not_consume() -> None:
    """It takes jobs, but none of them is sent."""
    about = json.dumps({"host": "web1", "node": "aigc@web1", "version": "1"}).encode()
    found: dict[Any, Any] = {
        KEYS.workers: [(b"parent", NOW_MS), (b"child", NOW_MS)], KEYS.identities: {},
        KEYS.last_polls: {b"parent": str(NOW_MS).encode()}, KEYS.troubles: {}, KEYS.refused: {b"child"},
        KEYS.refusals: {b"child": b"no"}, KEYS.descriptions: {b"parent": about, b"child": about},
        "server": {"uptime_in_seconds": LONG_S},
    }  # fmt: skip
    workers = shown(KEYS, found, {"parent": 0, "child": 0}, NOW_MS, lambda _: False)
    assert [worker["consumes"] for worker in workers] == [False, False]


def test_workers_of_several_builds_are_told_apart() -> None:
    """Also where the version is the same; an earlier one does not say which scripts it has."""

    def of(**about: str) -> Worker:
        return seen(about=json.dumps(about).encode())

    one, other = of(version="1.1", scripts="a1"), of(version="1.1", scripts="b2")
    dead = seen(beat_s=102, about=b'{"version": "0.9"}')
    workers = [one, one, other, of(version="1.0"), seen(), dead]
    assert versions(workers) == {"1.1 (a1)": 2, "1.1 (b2)": 1, "1.0 (earlier)": 1, "? (earlier)": 1}
