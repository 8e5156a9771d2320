"""Each check of `aigc doctor` made true by values; docs/reference/doctor.md has a row for each."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from tasks.prices import Prices
from tests.unit.cli.found import WORKER, found
from worker.cli.checks import looks, sentinels
from worker.cli.checks.exposure import of_connection, of_extras, of_program, of_token
from worker.cli.checks.finding import CHECKS, Finding, ok, warn, wrong
from worker.cli.checks.machine import Folder, of_clock, of_descriptors, of_folder, state_folder
from worker.cli.checks.operation import of_following, of_operation, of_unread, of_versions
from worker.cli.checks.server import of_server
from worker.cli.checks.settings import longest_waits_s, of_prices, of_settings
from worker.config.settings import load
from worker.local.descriptors import needed

ROOT = Path(__file__).parents[3]
KEYS = {"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
BOUNDED = {"AIGC_RATE_PER_S": "10"}
PRICED = {"AIGC_PRICE__TEXT2IMAGE": "1", "AIGC_CURRENCY": "USD"}
GIB = 2**30
SERVER = {
    "redis_version": "7.2.4", "cluster_enabled": 0, "aof_enabled": 1, "rdb_last_bgsave_status": "ok",
    "role": "master", "connected_slaves": 0, "used_memory": GIB, "maxmemory": 4 * GIB,
    "total_system_memory": 8 * GIB, "connected_clients": 20,
}  # fmt: skip
CONFIGURED = {
    "appendfsync": {"appendfsync": "everysec"}, "save": {"save": ""},
    "replicas": {"min-replicas-to-write": "0"}, "maxclients": {"maxclients": "10000"},
}  # fmt: skip


def told(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """Check, level and line of all that is not well."""
    return [(each.check, each.level, each.line) for each in findings if each.level != "ok"]


def test_settings_that_go_together_are_fine() -> None:
    """The defaults with a limit: nothing to say."""
    assert told(of_settings(load(KEYS | BOUNDED))) == []


@pytest.mark.parametrize(
    ("environ", "check", "words"),
    [
        ({"AIGC_RATE_PER_S": ""}, "limits", "whoever can write to the queue has jobs bought"),
        ({"AIGC_RATE_PER_S__TEXT2IMAGE": "20"}, "limits", "AIGC_RATE_PER_S__TEXT2IMAGE=20 is never reached"),
        ({"AIGC_MAX_INFLIGHT": "4"}, "limits", "AIGC_MAX_INFLIGHT=4, of all workers, is below"),
        ({"AIGC_JOB_DEADLINE_S": "10"}, "times", "AIGC_JOB_DEADLINE_S=10 is shorter than one attempt"),
        ({"AIGC_MAX_ATTEMPTS": "2000"}, "times", "the waits between AIGC_MAX_ATTEMPTS=2000 attempts"),
        ({"AIGC_JOURNAL_TTL_S": "3600"}, "times", "AIGC_JOURNAL_TTL_S=3600 is below AIGC_JOB_DEADLINE_S"),
        ({"AIGC_ON_UNKNOWN": "resubmit"}, "risks", "AIGC_ON_UNKNOWN=resubmit"),
        ({"AIGC_BRAKE_AFTER": "0"}, "risks", "AIGC_BRAKE_AFTER=0"),
        ({"AIGC_LOG_LEVEL": "DEBUG"}, "risks", "AIGC_LOG_LEVEL=DEBUG"),
        ({"AIGC_FETCH_ALLOW": "10.0.0.0/8"}, "fetch-allow", "may lead to 10.0.0.0/8"),
    ],
)
def test_settings_that_contradict_each_other_are_warned_of(
    environ: dict[str, str], check: str, words: str
) -> None:
    """Alone, each with what to do about it."""
    ((name, level, line),) = told(of_settings(load(KEYS | BOUNDED | environ)))
    assert (name, level) == (check, "warn")
    assert words in line
    assert "; " in line


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"AIGC_MAX_ATTEMPTS": "1"}, 0),
        ({"AIGC_MAX_ATTEMPTS": "4"}, 1 + 2 + 4),
        ({"AIGC_MAX_ATTEMPTS": "10"}, 1 + 2 + 4 + 8 + 16 + 32 + 3 * 60),
        ({"AIGC_MAX_ATTEMPTS": "2147483647", "AIGC_RETRY_CAP_S": "1"}, 2147483646),
    ],
)
def test_the_longest_waits_are_added_up(environ: dict[str, str], seconds: float) -> None:
    """As `docs/settings.md` has the formula; for any number of attempts at once."""
    assert longest_waits_s(load(KEYS | environ)) == seconds


@pytest.mark.parametrize(
    ("environ", "seen", "words"),
    [
        ({}, ["TEXT2IMAGE"], "no AIGC_PRICE__<WORKFLOW> is set"),
        (PRICED, ["OWN"], "workflow OWN has no price"),
        ({"AIGC_PRICE__TEXT2IMG": "1", "AIGC_CURRENCY": "USD"}, [], "did you mean AIGC_PRICE__TEXT2IMAGE?"),
        ({"AIGC_PRICE__TEXT2IMAGE": "1"}, ["TEXT2IMAGE"], "set AIGC_CURRENCY"),
        (PRICED, ["TEXT2IMAGE"], ""),
    ],
)
def test_prices_that_do_not_add_up_are_warned_of(
    environ: dict[str, str], seen: list[str], words: str
) -> None:
    """Of workflows that are bought without one, and of names that are none."""
    prices: Prices = load(KEYS | environ).prices
    lines = told(of_prices(prices, seen))
    assert len(lines) == bool(words)
    assert words in str(lines)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:6379/0", []),
        ("rediss://u:p@redis.example.com/0", []),
        ("redis://u:secret@redis.example.com/0", ["is without TLS"]),
        ("rediss://redis.example.com/0", ["has no password"]),
        ("rediss://u:secret@redis.example.com/0?ssl_cert_reqs=none", ["trusts any server"]),
        ("redis+sentinel://a.example.com,b.example.com/primary", ["is without TLS", "has no password"]),
    ],
)
def test_a_way_to_redis_that_others_can_use_is_warned_of(url: str, words: list[str]) -> None:
    """But for loopback; no secret of the URL is shown."""
    lines = told(of_connection(url))
    assert [word for word, (_, _, line) in zip(words, lines, strict=True) if word not in line] == []
    assert "secret" not in str(lines)


def test_a_token_that_can_be_guessed_is_wrong() -> None:
    """Length alone is no strength; the token is not shown."""
    ((check, level, line),) = told(of_token("AIGC_UI_TOKEN", "abababababababab"))
    assert (check, level) == ("secrets", "wrong")
    assert "abab" not in line
    assert "token_urlsafe" in line
    assert told(of_token("AIGC_UI_TOKEN", "9f86d081884c7d65")) == told(of_token("AIGC_UI_TOKEN", None)) == []


def test_an_extra_that_is_missing_is_warned_of() -> None:
    """Where something that only it uses is set."""
    lines = told(of_extras({"AIGC_UI_TOKEN": True}, lambda module: module != "prometheus_client"))
    assert [(check, "prometheus_client is missing" in line) for check, _, line in lines] == [("extras", True)]
    assert told(of_extras({"AIGC_UI_TOKEN": False}, lambda _: False)) == []
    assert told(of_extras({"AIGC_FORWARD_SECRET": True}, lambda _: True)) == []


def test_a_program_without_its_packages_is_wrong() -> None:
    """By all extras that its command needs; others need none."""
    ((check, level, line),) = told(of_program("events", lambda module: module != "jmespath"))
    assert (check, level) == ("extras", "wrong")
    assert "jmespath is missing: `aigc events` does not start" in line
    assert "pip install 'aigc-worker[events,mapping]'" in line
    assert told(of_program("consumer", lambda _: False)) == told(of_program("ui", lambda _: True)) == []


def test_a_folder_that_cannot_be_used_is_wrong(tmp_path: Path) -> None:
    """A file in its place, one of others, a full disk; nothing is made by looking."""
    (tmp_path / "file").write_text("")
    assert "is no folder" in told(of_folder(state_folder(f"{tmp_path}/file/state")))[0][2]
    assert told(of_folder(Folder(f"{tmp_path}/new/state", "", GIB))) == []
    assert state_folder(f"{tmp_path}/new/state").problem == ""
    assert os.listdir(tmp_path) == ["file"]
    assert told(of_folder(Folder("/x", "/x cannot be written to by this user", GIB)))[0][1] == "wrong"
    assert "1 MB are free" in told(of_folder(Folder("/x", "", 2**20)))[0][2]


def test_too_few_descriptors_are_wrong() -> None:
    """By the limit that a worker cannot raise; -1 is none."""
    need = needed(32, follows=True)
    assert told(of_descriptors(32, True, need)) == told(of_descriptors(32, True, -1)) == []
    ((check, level, line),) = told(of_descriptors(32, True, need - 1))
    assert (check, level, f"the hard limit is {need - 1}" in line) == ("descriptors", "wrong", True)


@pytest.mark.parametrize(
    ("ahead_s", "level"), [(4.9, "ok"), (-4.9, "ok"), (-5.0, "warn"), (60.0, "wrong"), (-60.0, "wrong")]
)
def test_clocks_that_differ_are_told(ahead_s: float, level: str) -> None:
    """Requests are signed with the time."""
    assert of_clock("Redis", ahead_s).level == level


def test_a_time_zone_makes_no_clock_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clocks are read as seconds since the epoch."""
    then = 1_700_000_000.0
    levels = []
    for zone in ("UTC", "Pacific/Kiritimati"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        levels.append(of_clock("Redis", then - time.mktime(time.localtime(then))).level)
    monkeypatch.undo()
    time.tzset()
    assert levels == ["ok", "ok"]


def of_redis(*, has_sentinels: bool = False, configured: dict[str, Any] | None = None, **info: Any) -> Any:
    answers = {"info": {**SERVER, **info}, **CONFIGURED, **(configured or {})}
    return told(of_server(answers, has_sentinels))


def test_a_redis_that_keeps_all_is_fine() -> None:
    """One that hides its configuration, too: it cannot be asked."""
    assert of_redis() == []
    assert of_redis(configured=dict.fromkeys(CONFIGURED)) == []


@pytest.mark.parametrize(
    ("appendfsync", "words"), [("everysec", "loses a second"), ("always", "on its disk")]
)
def test_what_a_redis_keeps_is_told(appendfsync: str, words: str) -> None:
    """As well as how much of its memory is used."""
    answers = {"info": SERVER, **CONFIGURED, "appendfsync": {"appendfsync": appendfsync}}
    lines = {each.check: each.line for each in of_server(answers, False)}
    assert words in lines["durability"]
    assert "25% of its maxmemory" in lines["memory"]


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        ({"redis_version": "6.2.1"}, "redis", "wrong", "at least 7.0 is needed; upgrade it"),
        ({"cluster_enabled": 1}, "redis", "wrong", "is a Cluster"),
        (
            {"aof_enabled": 0, "configured": {"save": {"save": "60 1"}}},
            "durability",
            "warn",
            "snapshots at most",
        ),
        ({"configured": {"appendfsync": {"appendfsync": "no"}}}, "durability", "warn", "half a minute"),
        ({"rdb_last_bgsave_status": "err"}, "durability", "warn", "last snapshot failed"),
        ({"has_sentinels": True}, "durability", "wrong", "nothing to fail over to; start one"),
        ({"connected_slaves": 2}, "durability", "warn", "CONFIG SET min-replicas-to-write 1"),
        ({"maxmemory": 0}, "memory", "warn", "no maxmemory"),
        ({"maxmemory": 0, "used_memory": 7 * GIB}, "memory", "wrong", "88% of its machine's memory"),
        ({"connected_clients": 8001}, "clients", "warn", "8001 of Redis's 10000 connections"),
    ],
)
def test_a_redis_that_may_lose_or_refuse_is_told(
    changes: dict[str, Any], check: str, level: str, words: str
) -> None:
    """Each alone, with the command that mends it. The rest is in `worker.store.redis_health`."""
    ((name, how, line),) = of_redis(**changes)
    assert (name, how) == (check, level)
    assert words in line


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        ({"workers": []}, "workers", "wrong", "workers that consume: none; start one: aigc worker"),
        ({"paused": ["*"]}, "operation", "wrong", "paused: * (aigc resume)"),
        ({"warnings": ["the disk is full"]}, "operation", "wrong", "the disk is full"),
        ({"jobs": {"unknown": 2}}, "waiting", "warn", "2 unknown job(s) are held"),
        ({"jobs": {"malformed_messages": 1}}, "waiting", "warn", "aigc failed list --malformed"),
        ({"following": {"unstored": 3}}, "waiting", "warn", "3 finished file(s) could not be kept"),
    ],
)
def test_what_keeps_jobs_from_being_done_is_told(
    changes: dict[str, Any], check: str, level: str, words: str
) -> None:
    """And what waits for somebody."""
    ((name, how, line),) = told(of_operation(found(**changes)))
    assert (name, how) == (check, level)
    assert words in line
    assert told(of_operation(found())) == []


def test_an_endpoint_without_webhooks_is_told() -> None:
    """As `aigc status --check` says it."""
    endpoint = {"url": "https://e", "gone_s": None, "failing_s": None, "active": False, "given_up": 0}
    ((check, level, line),) = told(of_operation(found(forwards=[endpoint])))
    assert (check, level, "nobody forwards to https://e" in line) == ("forward", "wrong", True)


def test_workers_of_several_versions_are_told() -> None:
    """An upgrade that was not ended; and one where this machine is of another version."""
    workers = [WORKER, {**WORKER, "version": "0.2.0", "name": "w2"}]
    assert "0.1.0 is worker w1 (pid 17) aigc-17@alpha, 0.2.0 is" in told(of_versions(workers, "0.1.0"))[0][2]
    assert "this machine has 0.3.0" in told(of_versions([WORKER], "0.3.0"))[0][2]
    assert told(of_versions([WORKER], "0.1.0")) == told(of_versions([WORKER], None)) == []
    assert told(of_versions([{**WORKER, "version": None}], "0.1.0")) == []


def test_tasks_that_nobody_follows_are_told() -> None:
    """Where this machine's settings say that workers do."""
    assert "set AIGC_FOLLOW=on" in told(of_following(found(), True))[0][2]
    assert told(of_following(found(following={"workers_follow": True}), True)) == []
    assert told(of_following(found(), False)) == []


def test_a_look_that_did_not_end_is_told() -> None:
    """There may be lists that nobody reads among the rest."""
    ((check, level, line),) = told(of_unread(False, 5.0))
    assert (check, level, "not all keys could be looked at" in line) == ("unread-lists", "warn", True)
    assert list(of_unread(True, 5.0)) == []


def test_that_pictures_are_looked_at_is_told() -> None:
    """Where they are: for it asks customers' hosts."""
    said = [list(of_settings(load(KEYS | BOUNDED | {"AIGC_PREFLIGHT": how}))) for how in ("on", "off")]
    assert [[each.check for each in found] for found in said] == [["preflight"], []]


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        (["10.0.0.1:6379", "10.0.0.1:6379", "10.0.0.1:6379"], "ok", "the sentinels name 10.0.0.1:6379"),
        (["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.1:6379"], "wrong", "sentinel h1:26379 alone names"),
        (["10.0.0.1:6379", "10.0.0.1:6379", "h2:26379 is away"], "wrong", "the sentinel h2:26379 is away"),
        (["10.0.0.1:6379"], "wrong", "names one sentinel"),
    ],
)
def test_what_each_sentinel_says_is_told(
    monkeypatch: pytest.MonkeyPatch, said: list[str], level: str, words: str
) -> None:
    """Those that are away, or name another primary than the rest; and that there is only one."""
    answers = [((f"h{number}", 26379), words) for number, words in enumerate(said)]
    monkeypatch.setattr(sentinels, "survey", lambda _: answers)
    url = f"redis+sentinel://{','.join(host for (host, _), _ in answers)}/shop"
    found = [each.line for each in sentinels.sentinel_findings(url) if each.level == level]
    assert words in "".join(found)
    assert len(found) == 1


def test_levels_are_told_apart() -> None:
    """In a column of their own; the remedy ends the line."""
    lines = [ok("redis", "a").line, warn("redis", "a", "b").line, wrong("redis", "a", "b").line]
    assert lines == ["ok     a", "warn   a; b", "WRONG  a; b"]
    document = {"check": "redis", "level": "wrong", "what": "a", "remedy": None}
    assert wrong("redis", "a").document() == document


def test_the_page_has_a_row_for_each_check() -> None:
    """In the code's order, by the name that `aigc doctor --json` gives."""
    page = (ROOT / "docs" / "reference" / "doctor.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(CHECKS)


def test_each_check_that_is_made_has_a_name_in_the_table() -> None:
    """And each name is one that some check has."""
    texts = [path.read_text("utf-8") for path in (ROOT / "worker" / "cli" / "checks").glob("*.py")]
    made = {name for text in texts for name in re.findall(r'\b(?:ok|warn|wrong)\(\s*"([a-z-]+)"', text)}
    assert made == set(CHECKS)


class Managed:
    """Redis's client, where CONFIG is answered with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def info(self) -> dict[str, Any]:
        return SERVER

    def config_get(self, name: str) -> Any:
        raise self._error

    def time(self) -> tuple[int, int]:
        return int(time.time()), 0


@pytest.mark.parametrize(
    "error", [redis.ResponseError("unknown command 'CONFIG'"), NoPermissionError("no permissions to run it")]
)
def test_what_a_managed_redis_hides_is_no_trouble(error: Exception) -> None:
    """It has its own ways to be configured."""
    assert told(looks._server(Managed(error), "redis://h")) == []


@pytest.mark.parametrize("error", [redis.ConnectionError("closed"), redis.TimeoutError("timed out")])
def test_a_redis_that_goes_away_while_it_is_looked_at_hides_nothing(error: Exception) -> None:
    """That is told as such."""
    with pytest.raises(type(error)):
        list(looks._server(Managed(error), "redis://h"))
