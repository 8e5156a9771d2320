"""What those who decide about dead letters say of them: an operator's command, and the page."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.prices import Prices
from worker.config.environment import WorkerEnvironment


@dataclass(frozen=True, slots=True)
class DecidingSettings:
    """``keep_s``: seconds for which a record is kept, 0 where that is not said; and what jobs cost."""

    keep_s: int
    prices: Prices


def read_deciding(environ: WorkerEnvironment) -> DecidingSettings:
    """Those of this environment, with what is wrong in `environ.problems` afterwards."""
    seconds = environ.number("AIGC_JOURNAL_TTL_S", None)
    return DecidingSettings(round(seconds or 0), Prices.read(environ))
