"""Moves jobs that may go on back to their lists, and lets flow control follow what all workers share."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from worker.maintenance.scheduler import Duty
from worker.processing.flow_control import BREAKER, PAUSED, FlowControl
from worker.store.delayed import PromotionReport, promote
from worker.store.scripts import Scripts

log = logging.getLogger(__name__)


class Reporter(Protocol):
    """Who is told."""

    def vendor_down(self, seconds: float, cause: str) -> None: ...


PAGES_A_TURN: Final = 20
"""A heap of due jobs must not hold up what else the thread does."""


class Promoter:
    """Promotes due jobs and workflow backlogs, for all workers."""

    def __init__(self, scripts: Scripts, flow_control: FlowControl, reporter: Reporter) -> None:
        self._reporter = reporter
        self._scripts = scripts
        self._flow_control = flow_control
        self._breaker_was_open = False
        self.duties = (Duty(self.promote, 0.0),)

    def promote(self) -> None:
        """A bounded number of pages; the next tick goes on."""
        for _ in range(PAGES_A_TURN):
            found = promote(self._scripts)
            self._set_flow_control(found)
            if not found.more:
                return

    def _set_flow_control(self, found: PromotionReport) -> None:
        if found.stepped_back_s:
            log.error(
                "Redis's clock stepped back by %.0f s: what was to happen later is taken for now",
                found.stepped_back_s,
            )
        if found.paused:
            self._flow_control.close(PAUSED)
        else:
            self._flow_control.open(PAUSED)
        is_open = found.probe_in_s is not None
        if is_open != self._breaker_was_open:
            self._breaker_was_open = is_open
            if is_open:
                cause = f"; the last failure: {found.cause}" if found.cause else ""
                log.error("the vendor is down: intake stops, one job at a time probes%s", cause)
            else:
                log.warning("the vendor is back: intake goes on, step by step")
        if found.outage_s is not None:
            self._reporter.vendor_down(found.outage_s, found.cause)
        self._flow_control.narrow(BREAKER, is_open)
        if found.probe_in_s:
            self._flow_control.close(BREAKER, found.probe_in_s)
        else:
            self._flow_control.open(BREAKER)
