"""How long a task takes, how it ends, for how long its link lives: rules say it when it is accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from worker.dev.sandbox.kinds import ENDINGS, FaultKind
from worker.dev.sandbox.rules import Rule
from worker.domain.query import RUNNING, SUCCESS, WAITING


class Life(NamedTuple):
    """A task's life in seconds: ``WAITING``, then ``RUNNING``, then its end.

    ``link_s``: for how long after a success its link leads to the file.
    """

    waiting_s: float = 0.5
    running_s: float = 1.5
    link_s: float = 3600.0
    ending: str = SUCCESS

    @property
    def ends_after_s(self) -> float:
        """Seconds from its acceptance to its end."""
        return self.waiting_s + self.running_s

    def status(self, age_s: float) -> str:
        """The vendor's word for a task that was accepted so many seconds ago."""
        if age_s < self.waiting_s:
            return WAITING
        return RUNNING if age_s < self.ends_after_s else self.ending

    def changed_by(self, rules: Iterable[Rule]) -> Life:
        """This life but for what the rules say; of two that say the same thing the first one counts."""
        said: dict[FaultKind, float] = {}
        ending = None
        for rule in rules:
            said.setdefault(rule.kind, rule.amount)
            if ending is None and rule.kind in ENDINGS:
                ending = rule.kind.upper()
        return Life(
            said.get(FaultKind.WAITING, self.waiting_s),
            said.get(FaultKind.RUNNING, self.running_s),
            said.get(FaultKind.LINK_LIFE, self.link_s),
            ending or self.ending,
        )


DEFAULT_LIFE: Final = Life()
