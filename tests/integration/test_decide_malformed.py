"""`aigc failed … --malformed`: what an operator does about messages that no worker could read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import BATCH_TASK_NAME, TASK_NAME, queue_for
from tasks.envelope import Job, encode
from tests.conditions import until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import CAT, staged
from tests.integration.terminal import shown_by
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.malformed import MalformedMessages, fresh

ABOUT = {"at": "2026-11-22T22:31:33.123Z", "reason": "headers.task must be tasks.submit_workflow"}


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.close()


def misspelt(job_id: str = "order-17", queue: str = KEYS.queue) -> bytes:
    """A good message but for its task's name."""
    message = json.loads(encode(Job(job_id, CAT, enqueued_ms=1_700_000_000_000), queue))
    message["headers"]["task"] = "tasks.submit_worklow"
    return json.dumps(message).encode()


def put_aside(desk: Desk, raw: bytes) -> str:
    """Its name."""
    desk.redis.rpush(KEYS.malformed, json.dumps(ABOUT).encode() + b" " + raw)
    return str(listed(desk)[-1]["name"])


def listed(desk: Desk) -> list[dict[str, Any]]:
    return desk.aigc("failed", "list", "--malformed").documents


def mended(desk: Desk, name: str, folder: Path, task: str = TASK_NAME) -> str:
    """The file of a message whose task's name was put right in what `show` printed."""
    shown = desk.aigc("failed", "show", "--malformed", name).out
    file = folder / "message.json"
    file.write_text(shown.replace("tasks.submit_worklow", task))
    return str(file)


def test_a_mended_message_is_done_and_bought_once(redis_server: RedisServer, tmp_path: Path) -> None:
    """From the worker that puts it aside to the result, with the commands that the help names."""
    desk = Desk(redis_server)
    with staged(redis_server) as stage:
        stage.worker()
        stage.redis.lpush(KEYS.queue, misspelt())
        stage.result(stage.enqueue(CAT))
        (about,) = listed(desk)
        file = mended(desk, about["name"], tmp_path)
        done = desk.aigc("failed", "retry", "--malformed", about["name"], "--message", file, "--yes")
        assert (done.code, done.out) == (0, "retry: 1 of 1 malformed messages\n")
        until(lambda: stage.result("order-17")["status"] == "submitted", "the mended job's end")
        assert [result["status"] for result in stage.results_of("order-17")] == ["rejected", "submitted"]
        again = desk.aigc("failed", "retry", "--malformed", about["name"], "--message", file, "--yes")
        assert (again.code, listed(desk)) == (1, [])
        stage.drain()
        assert len([post for post in stage.vendor.posts_of(CAT) if post["taskId"]]) == 2
    desk.close()


def test_a_message_that_is_still_unreadable_stays(desk: Desk) -> None:
    """It says why, and exits with 1; nothing is queued."""
    name = put_aside(desk, misspelt())
    done = desk.aigc("failed", "retry", "--malformed", name, "--yes")
    assert (done.code, desk.queued(), len(listed(desk))) == (1, [], 1)
    assert f"aigc: {name} stays, for no worker can read it: headers.task must be" in done.err


def test_all_messages_that_can_be_read_by_now_are_queued_again(desk: Desk) -> None:
    """As after an upgrade of the workers; the others stay."""
    good = encode(Job("order-18", CAT), KEYS.queue)
    for raw in (misspelt(), good, b"\xff\x00{"):
        put_aside(desk, raw)
    done = desk.aigc("failed", "retry", "--malformed", "--all", "--yes")
    assert (done.code, desk.queued(), len(listed(desk))) == (1, ["order-18"], 2)
    assert "retry: 1 of 3 malformed messages" in done.out


def test_a_message_goes_back_to_the_list_that_it_names(desk: Desk, tmp_path: Path) -> None:
    """With the time of now: a redelivery of the old message is not what it is."""
    name = put_aside(desk, misspelt(queue=queue_for(KEYS.queue, "high")))
    file = mended(desk, name, tmp_path)
    assert desk.aigc("failed", "retry", "--malformed", name, "--message", file, "--yes").code == 0
    (raw,) = desk.redis.lrange(queue_for(KEYS.queue, "high"), 0, -1)
    assert json.loads(raw)["headers"]["aigc-enqueued-ms"] > 1_700_000_000_000


def test_a_message_is_printed_so_that_it_can_be_mended(desk: Desk, tmp_path: Path) -> None:
    """Its body as text, and what is no JSON as it came."""
    name = put_aside(desk, misspelt())
    shown = json.loads(desk.aigc("failed", "show", "--malformed", name).out)
    assert json.loads(shown["body"])[0] == [CAT]
    assert "body_encoding" not in shown["properties"]
    other = put_aside(desk, b"no JSON")
    assert desk.aigc("failed", "show", "--malformed", other).out == "no JSON\n"
    assert desk.aigc("failed", "show", "--malformed", "nobody").code == 1


def test_discard_takes_messages_away_and_records_it(desk: Desk) -> None:
    """By name, or all; and asks, for there is no way back."""
    first, _ = put_aside(desk, misspelt("one")), put_aside(desk, misspelt("two"))
    assert desk.aigc("failed", "discard", "--malformed", first).code == 2
    assert desk.aigc("failed", "discard", "--malformed", first, "--yes").code == 0
    assert len(listed(desk)) == 1
    assert desk.aigc("failed", "discard", "--malformed", first, "--yes").code == 1
    assert desk.aigc("failed", "discard", "--malformed", "--all", "--yes").code == 0
    assert listed(desk) == []
    assert [decision["what"] for decision in desk.decisions()] == ["discard", "discard"]
    assert desk.decisions()[0]["malformed"] == first


@pytest.mark.parametrize(
    "options",
    [
        ["discard", "--malformed"],
        ["discard", "--malformed", "--all", "a"],
        ["discard", "--malformed", "a", "--status", "unknown"],
        ["retry", "a", "--message", "/dev/null"],
        ["retry", "--malformed", "--all", "--message", "/dev/null"],
        ["retry", "--malformed", "a", "b", "--message", "/dev/null"],
    ],
)
def test_orders_that_do_not_go_together_are_bad_usage(options: list[str], desk: Desk) -> None:
    """Nothing is guessed where a purchase may follow."""
    put_aside(desk, misspelt())
    assert (desk.aigc("failed", *options, "--yes").code, len(listed(desk))) == (2, 1)


def test_two_orders_about_one_message_queue_it_once(desk: Desk) -> None:
    """Also where another message is put aside while the order is given."""
    put_aside(desk, encode(Job("a-job", CAT), KEYS.queue))
    messages = MalformedMessages(desk.redis, KEYS)
    (message,) = messages
    assert messages.retry(message, fresh(message.raw, messages.now_ms()), "somebody")
    assert not messages.retry(message, fresh(message.raw, messages.now_ms()), "somebody else")
    assert not messages.discard(message, "somebody else")
    assert desk.queued() == ["a-job"]


def test_a_batch_can_be_mended(desk: Desk, tmp_path: Path) -> None:
    """Its jobs are done as any."""
    message = json.loads(misspelt())
    message["body"] = json.dumps([[[{"id": "a", "payload": CAT}]], {}, {}])
    del message["properties"]["body_encoding"]
    name = put_aside(desk, json.dumps(message).encode())
    file = mended(desk, name, tmp_path, BATCH_TASK_NAME)
    assert desk.aigc("failed", "retry", "--malformed", name, "--message", file, "--yes").code == 0
    assert desk.queued() == ["order-17"]


def test_lists_are_tables_on_a_terminal(desk: Desk, redis_server: RedisServer) -> None:
    """Of jobs, of malformed messages and of decisions: with a header, within 80 columns."""
    name = put_aside(desk, misspelt())
    desk.add_dead_letter("5f0c1234-5678-4abc-8def-0123456789ab", "exhausted", code="INTCNN_COMMON_SYS_ERROR")
    desk.add_dead_letter("held")
    assert desk.aigc("failed", "accept", "t-1", "--job", "held").code == 0
    environ = os.environ | {"AIGC_REDIS_URL": redis_server.url, "NO_COLOR": "1"}
    for words, title, value in (
        (["list"], "STATUS", "exhausted  5f0c1234-5678-4abc-8def-0123456789ab  TEXT2IMAGE"),
        (["list", "--malformed"], "NAME", name),
        (["log"], "WHO", "job held, was unknown"),
    ):
        shown = shown_by([quick_aigc(), "failed", *words], environ)
        assert title in shown.splitlines()[0]
        assert value in shown
        assert max(map(len, shown.splitlines())) <= 80
