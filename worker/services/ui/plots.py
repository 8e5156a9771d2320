"""Series as pictures: inline SVG, made of numbers. Pure.

Colours are the page's: each line has a class (`plot-line plot-submitted`, …), and nothing has a style of its
own, so that a Content-Security-Policy without inline styles holds. A picture has a role, a title and a
description with its numbers in words, for whoever does not see it.
"""

from __future__ import annotations

from tasks.frozen import value
from worker.store.history_values import Series


@value(frozen=True, slots=True)
class Plot:
    """``name`` is fit for an id (`jobs`, `latency`, `queue`, `oldest`, `spend`); ``title`` and ``summary`` are
    plain text; ``svg`` is safe markup, from `<svg` on, with title and summary in it; ``legend`` has a class
    (`plot-submitted`) and plain text for each line in it."""

    name: str
    title: str
    summary: str
    svg: str
    legend: tuple[tuple[str, str], ...]


def plots(shown: Series, currency: str) -> tuple[Plot, ...]:
    """All plots of one window.

    Args:
        currency: three letters, or empty where none is said.
    """
    raise NotImplementedError
