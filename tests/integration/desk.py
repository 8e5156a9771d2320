"""An operator's desk for tests: a real Redis, jobs among its dead letters, and `aigc` run in this process."""

from __future__ import annotations

import json
import uuid
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any, NamedTuple
from unittest.mock import patch

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD, Status
from tasks.envelope import Job
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.cli import run
from worker.domain.outcome import OutcomeKind
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Settlement, SharedLimits
from worker.store.workers import WorkerRegistry

KEYS = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS)


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """What an operator has, and the means to make dead letters without a worker; limits are the workers'."""

    def __init__(self, server: RedisServer, **limits: Any) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.redis = self.scripts.client
        self.dead_letters = DeadLetters(self.scripts, KEYS)
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self._job_store = JobVerbs(self.scripts, KEYS, self.registry, SharedLimits(breaker_after=0, **limits))
        self._environ = {"AIGC_REDIS_URL": server.url}

    def add_dead_letter(
        self, job_id: str, status: Status = "unknown", *, code: str = "AIGC_READ_TIMEOUT",
        workflow: str = "TEXT2IMAGE", ago_s: int = 0, duplicate: bool = False,
    ) -> Result:  # fmt: skip
        """A job that ended so, so many seconds ago, after one attempt."""
        job = Job(job_id, {**CAT, "workflow": workflow}, {"sku": job_id}, enqueued_ms=1_700_000_000_000)
        delivery = Delivery(self.registry.owner, "", 1)
        claim = self._job_store.claim(job, workflow, str(uuid.uuid4()))
        result = Result(
            job_id, status, None, workflow, "1.0.0", claim.attempts + 1, claim.request_id, code, "no",
            duplicate, "2026-11-22T22:31:33.123Z", job.metadata,
        )  # fmt: skip
        feedback = Feedback(counted=True, vendor_works=None)
        assert (
            self._job_store.settle(Settlement(job, delivery, claim, result, OutcomeKind.UNKNOWN, feedback))
            == "settled"
        )
        self.redis.zincrby(KEYS.dead_letters(status), -ago_s, job_id)
        return result

    def accepted_late(self, job_id: str, task_id: str) -> str:
        """A fenced attempt of the job turns out to have been accepted; the journal's verdict."""
        claim = Claim(ClaimVerdict.GO, 0, 0, False, 0.0, 0.0, 0, "gone", str(uuid.uuid4()))
        result = Result(
            job_id, "submitted", task_id, "TEXT2IMAGE", "1.0.0", 1, claim.request_id, None, None, True, ""
        )
        delivery, feedback = Delivery("gone", "", 1), Feedback(counted=True, vendor_works=True)
        ending = Settlement(Job(job_id, CAT), delivery, claim, result, OutcomeKind.ACCEPTED, feedback)
        return self._job_store.settle(replace(ending, late=True))

    def aigc(self, *args: str, **environ: str) -> Done:
        """Run a command, without a terminal, with these variables besides."""
        out, err = StringIO(), StringIO()
        with (
            patch.dict("os.environ", self._environ | environ), patch("sys.stdin", StringIO()),
            redirect_stdout(out), redirect_stderr(err),
        ):  # fmt: skip
            code = run(args)
        return Done(code, out.getvalue(), err.getvalue())

    def queued(self) -> list[str]:
        """Ids of the messages in the queue, the next one first."""
        return [json.loads(raw)["headers"]["id"] for raw in reversed(self.redis.lrange(KEYS.queue, 0, -1))]

    def state(self, job_id: str) -> str:
        return str(self.dead_letters.record(job_id).get("state"))

    def results_of(self, job_id: str) -> list[Result]:
        entries = self.redis.xrange(KEYS.results)
        results = [Result.from_json(fields[RESULT_FIELD.encode()]) for _, fields in entries]
        return [result for result in results if result.job_id == job_id]

    def decisions(self) -> list[dict[str, Any]]:
        return self.aigc("failed", "log").documents

    def close(self) -> None:
        self.redis.close()
