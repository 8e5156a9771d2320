"""Decisions of the page: choose what is to be decided, and do it to what is still as it was shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tasks.result import Result
from worker.services.ui.proposals import DECIDE_MOST, Chosen, Deed, Proposal, Report, chosen, seal, told
from worker.store import decisions
from worker.store.dead_letter_page import PAGE_MOST, page
from worker.store.dead_letters import DeadLetterFilter, DeadLetters
from worker.store.decisions import Ended, OperatorDecision, Verb
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

_PAGES_MOST: Final = 200
"""So many pages are looked through for what passes a filter."""


class Desk:
    """Of one queue. Every method raises `redis.RedisError` where Redis is away, or refuses."""

    def __init__(self, scripts: Scripts, keys: KeyNames, dead_letters: DeadLetters) -> None:
        self._scripts, self._keys = scripts, keys
        self._dead_letters = dead_letters

    def choose(self, verb: Verb, job_ids: Iterable[str], task_id: str | None = None) -> Proposal:
        """These jobs, as they are now; to accept only those that are unknown."""
        wanted = tuple(dict.fromkeys(job_ids))[:DECIDE_MOST]
        found = {job_id: self._dead_letters.get(job_id) for job_id in wanted}
        there = [
            result
            for result in found.values()
            if result is not None and (verb != "accept" or result.status == "unknown")
        ]
        names = {result.job_id for result in there}
        missing = tuple(job_id for job_id in wanted if job_id not in names)
        return Proposal(verb, self._chosen(verb, there), task_id=task_id, missing=missing)

    def choose_all(self, verb: Verb, wanted: DeadLetterFilter) -> Proposal:
        """What passes the filter, the newest first, up to `DECIDE_MOST`."""
        jobs: list[Result] = []
        cursor: str | None = None
        for _ in range(_PAGES_MOST):
            most = min(PAGE_MOST, DECIDE_MOST - len(jobs))
            found = page(self._scripts, self._keys, wanted, cursor, most)
            jobs += [letter.result for letter in found.letters]
            cursor = found.older
            if cursor is None or len(jobs) >= DECIDE_MOST:
                break
        return Proposal(verb, self._chosen(verb, jobs), is_cut=cursor is not None)

    def _chosen(self, verb: Verb, results: list[Result]) -> tuple[Chosen, ...]:
        names = [result.job_id for result in results]
        unkept = self._dead_letters.unkept(names) if verb == "retry" else set()
        return tuple(chosen(result, is_kept=result.job_id not in unkept) for result in results)

    def choose_pause(self, deed: Deed, workflow: str | None, waiting: int) -> Proposal:
        """To pause, or resume, one workflow or all."""
        return Proposal(deed, workflow=workflow, waiting=waiting)

    def carry_out(self, proposal: Proposal, who: str, ended: dict[str, Ended]) -> Report:
        """Do it; a job that has changed since it was chosen is left as it is.

        Args:
            ended: what became of each job is written here at once; of those that are in it, nothing more.
        """
        if proposal.deed == "pause":
            words, doubts = decisions.pause(self._scripts.client, self._keys, proposal.workflow, who)
            return Report("pause", f"{_capital(words)}.", doubts=tuple(doubts))
        if proposal.deed == "resume":
            words = decisions.resume(self._scripts.client, self._keys, proposal.workflow, who)
            return Report("resume", f"{_capital(words)}.")
        decision = OperatorDecision(proposal.deed, who, proposal.task_id)
        for job in proposal.jobs:
            if job.job_id not in ended:
                ended[job.job_id] = self._decide(job, decision)
        return Report(proposal.deed, told(proposal.deed, ended.values()), tuple(ended.items()))

    def _decide(self, job: Chosen, decision: OperatorDecision) -> Ended:
        result = self._dead_letters.get(job.job_id)
        if result is None or seal(result) != job.seal:
            return "gone"
        return decisions.decide(self._dead_letters, result, decision)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
