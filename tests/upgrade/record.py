"""Writes what an earlier revision leaves in Redis and on disk: `python -m tests.upgrade.record REV`.

Into tests/data/formats/<version>-<commit>/, for tests/integration/test_earlier_formats.py, which has this
version's workers finish all of it. To be done for each version that is released; what stands there is never
written anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.stage import Stage, Worker, faulty, staged
from tests.redis_server import RedisServer
from tests.upgrade import snapshot
from tests.upgrade.fleet import EarlierWorker
from tests.upgrade.record_following import Following
from tests.upgrade.revision import ROOT, Revision, set_up
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import LogContents

FORMATS: Final = ROOT / "tests" / "data" / "formats"
PRODUCER: Final = Path(__file__).with_name("producer.py")
USER: Final = "worker"
LONG_WAIT_S: Final = 10_000
PAUSED: Final = {"workflow": "SHOES", "version": "1", "algoInput": {"shoe": "left"}}
"""A job of a workflow that is paused all the time."""

BACKLOG: Final = f"{DEFAULT_QUEUE}:siding:{PAUSED['workflow']}"


class Recorder:
    """One recording, step by step."""

    def __init__(self, stage: Stage, revision: Revision) -> None:
        self._stage, self._revision = stage, revision
        self.payloads: dict[str, Any] = {}
        self.following = Following(stage, revision, self.produce) if revision.follows else None

    def produce(self, what: str, **payloads: Any) -> None:
        """Have the revision's producer do this, with these jobs."""
        named = {name.replace("_", "-"): payload for name, payload in payloads.items()}
        self.payloads |= named
        subprocess.run(
            [self._revision.program("python"), str(PRODUCER), what, json.dumps(named)],
            cwd=self._revision.directory, check=True,
            env={**self._stage.env(), "PYTHONPATH": str(self._revision.directory)},
        )  # fmt: skip

    def worker(self, **changes: Any) -> Worker:
        """A worker of the revision, that has begun; it follows tasks where it knows how to."""
        changes |= self.following.settings() if self.following else {}
        worker = EarlierWorker(self._revision, self._stage.env(**changes))
        self._stage.workers.append(worker)
        until(self._stage.living, "the worker")
        return worker

    def ended(self) -> None:
        """What has ended in each way, what waits for its next attempt or for its workflow, and no message."""
        stage = self._stage
        stage.redis.sadd(f"{DEFAULT_QUEUE}:paused", PAUSED["workflow"])
        worker = self.worker(RETRY_BASE_S=LONG_WAIT_S, RETRY_CAP_S=LONG_WAIT_S)
        self.produce(
            "one_by_one",
            ended_bought=faulty(), ended_rejected=faulty("param_error*1"), ended_unknown=faulty("garbage*1"),
            ended_unknown_too=faulty("reset*1"), waiting=faulty("sys_error*1"), backlog=PAUSED,
        )  # fmt: skip
        stage.redis.lpush(DEFAULT_QUEUE, b'{"body": "no message"')
        until(lambda: len(stage.results()) == 4 and stage.waiting() == 1, "four ends, and one that waits")
        until(lambda: stage.malformed() and stage.redis.exists(BACKLOG), "what is put aside")
        if self.following:
            self.following.ended()
        assert worker.terminate() == 0

    def killed(self) -> None:
        """By a worker that was killed: sent without an answer; answered and not settled; settled in part."""
        stage = self._stage
        stage.redis.execute_command("ACL", "SETUSER", USER, "on", ">secret", "~*", "&*", "+@all")
        url = f"redis://{USER}:secret@127.0.0.1:{stage.server.port}/0"
        worker = self.worker(READ_TIMEOUT_S=60, REDIS_URL=url)
        self.produce("one_by_one", ended_bought_too=faulty())
        stage.result("ended-bought-too")  # until one has come through, it makes one attempt at a time
        if self.following:
            self.following.killed()
        self.produce(
            "one_by_one",
            left_steps=faulty("slow(1500)*1"), answered=faulty("slow(15000)*1"), sent=faulty("hang(60)*1"),
        )  # fmt: skip
        until(lambda: stage.vendor.get("stats")["in_flight"] == 3, "the attempts")
        stage.redis.execute_command("ACL", "SETUSER", USER, "-xadd")
        until(lambda: stage.redis.hget(f"{DEFAULT_QUEUE}:job:left-steps", "p"), "steps to be left")
        if self.following:
            self.following.left_steps()
        stage.redis.client_pause(30_000, all=False)
        until(lambda: any(len(each.answered) == 2 for each in self._logs()), "the answers in the log")
        worker.kill()
        time.sleep(1)  # what it had written to its connection is gone with that
        stage.redis.client_unpause()
        stage.redis.delete(f"{DEFAULT_QUEUE}:refusing")
        states = {stage.redis.hget(f"{DEFAULT_QUEUE}:job:{name}", "s") for name in ("sent", "answered")}
        assert states == {b"sending"}

    def _logs(self) -> list[LogContents]:
        paths = Path(self._stage.directory).glob("in-flight-*")
        return [found for path in paths if (found := LogFolder(None, "", "").read(path))]

    def queued(self) -> None:
        """Messages of producers."""
        jobs = ["high", "normal", "low", "keyed", "linked"]
        queued = {f"queued_{name}": faulty() for name in jobs}
        batched = {f"batched_{number}": faulty() for number in range(3)}
        self.produce("queued", **queued, **batched)
        self.produce("cancelled", cancelled=faulty())
        if self._revision.knows_batches:
            self.produce("in_a_named_batch", night_1=faulty(), night_2=faulty())
        self.produce("read_one")
        if self.following:
            self.following.events()


def main(name: str) -> None:
    """Record the revision of this name."""
    revision = set_up(name)
    with RedisServer() as server, staged(server) as stage:
        recorder = Recorder(stage, revision)
        recorder.ended()
        recorder.killed()
        following = recorder.following
        if following:
            following.forwarded()
        recorder.queued()
        about = {
            "commit": revision.commit, "version": revision.version, "payloads": recorder.payloads,
            "bought": sorted(each["taskId"] for each in stage.vendor.get("ledger")),
            "knows_batches": revision.knows_batches, "follows": revision.follows,
            **({**following.about, "tasks": following.tasks()} if following else {}),
        }  # fmt: skip
        folder = FORMATS / f"{revision.version}-{revision.commit[:7]}"
        logs = list(Path(stage.directory).glob("in-flight-*"))
        snapshot.write(stage.redis, logs, about, folder, stage.directory)
        print(f"{folder.relative_to(ROOT)}: {len(logs)} logs, {len(recorder.payloads)} jobs")


if __name__ == "__main__":
    main(sys.argv[1])
