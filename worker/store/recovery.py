"""Brings the jobs up to what the in-flight log of a dead worker says of its attempts."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from tasks.envelope import Job
from tasks.result import NewerResult, Result
from worker.domain.outcome import OutcomeKind
from worker.local.inflight_log import LogContents
from worker.store.jobs import JobStore
from worker.store.keys import KeyNames
from worker.store.record import FIELDS
from worker.store.redis_wait import Refused
from worker.store.scripts import Scripts
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Settlement

log = logging.getLogger(__name__)

_REQUEST_IDS = FIELDS["request_ids"].stored
_NOWHERE = Delivery("", "", 1)
"""The message, if there is one still, is given back when its holder is taken over."""


class Recovery:
    """Settles and withdraws in the name of workers that are gone. Thread-safe."""

    def __init__(self, scripts: Scripts, keys: KeyNames, job_store: JobStore) -> None:
        self._scripts = scripts
        self._keys = keys
        self._job_store = job_store

    def recover(self, owner: str, found: LogContents) -> tuple[int, int]:
        """Bring the claims of a dead worker up to what is known of them, before it is taken over.

        Args:
            owner: the worker.
            found: what its in-flight log says.

        Returns:
            How many claims were taken back because nothing had been sent, and how many were settled.

        Raises:
            redis.RedisError: Redis is away, or refuses one of them; the others were seen to.
            NewerResult: only a later version can read one of them; the others were seen to.
        """
        settled, newer = 0, None
        try:
            settled = self.settle_answered(found)
        except NewerResult as error:
            newer = error
        unsent = self._withdraw_all_unsent(owner, found) if found.complete else 0
        if newer is not None:
            raise newer
        return unsent, settled

    def _withdraw_all_unsent(self, owner: str, found: LogContents) -> int:
        unsent = 0
        for member in self._scripts.client.zrange(self._keys.sending, 0, -1):
            holder, _, job_id = member.decode().partition("|")
            if holder == owner:
                unsent += self._withdraw_unsent(owner, job_id, found)
        return unsent

    def settle_answered(self, found: LogContents) -> int:
        """Settle the attempts whose answer is known; how many were not settled before.

        Raises:
            redis.RedisError: Redis is away, or refuses one of them; the others were seen to.
            NewerResult: only a later version can read one of them; the others were seen to.
        """
        settled: int = 0
        problem: Refused | NewerResult | None = None
        for request_id, result_json in found.answered.items():
            try:
                settled += self._settle(request_id, Result.from_json(result_json))
            except (Refused, NewerResult) as error:
                problem = error
            except ValueError:
                # Cut off, when its machine went down: as if it had not been there.
                log.error("an answer in a log cannot be read (request %s): %.600r", request_id, result_json)
        if problem is not None:
            raise problem
        return settled

    def _settle(self, request_id: str, result: Result) -> bool:
        claim = Claim(ClaimVerdict.GO, result.attempts, 0, False, 0.0, 0.0, 0, "", request_id)
        feedback = Feedback(counted=True, vendor_works=None)
        settlement = Settlement(
            Job(result.job_id, {}), _NOWHERE, claim, result, OutcomeKind.ACCEPTED, feedback
        )
        verdict = self._job_store.write_one(settlement).verdict
        if verdict == "late":  # the job was given up as unknown meanwhile
            told = replace(result, possible_duplicate=True)
            verdict = self._job_store.write_one(replace(settlement, result=told, late=True)).verdict
        return verdict == "settled"

    def _withdraw_unsent(self, owner: str, job_id: str, found: LogContents) -> bool:
        """Take back a dead worker's claim, if nothing was sent under it."""
        try:
            packed = (self._scripts.client.hget(self._keys.job(job_id), _REQUEST_IDS) or b"")[-16:]
        except Refused as error:
            log.error("the record of job %s is none: %s", job_id, error)  # one such must not hold up the rest
            return False
        request_id = str(uuid.UUID(bytes=packed)) if len(packed) == 16 else ""
        if not request_id or request_id in found.sent or request_id in found.answered:
            return False
        return bool(self._scripts.run("withdraw", job_id, owner, packed))
