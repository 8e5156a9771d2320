"""What a running sandbox knows and decides: keys, rules, latency, and its verdict on each post."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

from tasks.declared import NONE, Declared
from worker.dev.sandbox import page, rules
from worker.dev.sandbox.exchange import Connections
from worker.dev.sandbox.ledger import ACCEPTED, AUTH_REFUSED, PARAM_REFUSED, Ledger, Post
from worker.dev.sandbox.odd_answers import new_task_id
from worker.dev.sandbox.rules import BILLED, Rule, Script
from worker.domain.signing import Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """How a sandbox starts; keys, rules and latency can be changed while it runs.

    ``keys`` are the pairs it accepts, ``rules`` strike every post, ``latency_ms`` plus up to
    ``jitter_ms`` pass before each answer, ``clock_skew_s`` is how far a timestamp may be off,
    ``error_status`` the HTTP status of the vendor's own errors, ``seed`` makes shares and jitter
    repeatable, ``history`` is how many posts are remembered one by one, with ``keep_bodies``
    their bodies too. ``declared`` are workflows beside the page's, or in their place.
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


class Verdict(NamedTuple):
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
    """Submits being answered now, and the most there ever were at once."""

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
        self.reset()

    def reset(self) -> None:
        """Forget every post, and go back to the keys, rules and latency of the start."""
        self.keys = self.config.keys
        self.latency_ms, self.jitter_ms = self.config.latency_ms, self.config.jitter_ms
        self.ledger = Ledger(self.config.history)
        self.load.most = self.load.now
        self.redirects_followed = 0
        self._random = Random(self.config.seed)
        self._body_script = Script(self.config.seed)
        self.play(self.config.rules)

    def play(self, global_rules: Sequence[Rule]) -> None:
        """Replace the rules that strike every post; each ``*N`` starts to count anew."""
        self.rules = global_rules
        self._script = Script(self.config.seed)

    def delay_s(self) -> float:
        """Seconds to wait before the next answer."""
        if self.jitter_ms:
            return (self.latency_ms + self.jitter_ms * self._random.random()) / 1000
        return self.latency_ms / 1000

    def judge(self, headers: Mapping[bytes, bytes], body: bytes) -> Verdict:
        """Check one submit, decide its fate and write it down.

        The checks come before the rules: no fault hides a client that signs or encodes wrongly.
        """
        arrived, body_key = time.monotonic(), sha256(body).digest()
        request_id = headers.get(page.REQUEST_ID, b"").decode("latin-1")
        refusal = self._refusal(headers, body, request_id)
        fault = self._fault(body, body_key) if refusal is None else None
        if refusal is not None:
            outcome = AUTH_REFUSED if refusal.code == page.AUTH_CHECK_ERROR else PARAM_REFUSED
        else:
            outcome = ACCEPTED if fault is None else fault.kind.value
        billed = refusal is None and (fault is None or fault.kind in BILLED)
        task_id = new_task_id(fault.kind if fault else None) if billed else None
        kept = body if self.config.keep_bodies else None
        self.ledger.record(Post(arrived, outcome, request_id, body_key, task_id, kept))
        if refusal is not None:
            return Verdict(self.config.error_status, page.envelope(None, *refusal))
        return Verdict(200, page.envelope(task_id), fault)

    def _refusal(self, headers: Mapping[bytes, bytes], body: bytes, request_id: str) -> Refusal | None:
        why = page.unauthentic(headers, body, self.keys, time.time(), self.config.clock_skew_s)
        if why is None and self.ledger.has_seen(request_id):
            why = "x-acs-request-id was used before"
        if why is not None:
            return Refusal(page.AUTH_CHECK_ERROR, why)
        why = page.invalid(headers, body, self.config.allow_unlisted, self.config.declared)
        return None if why is None else Refusal(page.PARAM_VALID_ERROR, why)

    def _fault(self, body: bytes, body_key: bytes) -> Rule | None:
        struck = self._script.strike(self.rules, body_key)
        if struck is None and b"[[" in body:
            struck = self._body_script.strike(rules.in_body(body), body_key)
        return struck

    def stats(self) -> dict[str, Any]:
        """Totals for the control API."""
        return {
            **self.ledger.totals(),
            "in_flight": self.load.now,
            "max_in_flight": self.load.most,
            "redirects_followed": self.redirects_followed,
            "rules": [str(rule) for rule in self.rules],
            "monotonic": time.monotonic(),
        }
