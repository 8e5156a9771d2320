"""What a revision leaves that follows tasks, and has services for webhooks and product events."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.followed import FOLLOWING, outputs, task_record
from tests.integration.stage import Stage, faulty
from tests.integration.webhook_endpoint import Received, ShopEndpoint, listening
from tests.upgrade.revision import Revision
from tests.upgrade.services import ENDPOINT, Commands

RETRIED: Final = "ended-unknown"
GIVEN_UP: Final = "ended-rejected"
"""Jobs of which the endpoint does not take the webhook."""

DAY_MS: Final = 86_400_000
_RETRIES: Final = f"{DEFAULT_QUEUE}:forward:retries:{ENDPOINT}"
_STATE: Final = f"{DEFAULT_QUEUE}:forward:state:{ENDPOINT}"
_FAILED: Final = f"{DEFAULT_QUEUE}:forward:failed:{ENDPOINT}"
_HISTORY: Final = f"{DEFAULT_QUEUE}:history"

Produce = Callable[..., None]


class Following:
    """A recording's part of it, step by step.

    Args:
        produce: has the revision's producer enqueue.
    """

    def __init__(self, stage: Stage, revision: Revision, produce: Produce) -> None:
        self._stage, self._produce = stage, produce
        own = str(revision.directory / ".venv" / "bin") + os.pathsep + os.environ["PATH"]
        environment = {**stage.env(), "PYTHONPATH": str(revision.directory), "PATH": own}
        self._commands = Commands([revision.program("aigc")], environment, revision.directory)
        self.about: dict[str, Any] = {}

    def settings(self) -> dict[str, str]:
        """Of a worker that follows, and keeps files."""
        return {**FOLLOWING, "STORE_URL": f"file://{self._stage.directory}/pictures"}

    def ended(self) -> None:
        """Tasks with their file, and one whose file the vendor refuses; a consumer that read one and died."""
        self._produce(
            "one_by_one",
            task_ended=faulty(),
            task_ended_too=faulty(),
            task_unstored=faulty("file_status(403)"),
        )
        until(lambda: len(outputs(self._stage)) == 4, "the outputs, and that of a job before")
        until(lambda: not self._stage.redis.exists(f"{DEFAULT_QUEUE}:tasks:open"), "their ends")
        self._produce("read_one_output")
        at, text = self._stage.redis.lindex(_HISTORY, -1).split(b"|", 1)
        self._stage.redis.lset(_HISTORY, -1, b"%d|%s" % (int(at) - 60_000, text))  # so that another is due

    def killed(self) -> None:
        """Open tasks of the worker that is killed soon: asked about now, their files kept now, or later."""
        until(lambda: self._stage.redis.llen(_HISTORY) == 2, "another sample of the history")
        self._produce(
            "one_by_one",
            task_open=faulty("task_running(900000)"), task_asked=faulty("query_hang(90)"),
            task_keeping=faulty("file_hang(90)"), task_keep_later=faulty("file_html_502"),
        )  # fmt: skip
        until(lambda: self._record("task-keep-later").get(b"y"), "a file that is to be kept later")
        until(lambda: self._record("task-keeping").get(b"u"), "a file that is being kept")
        until(lambda: self._record("task-open").get(b"n"), "a task that is asked about again")
        self._queries("hang")
        self._produce("one_by_one", task_left_steps=faulty("query_slow(7000)*1"))
        self._queries("slow")

    def left_steps(self) -> None:
        """Once Redis refuses a command: an end of a task of which a step is left."""
        until(lambda: self._record("task-left-steps").get(b"p"), "steps of a task to be left")

    def _queries(self, outcome: str) -> None:
        until(lambda: self._stage.vendor.get("queries")["by_outcome"].get(outcome), f"a query: {outcome}")

    def _record(self, job_id: str) -> dict[bytes, bytes]:
        task_id = self._stage.result(job_id)["taskId"]
        return task_record(self._stage, task_id)

    def forwarded(self) -> None:
        """All webhooks but two: one waits for its next attempt, one was given up. A kill ended it."""
        stage = self._stage
        refused = {RETRIED, GIVEN_UP}

        def answer(webhook: Received) -> int:
            return 500 if webhook.job in refused else 204

        with listening(ShopEndpoint(answer)) as endpoint:
            published = stage.redis.xlen("aigc:results") + stage.redis.xlen("aigc:outputs")
            with self._commands.forwarding(endpoint.url):
                until(lambda: len(endpoint.taken) == published - 2, "the webhooks")
                until(lambda: stage.redis.hlen(_RETRIES) == 2, "retries")
                newest = stage.redis.xinfo_stream("aigc:results")["last-generated-id"]
                until(lambda: stage.redis.hget(_STATE, "position_results") == newest, "its position")
            for name, text in stage.redis.hgetall(_RETRIES).items():
                retry = json.loads(text)
                if retry["job"] == GIVEN_UP:  # as if it had been tried for a day
                    retry |= {"first_ms": retry["first_ms"] - DAY_MS - 1, "due_ms": 0}
                    stage.redis.hset(_RETRIES, name, json.dumps(retry))
            with self._commands.forwarding(endpoint.url, kill=True):
                until(lambda: stage.redis.xlen(_FAILED) == 1, "one that is given up")
        assert stage.redis.hlen(_RETRIES) == 1
        self.about["webhooks"] = sorted({(*each.what, each.id) for each in endpoint.requests})
        self.about["taken"] = sorted(endpoint.taken_ids())

    def events(self) -> None:
        """Two products of which a job waits for its debounce each; a catalogue's purchases."""
        with self._commands.taking_events(Path(self._stage.directory, "events")) as shop:
            ((changed,), (kept,)) = (shop.send(each, each, f"{each}")["queued"] for each in (1, 2))
        self.about["day"] = time.strftime("%Y-%m-%d", time.gmtime())
        self.about["events"] = {"changed": changed, "kept": kept}
        self.about["catalogue"] = self._commands.submit_catalogue()

    def tasks(self) -> dict[str, str]:
        """All that were bought, and the workflow of each."""
        return {task["taskId"]: task["workflow"] for task in self._stage.vendor.get("tasks")}
