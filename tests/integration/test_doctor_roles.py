"""`aigc doctor --role`: what the user of each program lacks in a real Redis, and what gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
import redis

from tests.integration.acl_roles import (
    FORBIDDEN,
    KEYS,
    PASSWORD,
    denied,
    redis_with_roles,
    url,
    words_of,
)
from tests.integration.stage import Stage, staged
from worker.cli import run
from worker.cli.doctor import ROLES
from worker.store import acl
from worker.store.role_needs import needs_of
from worker.store.scripts import connect
from worker.store.selftest import refusals

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHERS = [role for role in ROLES if role != "worker"]


@pytest.fixture(scope="module")
def all_tests_stage() -> Iterator[Stage]:
    with redis_with_roles() as server, staged(server) as made:
        yield made


@pytest.fixture
def stage(all_tests_stage: Stage) -> Stage:
    """Without data, and without what its users were refused."""
    all_tests_stage.redis.flushdb()
    all_tests_stage.redis.acl_log_reset()
    return all_tests_stage


def doctor(stage: Stage, role: str, user: str, **changes: Any) -> list[dict[str, Any]]:
    """What `aigc doctor --json --role` finds with this user, run in this process."""
    environ = stage.env(REDIS_URL=url(stage.server, user), ENDPOINT="http://127.0.0.1:9", **changes)
    out, err = StringIO(), StringIO()
    with patch.dict("os.environ", environ, clear=True), redirect_stdout(out), redirect_stderr(err):
        code = run(["doctor", "--json", "--role", role])
    assert err.getvalue() == ""
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert code == any(each["level"] == "wrong" for each in found)
    return found


def of_rights(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["level"], each["what"]) for each in found if each["check"] == "rights"]


def lacking(stage: Stage, *words: str) -> None:
    """A user who has these rights, and no others."""
    stage.redis.execute_command("ACL", "SETUSER", "lacking", "reset", *words, "on", f">{PASSWORD}")


def remedies(lines: list[str]) -> Iterator[list[str]]:
    """The words of each `ACL SETUSER` that is told."""
    for line in lines:
        yield re.findall(r"\([^)]*\)|\S+", line.rpartition("; ACL SETUSER lacking ")[2])


@pytest.mark.parametrize("role", OTHERS)
def test_a_wrong_name_of_results_is_told_and_nothing_else_is_asked(role: str, stage: Stage) -> None:
    """For each program, whose own settings are right: it ended in a traceback."""
    found = doctor(stage, role, role, RESULTS="aigc:workers", FORWARD_SECRET=SECRET)
    (wrong,) = [each for each in found if each["level"] == "wrong"]
    assert wrong["what"].startswith("AIGC_RESULTS must be another name than aigc:workers")
    assert {each["check"] for each in found} <= {"settings", "extras", "token"}


def test_the_roles_are_those_of_the_users() -> None:
    """The command has their names, for it imports nothing to show its help."""
    assert sorted(ROLES) == sorted(acl.ROLES)


def contents(stage: Stage) -> dict[bytes, bytes]:
    return {key: stage.redis.dump(key) for key in stage.redis.scan_iter()}


@pytest.mark.parametrize("role", ROLES)
def test_the_rules_of_the_file_are_enough(stage: Stage, role: str) -> None:
    """Nothing is missing, and nothing is written."""
    stage.redis.lpush(KEYS.queue, "message")
    stage.redis.hset(KEYS.job("a"), "s", "sending")
    stage.redis.xadd(KEYS.results, {"result": "{}"})
    stage.redis.xgroup_create(KEYS.results, "selftest", "0")
    before = contents(stage)
    found = doctor(stage, role, role, FORWARD_SECRET=SECRET)
    ((level, _),) = of_rights(found)
    assert level == "ok"
    assert [each for each in found if each["check"] == "redis" and each["level"] == "wrong"] == []
    assert contents(stage) == before


@pytest.mark.parametrize("role", OTHERS)
def test_what_is_asked_leaves_no_refusal_in_the_log_of_redis(stage: Stage, role: str) -> None:
    """Whoever watches `ACL LOG` is not called by a look at what is allowed."""
    doctor(stage, role, role, FORWARD_SECRET=SECRET)
    # Lists of others are looked for, and done without.
    assert [each for each in denied(stage, role) if each[1] != "celery" and "|" not in each[1]] == []


def test_a_workers_user_is_not_blamed_for_what_it_need_not_read(stage: Stage) -> None:
    """The queue's state is an operator's to look at: it is said who can."""
    found = doctor(stage, "worker", "worker")
    assert [each["check"] for each in found if each["level"] == "wrong"] == ["endpoint"]
    ((what),) = [each["remedy"] for each in found if each["check"] == "operation"]
    assert "--role operator" in what


@pytest.mark.parametrize(
    ("role", "missing", "key"),
    [
        ("producer", "lpush", "aigc"),
        ("producer", "hset", "aigc:job:"),
        ("consumer", "xreadgroup", "aigc:results"),
        ("operator", "xgroup|destroy", "aigc:results"),
        ("ui", "xinfo|stream", "aigc:outputs"),
        ("forward", "xack", "aigc:results"),
        ("events", "set", "aigc:dedupe:"),
    ],
)
def test_a_missing_right_is_named_with_its_key(stage: Stage, role: str, missing: str, key: str) -> None:
    """And the remedy that is told is one: after it nothing is missing."""
    words = [re.sub(rf"\+{re.escape(missing)}(?=[ )])", "", word) for word in words_of(role)]
    lacking(stage, *(re.sub(r"\(-@all +~[^)]*\)", "", word) for word in words if word))
    ((level, what),) = of_rights(doctor(stage, role, "lacking", FORWARD_SECRET=SECRET))
    assert level == "wrong"
    assert what.startswith(f"Redis: {missing.upper().replace('|', ' ')} ")
    assert key in what
    (given,) = remedies([what])
    stage.redis.execute_command("ACL", "SETUSER", "lacking", *given)
    ((level, _),) = of_rights(doctor(stage, role, "lacking", FORWARD_SECRET=SECRET))
    assert level == "ok"


@pytest.mark.parametrize("role", OTHERS)
def test_what_is_told_leads_from_no_right_to_exactly_those_that_are_needed(stage: Stage, role: str) -> None:
    """Whoever gives all that is told has a program that works, and may do nothing that is others' work."""
    lacking(stage, "+multi", "+select")
    client: Any = connect(url(stage.server, "lacking"))
    for _ in range(4):
        client.close()
        if not (lines := refusals(client, KEYS, needs_of(role, KEYS))):
            break
        for words in remedies(lines):
            stage.redis.execute_command("ACL", "SETUSER", "lacking", *words)
    assert lines == []
    allowed = []
    for command in FORBIDDEN[role]:
        try:
            client.execute_command(*command.split())
            allowed.append(command)
        except redis.exceptions.NoPermissionError:
            pass
    client.close()
    assert allowed == []


def test_a_channel_without_a_right_to_it_is_named(stage: Stage) -> None:
    """Consumers listen there."""
    lacking(stage, *(word for word in words_of("consumer") if word != "&aigc:outputs"))
    ((level, what),) = of_rights(doctor(stage, "consumer", "lacking"))
    assert (level, "SUBSCRIBE" in what) == ("wrong", True)
    assert what.endswith("ACL SETUSER lacking &aigc:outputs")


def test_who_may_only_enqueue_is_asked_for_no_key_of_the_vendor(stage: Stage) -> None:
    """Nor for anything else that is a worker's; what is set wrong for it is told."""
    found = doctor(stage, "producer", "producer", ACCESS_KEY="", SECRET_KEY="")
    assert [each for each in found if each["level"] == "wrong"] == []
    assert {"settings", "redis", "rights", "clock"} <= {each["check"] for each in found}
    assert {"workers", "endpoint", "state-folder"} & {each["check"] for each in found} == set()
    found = doctor(stage, "producer", "producer", WORKFLOWS_FILE="/nowhere.toml")
    assert any("AIGC_WORKFLOWS_FILE" in each["what"] for each in found if each["level"] == "wrong")
    assert ("ok",) in {each[:1] for each in of_rights(found)}


def test_who_forwards_needs_a_secret(stage: Stage) -> None:
    """That is told beside its rights."""
    found = doctor(stage, "forward", "forward")
    assert [each["check"] for each in found if each["level"] == "wrong"] == ["settings"]
    assert any("AIGC_FORWARD_SECRET" in each["what"] for each in found)


@pytest.mark.parametrize("role", ["operator", "ui"])
def test_who_may_look_is_told_of_queue_and_workers(stage: Stage, role: str) -> None:
    """As with the worker's own user."""
    found = doctor(stage, role, role)
    assert [each["what"] for each in found if each["level"] == "wrong"] == ["workers that consume: none"]


def test_a_key_of_another_type_is_told_to_who_may_ask(stage: Stage) -> None:
    """An operator; a producer has no right to TYPE, and is not refused it either."""
    stage.redis.lpush("aigc:shops", "x")
    lines = [what for level, what in of_rights(doctor(stage, "operator", "operator")) if level == "wrong"]
    assert lines == [
        "Redis: the key aigc:shops is a list and must be a set: let AIGC_QUEUE or AIGC_RESULTS give another"
        " name, or rename or delete it"
    ]
    assert {level for level, _ in of_rights(doctor(stage, "producer", "producer"))} == {"ok"}


def test_a_task_goes_without_a_role(capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage: exit 2, for that reason."""
    assert run(["doctor", "--role", "ui", "--task", "t"]) == 2
    assert "--task" in capsys.readouterr().err
