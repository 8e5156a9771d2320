"""Each check of `aigc doctor` is made, and of what is there: one by one, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.stage import Stage, staged
from tests.redis_server import RedisServer
from tests.unit.cli.found import WORKER, found
from worker import from_settings
from worker.cli.checks import looks
from worker.store.keys import KeyNames

KEYS = KeyNames("aigc", "aigc:results")

Look = Callable[..., list[tuple[str, str, str]]]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with RedisServer() as server, staged(server) as made:
        yield made


@pytest.fixture
def look(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Looks with these settings, on an empty Redis: check, level and line of each finding."""

    def _look(role: str = "worker", **changes: Any) -> list[tuple[str, str, str]]:
        for name, value in stage.env(**changes).items():
            monkeypatch.setenv(name, value)
        return [(each.check, each.level, each.line) for each in looks.findings(role)]

    stage.redis.flushdb()
    return _look


def of(told: list[tuple[str, str, str]], check: str, level: str = "wrong") -> str:
    """The lines of a check, at this level."""
    return "\n".join(line for name, how, line in told if (name, how) == (check, level))


def test_what_is_well_is_told_too(look: Look) -> None:
    """Who reads the lines sees that it was looked at."""
    told = look(UI_TOKEN="9f86d081884c7d65", RATE_PER_S="10", PREFLIGHT="on")
    lines = {check: of(told, check, "ok") for check, _, _ in told}
    for check, words in {
        "secrets": "AIGC_UI_TOKEN is long enough",
        "settings": "the settings are complete",
        "preflight": "AIGC_PREFLIGHT: pictures are looked at",
        "state-folder": "can be used",
        "descriptors": "file descriptors, which a worker needs, may be opened",
        "redis": "at least 7.0 is needed",
        "rights": "Redis takes all that a worker writes",
        "endpoint": "answers (HTTP",
    }.items():
        assert words in lines[check], check


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"FORWARD_SECRET": "short"}, "secrets", "AIGC_FORWARD_SECRET"),
        ({"UI_TOKEN": "short"}, "secrets", "AIGC_UI_TOKEN"),
        ({"UI_TOKEN": "abababababababab"}, "secrets", "AIGC_UI_TOKEN can be guessed"),
        ({"SECRET_KEY": ""}, "settings", "AIGC_SECRET_KEY"),
        ({"SECRET_KEY": ""}, "workers", "workers that consume: none"),
        ({"RAET_PER_S": "1"}, "settings", "did you mean AIGC_RATE_PER_S?"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "redis", "Redis does not answer"),
        ({"ENDPOINT": "http://127.0.0.1:1"}, "endpoint", "cannot be reached"),
        ({"RATE_PER_S__TEXT2IMG": "1"}, "limit-names", "did you mean AIGC_RATE_PER_S__TEXT2IMAGE?"),
        ({"STORE_URL": "file:///proc/none"}, "store", "AIGC_STORE_URL"),
        ({"STORE_URL": "file:///tmp"}, "store", "AIGC_FOLLOW is off"),
        ({"STATE_DIR": "/dev/null/state"}, "state-folder", "/dev/null is no folder"),
    ],
)
def test_a_setting_that_cannot_work_is_wrong(
    look: Look, changes: Mapping[str, str], check: str, words: str
) -> None:
    """Each by its name; the rest is looked at all the same."""
    assert words in of(look(**changes), check)


def test_what_another_program_reads_is_looked_at(look: Look) -> None:
    """Nothing of a worker's, and nothing more of Redis than it needs."""
    told = look("producer", SECRET_KEY="", WORKFLOWS_FILE="/nowhere.toml")
    assert "AIGC_WORKFLOWS_FILE" in of(told, "settings")
    checks = {check for check, _, _ in told}
    assert {"settings", "rights", "redis", "memory", "clock"} <= checks
    assert checks & {"workers", "operation", "endpoint", "state-folder", "limits", "prices"} == set()


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({}, "limits", "neither AIGC_RATE_PER_S nor AIGC_MAX_INFLIGHT is set"),
        ({}, "prices", "no AIGC_PRICE__<WORKFLOW> is set"),
        ({}, "memory", "no maxmemory"),
        ({"ON_UNKNOWN": "resubmit"}, "risks", "AIGC_ON_UNKNOWN=resubmit"),
    ],
)
def test_a_setting_that_costs_is_warned_of(
    look: Look, changes: Mapping[str, str], check: str, words: str
) -> None:
    """Settings, prices and the server."""
    assert words in of(look(**changes), check, "warn")


def test_a_missing_package_is_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something is set that needs it, and where the program is asked about that needs it."""
    monkeypatch.setattr(looks, "_is_installed", lambda module: module != "standardwebhooks")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert "standardwebhooks is missing" in of(look(FORWARD_SECRET=secret), "extras", "warn")
    assert "`aigc events` does not start" in of(look("events"), "extras")
    assert of(look("producer"), "extras") == ""


@pytest.mark.parametrize("role", ["worker", "producer"])
def test_a_way_to_redis_that_others_see_is_warned_of(look: Look, role: str) -> None:
    """Whether or not there is a Redis at its end."""
    # Not loopback by its name, and this machine all the same.
    told = look(role, REDIS_URL="redis://:p@0.0.0.0:1/0")
    assert "is without TLS" in of(told, "connection", "warn")


def test_sentinels_are_asked_one_by_one(look: Look) -> None:
    """One that is away is told by its address."""
    told = of(look(REDIS_URL="redis+sentinel://127.0.0.1:1/shop"), "sentinels")
    assert "the sentinel 127.0.0.1:1" in told
    assert "names one sentinel" in told


def test_a_clock_that_is_wrong_is_told_against_redis_and_the_vendor(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself: one of the two may be wrong."""
    monkeypatch.setattr(looks, "time", SimpleNamespace(time=lambda: time.time() + 100))
    told = of(look(), "clock")
    assert "ahead of that of Redis" in told
    assert "ahead of that of the vendor" in told


def test_a_look_that_did_not_end_is_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was found, and nothing can be said of the rest."""
    monkeypatch.setattr(looks, "find", lambda *_: ([], False))
    assert "not all keys could be looked at" in of(look(), "unread-lists", "warn")
    monkeypatch.setattr(looks, "find", lambda *_: ([], True))
    assert of(look(), "unread-lists", "warn") == ""


@pytest.mark.parametrize(
    ("changes", "settings", "check", "level", "words"),
    [
        ({"workers": []}, {}, "workers", "wrong", "workers that consume: none"),
        ({"workers": [{**WORKER, "version": "0.0.1"}]}, {}, "workers", "warn", "and this machine has"),
        ({}, {"FOLLOW": "on"}, "following", "warn", "AIGC_FOLLOW is on here"),
        ({"paused": ["*"]}, {}, "operation", "wrong", "paused: *"),
        ({"jobs": {"unknown": 1}}, {}, "waiting", "warn", "1 unknown job(s) are held"),
    ],
)
def test_queue_and_workers_are_looked_at(
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    settings: dict[str, str],
    check: str,
    level: str,
    words: str,
) -> None:
    """What the status found is judged."""
    monkeypatch.setattr(looks, "status", lambda *_: found(**changes))
    assert words in of(look(**settings), check, level)


def test_a_worker_with_another_file_of_workflows_is_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the digest that it told of its own."""
    monkeypatch.setattr(looks, "status", lambda *_: found(workers=[{**WORKER, "workflows": "another"}]))
    assert "give both the same file" in of(look(), "workflows")


def test_a_store_that_takes_no_file_is_wrong(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own words, with the page that says what it needs."""
    monkeypatch.setattr(from_settings, "keeper_of", lambda _: SimpleNamespace(check=lambda: "access denied"))
    told = of(look(STORE_URL="s3://bucket", FOLLOW="on"), "store")
    assert "AIGC_STORE_URL: access denied; docs/how-to/keep-the-pictures.md" in told


def test_a_right_that_is_missing_is_wrong(look: Look, stage: Stage) -> None:
    """By the test's own lines."""
    stage.redis.set(KEYS.counters, "x")
    assert "Redis: the key aigc:counters is a string" in of(look(), "rights")
