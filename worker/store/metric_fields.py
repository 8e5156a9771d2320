"""What is counted in Redis for the metrics of all workers together: one hash, written by lua/_metrics.lua.

    a|<outcome>|<bound>|<workflow>   attempts that turned out so, and took up to so many seconds
    ams|<workflow>                   how many milliseconds those took together
    j|<status>|<bound>|<workflow>    jobs that ended so, after up to so many seconds
    jms|<workflow>                   how many milliseconds those took together
    spent|<workflow>                 what was bought, in millionths of the currency
    w|<workflow>                     workflows that are counted apart; `workflows`: how many

A bound is one of those below when it was counted, `inf` above the last, and `-` where the time is not known.
Names that are stored never change: workers of two versions share one Redis during an upgrade.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from tasks.payload import LISTED_NAMES

ATTEMPT_BOUNDS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
"""The vendor answers in tenths of a second, and is waited for 30 s where nothing else is said."""

JOB_BOUNDS_S: Final = (
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    *(1800.0, 3600.0, 10_800.0, 43_200.0, 86_400.0),
)
"""From one post of a job that was queued alone to a day, when the deadline ends it."""

_MILLIONTHS: Final = 1_000_000
OTHERS: Final = "others"
"""Workflows that are not counted apart: those after the first fifty, beside the ones that the vendor's page
lists, and what has no fit name."""

_OTHERS_STORED: Final = "-"


@dataclass(slots=True)
class Histogram:
    """How many took up to each bound and no less than the one before, the last element being those above all
    bounds; and how many seconds they took together."""

    counts: list[int]
    sum_s: float = 0.0

    def cumulative(self, bounds: tuple[float, ...]) -> Iterator[tuple[float, int]]:
        """Each bound, the infinite one last, and how many took no longer."""
        total = 0
        for bound, count in zip((*bounds, math.inf), self.counts, strict=True):
            total += count
            yield bound, total


def _attempts() -> Histogram:
    return Histogram([0] * (len(ATTEMPT_BOUNDS_S) + 1))


def _jobs() -> Histogram:
    return Histogram([0] * (len(JOB_BOUNDS_S) + 1))


@dataclass(slots=True)
class Counted:
    """The hash, read. Keys are workflows, or a workflow and a label; ``workflows`` are counted apart."""

    attempts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    jobs: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    attempt_s: dict[str, Histogram] = field(default_factory=lambda: defaultdict(_attempts))
    job_s: dict[str, Histogram] = field(default_factory=lambda: defaultdict(_jobs))
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    workflows: set[str] = field(default_factory=set)


def counted(stored: Mapping[bytes, bytes]) -> Counted:
    """Read the hash; what a later version has written beside it is passed over."""
    found = Counted()
    for raw, number in sorted(stored.items()):
        kind, _, rest = raw.decode("utf-8", "replace").partition("|")
        match kind:
            case "a":
                _add(found.attempts, found.attempt_s, ATTEMPT_BOUNDS_S, rest, int(number))
            case "j":
                _add(found.jobs, found.job_s, JOB_BOUNDS_S, rest, int(number))
            case "ams":
                found.attempt_s[_shown(rest)].sum_s += int(number) / 1000
            case "jms":
                found.job_s[_shown(rest)].sum_s += int(number) / 1000
            case "w":
                found.workflows.add(rest)
            case "spent":
                found.spent[_shown(rest)] += int(number) / _MILLIONTHS
    return found


def _add(
    by_label: dict[tuple[str, str], int],
    by_time: dict[str, Histogram],
    bounds: tuple[float, ...],
    rest: str,
    number: int,
) -> None:
    label, bound, workflow = rest.split("|", 2)
    name = _shown(workflow)
    by_label[name, label] += number
    if bound != "-":
        # One that an earlier version had counts under the next of ours.
        by_time[name].counts[bisect_left(bounds, float(bound))] += number


def _shown(workflow: str) -> str:
    return OTHERS if workflow == _OTHERS_STORED else workflow


def millionths(price: Decimal) -> int:
    """A price as it is added up: whole numbers, so that nothing is lost by adding."""
    return round(price * _MILLIONTHS)


def lua_measures() -> str:
    """Lua that has the bounds, as ``attempt_bounds()`` and ``job_bounds()``, and the names of the vendor's
    page, as ``is_listed(workflow)``: functions, for most scripts do not ask."""
    lists = (("attempt_bounds", ATTEMPT_BOUNDS_S), ("job_bounds", JOB_BOUNDS_S))
    bounds = "".join(
        f"local function {name}() return {{{', '.join(f'{each:g}' for each in of)}}} end\n"
        for name, of in lists
    )
    names = ", ".join(f"{name} = true" for name in LISTED_NAMES)
    return f"{bounds}local function is_listed(name) return ({{{names}}})[name] end\n"
