"""ACL users where their programs do what they seldom do: each right that only then is asked for is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks
from tasks import results
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tests.conditions import until
from tests.integration import test_forward_process
from tests.integration.acl_roles import (
    KEYS,
    aigc,
    denied,
    redis_with_roles,
    staged_anew,
    url,
)
from tests.integration.stage import Stage
from tests.integration.ui_service import UiService
from tests.integration.webhook_endpoint import listening, publish, result
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image
from worker.store.forward_streams import PAGE

MAPPING = """
[mapping]
product = "product.id"
[[job]]
each = "product"
workflow = "TEXT2IMAGE"
version = "1.0.0"
[job.input]
inputText = "{{ product.title }}"
width = 1024
height = 1024
[job.purchase]
key = ["shop", "product", "workflow"]
window = "1d"
"""
LATER = b'{"schema": 99, "jobId": "later"}'


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_with_roles() as made:
        yield made


@pytest.fixture
def stage(server: RedisServer) -> Iterator[Stage]:
    with staged_anew(server) as made:
        yield made


@pytest.mark.parametrize("role", ["operator", "ui"])
def test_a_workflow_with_a_backlog_is_shown(stage: Stage, role: str, tmp_path: Path) -> None:
    """Jobs that wait for their workflow's limit are looked at by an index, as nothing else is."""
    stage.redis.sadd(KEYS.backlogs, "TEXT2IMAGE")
    stage.redis.lpush(KEYS.backlog("TEXT2IMAGE"), "1|no message")
    assert aigc(stage, role, "status").returncode == 0
    with UiService(url(stage.server, role), tmp_path) as ui:
        assert ui.metrics().sum("aigc_backlog_jobs") == 1


def test_the_page_may_look_at_batches_and_at_what_is_no_job(stage: Stage) -> None:
    """Batches are read by a script, and there are none in most tests."""
    tasks.configure(redis_url=stage.server.url)
    list(tasks.submit_many([text_to_image()] * 3, batch="b"))
    _put_aside(stage)
    for arguments in (["batch", "list"], ["batch", "show", "b"], ["failed", "list", "--malformed"]):
        done = aigc(stage, "ui", *arguments)
        assert (done.returncode, bool(done.stdout)) == (0, True), (arguments, done.stderr)
    assert denied(stage, "ui") == []


def _put_aside(stage: Stage) -> list[str]:
    """Names of two messages that no worker could read."""
    for raw in ("no message", "nor this"):
        stage.redis.rpush(KEYS.malformed, f'{{"at": "2026-11-22T22:31:33Z", "reason": "none"}} {raw}')
    found = aigc(stage, "operator", "failed", "list", "--malformed").stdout
    names = [line.split('"name": "')[1].partition('"')[0] for line in found.splitlines()]
    assert len(names) == 2, found
    return names


def test_an_operator_decides_about_what_is_no_job(stage: Stage, tmp_path: Path) -> None:
    """Malformed messages, batches and workflows as a whole, tasks, endpoints that are forwarded to."""
    tasks.configure(redis_url=url(stage.server, "operator"))
    list(tasks.submit_many([text_to_image()] * 3, batch="b"))
    first, second = _put_aside(stage)
    mended = tmp_path / "mended.json"
    mended.write_bytes(stage.redis.lindex(KEYS.queue, 0))
    publish(stage.redis, *(result(f"j{number}", "submitted") for number in range(3)))
    with listening() as endpoint:
        forwarder = test_forward_process.Process(
            url(stage.server, "forward"), tmp_path / "log", "--to", endpoint.url
        )
        try:
            until(lambda: len(endpoint.taken) == 3, "all")
        finally:
            assert forwarder.stop() == 0
        for arguments in (
            ["failed", "discard", "--malformed", first, "--yes"],
            ["failed", "retry", "--malformed", second, "--message", str(mended), "--yes"],
            ["cancel", "--batch", "b"], ["cancel", "--workflow", "TEXT2IMAGE"], ["batch", "close", "b"],
            ["results", "--group", "g"], ["task", "follow", "t"], ["task", "forget", "t"],
            ["forward", "replay", "--since", "1h"], ["forward", "failed"], ["forward", "forget", "--yes"],
        ):  # fmt: skip
            done = aigc(stage, "operator", *arguments)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert denied(stage, "operator") == []


def test_a_long_replay_is_forwarded(stage: Stage, tmp_path: Path) -> None:
    """More than is read at once: how far it is, is written down in between."""
    count = 3 * PAGE
    publish(stage.redis, *(result(f"j{number}", "submitted") for number in range(count)))
    with listening() as endpoint:
        forwarder = test_forward_process.Process(
            url(stage.server, "forward"), tmp_path / "log", "--to", endpoint.url, "--concurrency", "64"
        )
        try:
            until(lambda: len(endpoint.taken) == count, "all")
            assert aigc(stage, "operator", "forward", "replay", "--since", "1h").returncode == 0
            until(lambda: len(endpoint.taken) == 2 * count, "all once more")
        finally:
            assert forwarder.stop() == 0
    assert denied(stage, "forward") == []


def test_a_consumer_leaves_what_a_later_version_wrote(stage: Stage) -> None:
    """To those that understand it, at once."""
    stage.redis.xadd(DEFAULT_RESULTS, {RESULT_FIELD: LATER})
    tasks.configure(redis_url=url(stage.server, "consumer"))
    assert list(results.consume("g", idle_timeout_s=0.2)) == []
    assert denied(stage, "consumer") == []
    (pending,) = stage.redis.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 1)
    assert pending["time_since_delivered"] > 3_600_000


def test_a_producer_notes_for_which_shop_a_catalogue_was_bought(stage: Stage, tmp_path: Path) -> None:
    """Without that the next run under another name would buy all of it again, and nobody would be warned."""
    products = tmp_path / "products.csv"
    products.write_text("id,title\n1,a cat\n")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    command = ["submit", str(products), "--map", str(mapping)]
    assert aigc(stage, "producer", *command, "--shop", "a").returncode == 0
    assert denied(stage, "producer") == []
    assert "asked for for a, and no shop is named now" in aigc(stage, "producer", *command).stderr
