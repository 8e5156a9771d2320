"""Axes of a plot: round bounds, few ticks, and numbers as people read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from tasks.frozen import value
from worker.store.history_values import Window

Words = Callable[[float], str]
"""A number with its unit."""

_ROUND: Final = (1.0, 2.0, 5.0, 10.0)
_SECONDS: Final = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
"""Round times above half a minute, where tens are not round any more."""

_STEPS: Final = 4
"""Of the time axis, each with a tick at its end."""


@value(frozen=True, slots=True)
class Tick:
    """``at``: from 0, the axis' beginning, to 1, its end."""

    at: float
    words: str


def top(highest: float, *, is_time: bool = False) -> float:
    """A round number that no line goes above; above 0. Its half is round as well, about."""
    if is_time and highest > 30:
        days = math.ceil(highest / 86_400)
        return float(next((bound for bound in _SECONDS if bound >= highest), days * 86_400))
    if highest < 1e-9:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(highest))
    return next(scale * step for step in _ROUND if scale * step >= highest * (1 - 1e-9))


def upward(bound: float, words: Words) -> tuple[Tick, ...]:
    """Of the axis of numbers: its ends and its middle."""
    return tuple(Tick(at, words(bound * at)) for at in (0.0, 0.5, 1.0))


def along(window: Window) -> tuple[Tick, ...]:
    """Of the axis of time, counted back from now: no reader has to know of whose time zone it is."""
    unit_s, unit = (3600, "h") if window.length_s > 7200 else (60, "min")
    ticks = []
    for step in range(_STEPS + 1):
        ago = window.length_s * (_STEPS - step) / _STEPS / unit_s
        ticks.append(Tick(step / _STEPS, f"\N{MINUS SIGN}{ago:g} {unit}" if ago else "now"))
    return tuple(ticks)


def number(found: float) -> str:
    """In three digits: 0.25, 12, 1.5k, 3M."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(found) >= limit * 0.9995:
            return f"{found / limit:.3g}{suffix}"
    return f"{found:.3g}"


def seconds(found: float) -> str:
    """A time in its fitting unit: 250 ms, 2.5 s, 5 min, 3 h, 2 d."""
    if found == 0:
        return "0 s"
    if found < 1:
        return f"{1000 * found:.3g} ms"
    for limit, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if found >= 2 * limit or (found >= limit and found % limit == 0):
            return f"{found / limit:.3g} {unit}"
    return f"{found:.3g} s"
