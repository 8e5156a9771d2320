"""What is in Redis, and for how long: docs/security.md beside the times to live that Redis has."""

from __future__ import annotations

import json
import subprocess
import uuid
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, DEFAULT_RESULTS
from tasks.envelope import Job, encode
from tests.integration.desk import KEYS
from tests.integration.followed import FOLLOWING, had_quick_tasks, wait_for_outputs
from tests.integration.stage import LISTS, Stage, faulty, staged, text
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.keys import TABLE
from worker.store.lifetimes import LIFETIMES, family_of, table

DOC = Path(__file__).parents[2] / "docs" / "security.md"
JOURNAL_S = 86_400.0
QUICK = {**FOLLOWING, "READ_TIMEOUT_S": "3"}
SECRET_PROMPT = f"prompt-{uuid.uuid4()}"


def test_the_page_has_the_table_of_the_code() -> None:
    """Each key of the code is in it: a new one without a lifetime fails here."""
    assert list(LIFETIMES) == list(TABLE)
    rows = table()
    assert rows in DOC.read_text("utf-8"), f"python -m worker.store.lifetimes prints it:\n{rows}"


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("job:a", "job"), ("tasks:rate", "query_rate"), ("rate:TEXT2IMAGE", "workflow_rate"),
        ("rate", "rate"), ("shelf:messages", "dead_letter_messages"), ("shelf:unknown", "dead_letters"),
        ("forward:state:x", "forward_state"), ("waiting:messages", "delayed_messages"), ("other", None),
    ],
)  # fmt: skip
def test_keys_are_told_apart(stored: str, name: str | None) -> None:
    """Also where one's name begins like another's."""
    assert family_of(stored) == name


def fault_of(stage: Stage, key: bytes) -> str | None:
    """What is wrong with this key's time to live; None where nothing is."""
    name = key.decode()
    if name in (*LISTS, DEFAULT_RESULTS, DEFAULT_OUTPUTS):
        return None if stage.redis.ttl(key) == -1 else f"{name} expires"
    found = family_of(name.removeprefix(f"{DEFAULT_QUEUE}:"))
    if found is None:
        return None if name.startswith("_kombu") else f"{name} is in no table"
    lifetime, left_s = LIFETIMES[found], stage.redis.ttl(key)
    most_s = JOURNAL_S if lifetime.most_s == "AIGC_JOURNAL_TTL_S" else lifetime.most_s
    fits = 0 <= left_s <= int(most_s)
    right = {"always": fits, "never": left_s == -1, "once it ended": fits or left_s == -1}
    return None if right[lifetime.expires] or left_s == -2 else f"{name}: {left_s} s, {lifetime}"


def lived_in(stage: Stage) -> None:
    """Jobs of all ends, batches, dedupe keys, outputs, pauses, a message that nobody can read."""
    worker = stage.worker(
        **QUICK, JOURNAL_TTL_S=JOURNAL_S, RATE_PER_S=50, RATE_PER_S__TEXT2IMAGE=50, MAX_ATTEMPTS=1,
        BRAKE_AFTER=1000,
    )  # fmt: skip
    stage.put_body("{nothing")
    tasks.configure(redis_url=stage.server.url)
    batched = [
        tasks.submit(text(f"{SECRET_PROMPT} {n}"), batch="night", dedupe_key=f"k{n}") for n in range(3)
    ]
    ended = [stage.enqueue(faulty(rule), metadata={"sku": "A"}) for rule in ("hang", "sys_error")]
    for job_id in (*batched, *ended):
        stage.result(job_id)
    tasks.cancel("a-job-that-nobody-queued")
    wait_for_outputs(stage, 3)
    stage.redis.sadd(KEYS.paused, "OTHER")
    assert worker.terminate() == 0


def test_every_key_lives_as_long_as_the_page_says(redis_server: RedisServer) -> None:
    """After a run with all kinds of ends, by Redis's own TTL."""
    with staged(redis_server) as stage:
        had_quick_tasks(stage)
        try:
            lived_in(stage)
        finally:
            tasks.configure()
        keys: list[bytes] = stage.redis.keys()
        assert list(filter(None, (fault_of(stage, key) for key in keys))) == []
        names = {family_of(key.decode().removeprefix("aigc:")) for key in keys}
    for name in (
        "job",
        "task",
        "batch",
        "dedupe",
        "rate",
        "dead_letters",
        "dead_letter_messages",
        "malformed",
    ):
        assert name in names, name


def test_prompts_are_only_where_the_page_says(redis_server: RedisServer) -> None:
    """Once a job was bought its prompt is nowhere; of a held one it is in its dead letter alone."""
    with staged(redis_server) as stage:
        had_quick_tasks(stage)
        worker = stage.worker(**QUICK, BRAKE_AFTER=0)
        bought = stage.enqueue(text(f"bought {SECRET_PROMPT}"))
        held = stage.enqueue(text(f"[[hang]] held {SECRET_PROMPT}"))
        assert stage.result(bought)["status"] == "submitted"
        assert stage.result(held)["status"] == "unknown"
        wait_for_outputs(stage, 1)
        stage.drain()
        worker.kill()
        found = {
            family_of(name.removeprefix("aigc:")) for name, value in dump(stage) if SECRET_PROMPT in value
        }
    assert found == {"dead_letter_messages"}
    assert LIFETIMES["dead_letter_messages"].content == "payloads"


def test_what_is_known_of_a_customer_can_be_deleted(redis_server: RedisServer) -> None:
    """By the commands of docs/security.md: prompt and metadata are nowhere afterwards; the records stay."""
    sku = f"sku-{uuid.uuid4()}"
    with staged(redis_server) as stage:
        had_quick_tasks(stage)
        worker = stage.worker(**QUICK, BRAKE_AFTER=0)
        bought = stage.enqueue(text(f"bought {sku}"), metadata={"sku": sku})
        rules = ("hang", "param_error")
        bad = [stage.enqueue(text(f"[[{rule}]] {sku}"), metadata={"sku": sku}) for rule in rules]
        task = stage.result(bought)["taskId"]
        ends = [stage.result(job)["status"] for job in bad]
        wait_for_outputs(stage, 1)
        stage.drain()
        worker.kill()
        assert sku in str(dump(stage))
        for job in bad:
            delete(stage, "results", KEYS.job(job), "i")  # a held job that is decided has another result
        discarded = aigc(stage, "failed", "discard", *bad, "--yes")
        assert discarded.returncode == 0, discarded.stderr
        for job in (bought, *bad):
            delete(stage, "results", KEYS.job(job), "i")
        delete(stage, "outputs", KEYS.task(task), "e")
        stage.redis.hdel(KEYS.task(task), "o")
        left = [name for name, value in dump(stage) if sku in value]
        records = [stage.redis.exists(KEYS.job(job)) for job in (bought, *bad)]
    assert ends == ["unknown", "rejected"]
    assert left == []
    assert records == [1, 1, 1]


def delete(stage: Stage, stream: str, record: str, field: str) -> None:
    """The entry that a record names."""
    if entry := stage.redis.hget(record, field):
        stage.redis.xdel(f"aigc:{stream}", entry)


def aigc(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [quick_aigc(), *arguments]
    return subprocess.run(command, env=stage.env(), capture_output=True, text=True, timeout=60, check=False)


def dump(stage: Stage) -> list[tuple[str, str]]:
    """Each key and all that is in it, bodies of messages decoded."""
    reads: dict[bytes, Any] = {
        b"string": lambda key: stage.redis.get(key), b"hash": lambda key: stage.redis.hgetall(key),
        b"list": lambda key: stage.redis.lrange(key, 0, -1), b"set": lambda key: stage.redis.smembers(key),
        b"zset": lambda key: stage.redis.zrange(key, 0, -1), b"stream": lambda key: stage.redis.xrange(key),
    }  # fmt: skip
    return [(key.decode(), decoded(reads[stage.redis.type(key)](key))) for key in sorted(stage.redis.keys())]


def decoded(value: Any) -> str:
    """Text in which a message's base64 is read."""
    words = str(value)
    for part in words.replace("\\", "").split('"'):
        if len(part) > 40:
            try:
                words += b64decode(part, validate=True).decode("utf-8", "replace")
            except ValueError:
                continue
    return words


def test_the_test_would_find_a_prompt() -> None:
    """In a message as it is queued: else the ones above would prove nothing."""
    assert SECRET_PROMPT in decoded([encode(Job("j", text(SECRET_PROMPT)), "aigc")])
    assert SECRET_PROMPT not in json.dumps(text("other"))
