"""What a running sandbox knows and decides: keys, rules, latency, and its verdict on each post."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Final, NamedTuple

from tasks.declared import NONE, Declared
from worker.dev.sandbox import page, rules
from worker.dev.sandbox.kinds import BILLED, Target
from worker.dev.sandbox.ledger import ACCEPTED, AUTH_REFUSED, PARAM_REFUSED, Ledger, Post, QueryLog, Task
from worker.dev.sandbox.life import DEFAULT_LIFE, Life
from worker.dev.sandbox.odd_answers import new_task_id
from worker.dev.sandbox.rules import Rule, Script
from worker.dev.sandbox.served_request import Connections
from worker.domain.query_signing import DEFAULT_FORM, QueryForm
from worker.domain.signing import Credentials

KINDS_OF_TASKS_MAX: Final = 10_000
"""Of so many kinds of tasks, those that are alike share one value."""


@dataclass(frozen=True, slots=True)
class Config:
    """How a sandbox starts; keys, rules and latency can be changed while it runs.

    ``keys`` are the pairs it accepts, ``rules`` strike every post, ``latency_ms`` plus up to
    ``jitter_ms`` pass before each answer, ``clock_skew_s`` is how far a timestamp may be off,
    ``error_status`` the HTTP status of the vendor's own errors, ``seed`` makes shares and jitter
    repeatable, ``history`` is how many posts are remembered one by one, with ``keep_bodies``
    their bodies too. ``declared`` are workflows beside the page's, or in their place.
    ``query_form`` is how queries must be signed, ``life`` how a task lives about which no rule says more.
    ``accepted_before`` are tasks that an earlier run accepted, and what workflow each is of: they have ended
    well, and stand in no ledger.
    """

    keys: Sequence[Credentials]
    rules: Sequence[Rule] = ()
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    clock_skew_s: float = 900.0
    error_status: int = 200
    allow_unlisted: bool = False
    seed: int = 0
    history: int = 1_000_000
    keep_bodies: bool = False
    declared: Declared = NONE
    query_form: QueryForm = DEFAULT_FORM
    life: Life = DEFAULT_LIFE
    accepted_before: Mapping[str, str] = field(default_factory=dict)


class PlannedAnswer(NamedTuple):
    """What to answer: ``answer`` with ``status``, unless a ``fault`` spoils it."""

    status: int
    answer: bytes
    fault: Rule | None = None


class Refusal(NamedTuple):
    """Why a submit failed the checks, in the vendor's words."""

    code: str
    message: str


@dataclass
class Load:
    """Posts being answered now, and the most there ever were at once."""

    now: int = 0
    most: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one submit for as long as the block runs."""
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield
        finally:
            self.now -= 1


@dataclass
class Sandbox:
    """The mutable heart of one sandbox; used from its event loop only."""

    config: Config
    connections: Connections = field(default_factory=Connections)
    load: Load = field(default_factory=Load)
    redirects_followed: int = field(init=False)

    def __post_init__(self) -> None:
        self.epoch_s = time.time() - time.monotonic()
        """Seconds since the epoch at which the monotonic clock was 0."""
        self.reset()

    def reset(self) -> None:
        """Forget every post, and go back to the keys, rules and latency of the start."""
        self.keys = self.config.keys
        self.latency_ms, self.jitter_ms = self.config.latency_ms, self.config.jitter_ms
        self.ledger = Ledger(self.config.history)
        for task_id, workflow in self.config.accepted_before.items():
            self.ledger.know(task_id, Task(workflow, Life(waiting_s=0, running_s=0), ()))
        self.queries = QueryLog(self.config.history)
        self._alike: dict[Task, Task] = {}
        self.load.most = self.load.now
        self.redirects_followed = 0
        self._random = Random(self.config.seed)
        self._body_script = Script(self.config.seed)
        self.play(self.config.rules)

    def play(self, global_rules: Sequence[Rule]) -> None:
        """Replace the rules that strike every post; each ``*N`` starts to count anew."""
        self.rules = global_rules
        self._by_target = {each: rules.of_target(each, global_rules) for each in Target}
        self._script = Script(self.config.seed)

    def delay_s(self) -> float:
        """Seconds to wait before the next answer."""
        if self.jitter_ms:
            return (self.latency_ms + self.jitter_ms * self._random.random()) / 1000
        return self.latency_ms / 1000

    def judge(self, headers: Mapping[bytes, bytes], body: bytes) -> PlannedAnswer:
        """Check one submit, decide its fate and write it down.

        The checks come before the rules: no fault hides a client that signs or encodes wrongly.
        """
        arrived, body_key = time.monotonic(), sha256(body).digest()
        request_id = headers.get(page.REQUEST_ID, b"").decode("latin-1")
        refusal = self._refusal(headers, body, request_id)
        own = rules.in_body(body) if refusal is None and b"[[" in body else []
        fault = self.fault(Target.SUBMIT, own, body_key) if refusal is None else None
        if refusal is not None:
            outcome = AUTH_REFUSED if refusal.code == page.AUTH_CHECK_ERROR else PARAM_REFUSED
        else:
            outcome = ACCEPTED if fault is None else fault.kind.value
        billed = refusal is None and (fault is None or fault.kind in BILLED)
        task_id = new_task_id(fault.kind if fault else None) if billed else None
        kept = body if self.config.keep_bodies else None
        task = self._task(body, own, body_key) if billed else None
        self.ledger.record(Post(arrived, outcome, request_id, body_key, task_id, kept, task))
        if refusal is not None:
            return PlannedAnswer(self.config.error_status, page.envelope(None, *refusal))
        return PlannedAnswer(200, page.envelope(task_id), fault)

    def _refusal(self, headers: Mapping[bytes, bytes], body: bytes, request_id: str) -> Refusal | None:
        why = page.unauthentic(headers, body, self.keys, time.time(), self.config.clock_skew_s)
        if why is None and self.ledger.has_seen(request_id):
            why = "x-acs-request-id was used before"
        if why is not None:
            return Refusal(page.AUTH_CHECK_ERROR, why)
        why = page.invalid(headers, body, self.config.allow_unlisted, self.config.declared)
        return None if why is None else Refusal(page.PARAM_VALID_ERROR, why)

    def fault(self, target: Target, own: Sequence[Rule], key: bytes) -> Rule | None:
        """The rule that strikes now: of those for everything, or else of a body's own."""
        struck = self._script.strike(self._by_target[target], key)
        if struck is None and own:
            struck = self._body_script.strike(rules.of_target(target, own), key)
        return struck

    def _task(self, body: bytes, own: Sequence[Rule], body_key: bytes) -> Task:
        """What is to become of the task that this body asks for, with the rules that it brought."""
        struck = self._script.all_that_strike(self._by_target[Target.TASK], body_key)
        struck += self._body_script.all_that_strike(rules.of_target(Target.TASK, own), body_key)
        kept = rules.of_target(Target.QUERY, own) + rules.of_target(Target.FILE, own)
        task = Task(json.loads(body)["workflow"], self.config.life.changed_by(struck), tuple(kept))
        if len(self._alike) >= KINDS_OF_TASKS_MAX:
            self._alike.clear()
        return self._alike.setdefault(task, task)

    def stats(self) -> dict[str, Any]:
        """Totals for the control API."""
        return {
            **self.ledger.totals(),
            "queries": self.queries.count,
            "queries_by_outcome": dict(self.queries.outcomes),
            "in_flight": self.load.now,
            "max_in_flight": self.load.most,
            "redirects_followed": self.redirects_followed,
            "rules": [str(rule) for rule in self.rules],
            "monotonic": time.monotonic(),
        }
