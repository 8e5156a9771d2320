"""Series as pictures: inline SVG, made of numbers. Pure.

Colours are the page's, by class: `plot` is the picture; `plot-grid`, `plot-gap` (nobody looked) and
`plot-tick` (text) are in each, and `plot-note` where nobody looks any more; a line is `plot-line
plot-<label>`, so `plot-submitted` or `plot-p95`. Lines differ by their dashes, too. Nothing has a style of
its own: a Content-Security-Policy without inline styles holds. Whoever does not see a picture has its title,
and its numbers in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from tasks.frozen import value
from worker.services.ui import axes
from worker.store.history_values import Numbers, Series
from worker.store.series import GAP_S

WIDTH: Final = 400
HEIGHT: Final = 170
"""In the units of the viewBox: on a phone one is about a pixel, so that ticks can be read."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 10, 22
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "12 4", "4 2", "1 4")
_ORDER: Final = ("submitted", "accepted", "exhausted", "vendor_fault", "unknown", "rejected")
"""These first, so that each has the same dashes in every plot; others by name."""


@value(frozen=True, slots=True)
class Line:
    """``label`` makes its class; ``words`` say what it is."""

    label: str
    words: str
    numbers: Numbers


@value(frozen=True, slots=True)
class Plot:
    """``name`` is fit for an id (`jobs`, `attempts`, `latency`, `queue`, `oldest`, `spend`); ``title`` and
    ``summary`` are plain text; ``svg`` is safe markup, `<svg …>…</svg>`, with both of them in it; ``legend``
    has a class (`plot-submitted`) and plain text for each line, none where there is only one."""

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
    latency = (Line("p50", "half took no longer (p50)", shown.p50_s), Line("p95", "p95", shown.p95_s))
    waiting = (
        Line("queued", "queued", shown.queued),
        Line("delayed", "waiting for a next attempt", shown.delayed),
        Line("in_flight", "being sent", shown.in_flight),
    )
    oldest = (Line("oldest", "age", shown.oldest_s),)
    money = f"Spent an hour, in {currency}" if currency else "Spent an hour"
    return (
        _plot(shown, "jobs", "Jobs ended a minute", _by_label(shown.jobs)),
        _plot(shown, "attempts", "Attempts a minute, by outcome", _by_label(shown.attempts)),
        _plot(shown, "latency", "Latency of the vendor", latency, is_time=True),
        _plot(shown, "queue", "Jobs waiting and being sent", waiting),
        _plot(shown, "oldest", "Age of the oldest waiting job", oldest, is_time=True),
        _plot(shown, "spend", money, (Line("spent", "spent", shown.spent),)),
    )


def _by_label(found: Mapping[str, Numbers]) -> tuple[Line, ...]:
    names = sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(Line(name, name.replace("_", " "), found[name]) for name in names)


def _plot(shown: Series, name: str, title: str, lines: tuple[Line, ...], *, is_time: bool = False) -> Plot:
    words, silence = axes.seconds if is_time else axes.number, _silence(shown)
    said = f"{shown.window.name}: {'; '.join([*(_in_words(line, words) for line in lines), *silence])}"
    known = [number for line in lines for number in line.numbers if number is not None]
    bound = axes.top(max(known, default=0.0), is_time=is_time)
    picture = _frame(f"plot-{shown.window.name.replace(' ', '-')}-{name}", title, said)
    picture.extend(_gaps(shown.spent))
    picture.extend(_grid(axes.upward(bound, words), axes.along(shown.window)))
    picture.extend(_path(line, bound, _DASHES[index % len(_DASHES)]) for index, line in enumerate(lines))
    picture.extend(_text(note, _x(1) - 4, _y(1) + 12, "end", "plot-note") for note in silence)
    legend = tuple((f"plot-{line.label}", line.words) for line in lines) if len(lines) > 1 else ()
    return Plot(name, title, said, ET.tostring(picture, encoding="unicode"), legend)


def _silence(shown: Series) -> list[str]:
    """That nobody looks any more: all workers are dead, or of an earlier version."""
    if shown.silent_s is None:
        return ["no sample yet: a worker takes one a minute"]
    return [f"no sample for {axes.seconds(shown.silent_s)}"] if shown.silent_s > GAP_S else []


def _in_words(line: Line, words: axes.Words) -> str:
    known = [number for number in line.numbers if number is not None]
    if not known:
        return f"{line.words}: nothing known"
    return f"{line.words}: {words(known[-1])} at last, {words(min(known))} to {words(max(known))}"


def _frame(name: str, title: str, said: str) -> ET.Element:
    picture = ET.Element(
        "svg",
        {
            "class": "plot",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-words",
        },
    )
    ET.SubElement(picture, "title", {"id": f"{name}-title"}).text = title
    ET.SubElement(picture, "desc", {"id": f"{name}-words"}).text = said
    return picture


def _x(at: float) -> float:
    """Where a share of the window, 0 to 1, is in the picture."""
    return _LEFT + at * (WIDTH - _LEFT - _RIGHT)


def _y(at: float) -> float:
    """Where a share of the highest number is."""
    return HEIGHT - _BOTTOM - at * (HEIGHT - _TOP - _BOTTOM)


def _grid(upward: Iterable[axes.Tick], along: Iterable[axes.Tick]) -> Iterator[ET.Element]:
    for tick in upward:
        y = _shown(_y(tick.at))
        ends = {"x1": _shown(_x(0)), "x2": _shown(_x(1)), "y1": y, "y2": y}
        yield ET.Element("line", {"class": "plot-grid", **ends})
        yield _text(tick.words, _x(0) - 4, _y(tick.at) + 4, "end")
    for tick in along:
        yield _text(tick.words, _x(tick.at), HEIGHT - 6, "end" if tick.at == 1 else "middle")


def _text(words: str, x: float, y: float, anchor: str, kind: str = "") -> ET.Element:
    where = {"x": _shown(x), "y": _shown(y), "text-anchor": anchor, "font-size": "11"}
    text = ET.Element("text", {"class": f"plot-tick {kind}".strip(), **where})
    text.text = words
    return text


def _gaps(covered: Numbers) -> Iterator[ET.Element]:
    """Where nobody looked; the last step may only not be over yet."""
    steps = len(covered)
    for is_gap, group in groupby(range(steps - 1), lambda step: covered[step] is None):
        run = list(group)
        if is_gap:
            x, end = _x(run[0] / steps), _x((run[-1] + 1) / steps)
            size = {"width": _shown(end - x), "height": _shown(_y(0) - _y(1))}
            yield ET.Element("rect", {"class": "plot-gap", "x": _shown(x), "y": _shown(_y(1)), **size})


def _path(line: Line, bound: float, dashes: str) -> ET.Element:
    """One line, with a break in each gap."""
    steps, parts = len(line.numbers), []
    for is_known, group in groupby(range(steps), lambda step: line.numbers[step] is not None):
        if not is_known:
            continue
        points = [
            f"{_shown(_x((step + 0.5) / steps))} {_shown(_y((line.numbers[step] or 0) / bound))}"
            for step in group
        ]
        # A point alone would not be seen: round ends make a dot of it.
        parts.append(f"M{'L'.join(points)}" + ("h.01" if len(points) == 1 else ""))
    drawn = {"fill": "none", "stroke-linecap": "round", "stroke-linejoin": "round", "d": "".join(parts)}
    if dashes:
        drawn["stroke-dasharray"] = dashes
    return ET.Element("path", {"class": f"plot-line plot-{line.label}", **drawn})


def _shown(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
