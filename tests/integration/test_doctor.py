"""`aigc doctor` on a real Redis, a real vendor and this machine: what only they can make true."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conditions import PATIENCE_S, until
from tests.integration.acl_roles import words_of
from tests.integration.stage import Stage, staged
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.cli.checks.finding import CHECKS
from worker.local.descriptors import needed

REAL = [sys.executable, "-c", "from worker.cli import main; main()"]
NOBODY: dict[str, Any] = {"ENDPOINT": "http://127.0.0.1:9"}


def findings(
    stage: Stage, preparation: Callable[[], None] | None = None, **changes: Any
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `aigc doctor --json`, and what it found; a real process where it is prepared."""
    done = subprocess.run(
        [*(REAL if preparation else [quick_aigc()]), "doctor", "--json"], env=stage.env(**changes),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, preexec_fn=preparation,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def of(found: list[dict[str, Any]], check: str, level: str) -> list[str]:
    return [each["what"] for each in found if (each["check"], each["level"]) == (check, level)]


def test_each_finding_has_a_name_a_level_and_a_remedy(stage: Stage) -> None:
    """On a machine where all goes well: nothing is wrong, and what is warned of says what to do."""
    stage.worker()
    until(lambda: stage.redis.hlen("aigc:pulses"), "the worker's pulse")
    code, found = findings(stage, UI_TOKEN="abababababababababab")
    told = ["AIGC_UI_TOKEN can be guessed: it has 2 different characters"]
    assert (code, of(found, "secrets", "wrong")) == (1, told)
    code, found = findings(stage)
    assert (code, [each for each in found if each["level"] == "wrong"]) == (0, [])
    assert {each["check"] for each in found} <= set(CHECKS)
    assert [each for each in found if each["level"] == "warn" and not each["remedy"]] == []
    for check in (
        "settings",
        "state-folder",
        "descriptors",
        "redis",
        "rights",
        "durability",
        "clock",
        "endpoint",
    ):
        assert any(each["check"] == check for each in found), check


def test_following_without_the_outputs_rights_takes_no_job(own_redis_server: RedisServer) -> None:
    """Said with the right that is missing; without AIGC_FOLLOW nothing is."""
    words = [word.replace(" ~aigc:outputs", "") for word in words_of("worker") if word != "&aigc:outputs"]
    words = [word for word in words if word != "~aigc:outputs"]
    client: Any = own_redis_server.client()
    client.execute_command("ACL", "SETUSER", "lacking", *words, "on", ">pw")
    url = f"redis://lacking:pw@127.0.0.1:{own_redis_server.port}/0"
    with staged(own_redis_server) as stage:
        code, found = findings(stage, REDIS_URL=url, FOLLOW="on", **NOBODY)
        refused = [line for line in of(found, "rights", "wrong") if "aigc:outputs" in line]
        assert code == 1
        assert refused
        assert all("ACL SETUSER lacking" in line for line in refused), refused
        assert any("with AIGC_FOLLOW=on no job is taken until then" in line for line in refused), refused
        _, found = findings(stage, REDIS_URL=url, **NOBODY)
        assert of(found, "rights", "wrong") == []


def test_a_folder_that_cannot_be_made_is_wrong(stage: Stage, tmp_path: Path) -> None:
    """By its setting's name; nothing is made by looking."""
    (tmp_path / "file").write_text("")
    _, found = findings(stage, STATE_DIR=tmp_path / "file" / "state", **NOBODY)
    ((what),) = of(found, "state-folder", "wrong")
    assert f"AIGC_STATE_DIR: {tmp_path}/file is no folder" in what
    assert os.listdir(tmp_path) == ["file"]


def test_a_hard_limit_that_is_too_low_is_wrong(stage: Stage) -> None:
    """The worker would not start there."""
    most = needed(32) - 1

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    _, found = findings(stage, lower, CONCURRENCY=32, **NOBODY)
    assert of(found, "descriptors", "wrong") == [
        f"AIGC_CONCURRENCY=32 needs {most + 1} file descriptors, and the hard limit is {most}"
    ]


@pytest.mark.parametrize(
    ("setting", "value", "check", "words"),
    [
        ("appendfsync", "no", "durability", "appendfsync is no"),
        ("maxclients", "5", "clients", "of Redis's 5 connections"),
    ],
)
def test_a_setting_of_redis_that_costs_is_warned_of(
    own_redis_server: RedisServer, setting: str, value: str, check: str, words: str
) -> None:
    """With the command that mends it."""
    with staged(own_redis_server) as stage:
        stage.redis.config_set("appendonly", "yes")
        stage.redis.config_set(setting, value)
        others: list[Any] = [own_redis_server.client() for _ in range(3)]
        for other in others:
            other.ping()
        _, found = findings(stage, **NOBODY)
        for other in others:
            other.close()
        stage.redis.config_set("maxclients", "1000")
    (finding,) = [each for each in found if each["check"] == check and each["level"] == "warn"]
    assert words in finding["what"]
    assert "CONFIG SET" in finding["remedy"]


def test_what_a_shop_has_bought_without_a_price_is_told(stage: Stage) -> None:
    """By the workflows that Redis knows."""
    stage.redis.sadd("aigc:workflows", "OWN")
    _, found = findings(stage, PRICE__TEXT2IMAGE="0.1", CURRENCY="USD", **NOBODY)
    stage.redis.delete("aigc:workflows")
    assert of(found, "prices", "warn") == [
        "workflow OWN has no price: its jobs are missing in what was spent"
    ]


def test_json_goes_without_a_task(stage: Stage) -> None:
    """Bad usage: exit 2."""
    done = subprocess.run(
        [quick_aigc(), "doctor", "--json", "--task", "t"], env=stage.env(), check=False, timeout=60
    )
    assert done.returncode == 2
