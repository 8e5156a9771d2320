"""Plots: markup that holds no text of others, no style, and says in words what it shows."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.services.ui import axes
from worker.services.ui.plots import HEIGHT, WIDTH, Plot, plots
from worker.store.history_values import DAY, HOUR, NO_LATENCY, Sample, Window
from worker.store.series import series

NOW_S = 1_800_000_000.0
FIRST = Sample(NOW_S - 3600, {}, {}, NO_LATENCY, 0.0, 0, 0, 0, 0, 0.0)
SVG = {"svg", "title", "desc", "line", "text", "rect", "path"}
ATTRIBUTES = {
    "class", "viewBox", "role", "aria-labelledby", "id", "x", "y", "x1", "x2", "y1", "y2", "d", "fill",
    "width", "height", "text-anchor", "font-size", "stroke-linecap", "stroke-linejoin", "stroke-dasharray",
}  # fmt: skip


def shown(window: Window = HOUR, jobs: str = "submitted", currency: str = "EUR") -> dict[str, Plot]:
    """Of an hour in which ten jobs a minute ended, and one of them in ten so."""
    samples = [
        replace(FIRST, at_s=NOW_S - 3600 + 60 * n, jobs={"submitted": 10 * n, jobs: 11 * n}, queued=n)
        for n in range(61)
        if not 20 < n < 40
    ]
    return {plot.name: plot for plot in plots(series(samples, NOW_S, window), currency)}


def path(plot: Plot, label: str) -> str:
    found = next(each for each in ET.fromstring(plot.svg) if f"plot-{label}" in each.get("class", "").split())
    return found.get("d", "")


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_a_plot_is_made_of_few_elements_without_a_style(window: Window) -> None:
    """So a Content-Security-Policy that allows no inline style and no script leaves it whole."""
    for plot in shown(window).values():
        elements = list(ET.fromstring(plot.svg).iter())
        assert {element.tag for element in elements} <= SVG
        assert {name for element in elements for name in element.attrib} <= ATTRIBUTES
        assert len(plot.svg) < 8000


def test_who_does_not_see_a_plot_is_told_its_numbers() -> None:
    """By role, title and description, whose ids are their own on the page."""
    pictures = [ET.fromstring(plot.svg) for window in (HOUR, DAY) for plot in shown(window).values()]
    for picture in pictures:
        assert picture.get("role") == "img"
        names = [picture.find(tag).get("id") for tag in ("title", "desc")]  # type: ignore[union-attr]
        assert picture.get("aria-labelledby") == " ".join(map(str, names))
    ids = [element.get("id") for picture in pictures for element in picture.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 2 * len(pictures)
    jobs = shown(jobs="exhausted")["jobs"]
    assert jobs.summary.startswith("last hour: submitted: 10 at last, 10 to 10; exhausted: 11 at last")
    assert jobs.summary in jobs.svg


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_text_of_others_never_becomes_markup(text: str) -> None:
    """Labels and the currency come from Redis and the environment."""
    found = shown(jobs=f"</text><script>{text}", currency=f"<b>{text}")
    for plot in (found["jobs"], found["spend"]):
        assert {element.tag for element in ET.fromstring(plot.svg).iter()} <= SVG
        assert "<script" not in plot.svg
        assert "<b>" not in plot.svg


def test_a_gap_is_a_break_in_the_line_with_a_ground_of_its_own() -> None:
    """And is no line along zero."""
    plot = shown()["jobs"]
    assert path(plot, "submitted").count("M") == 2
    assert plot.svg.count("plot-gap") == 1


def test_a_point_between_two_gaps_is_seen() -> None:
    """As a dot: a path of one point alone is drawn by no browser."""
    samples = [replace(FIRST, at_s=NOW_S - 1800, queued=5)]
    assert path(
        {plot.name: plot for plot in plots(series(samples, NOW_S, DAY), "")}["queue"], "queued"
    ).endswith("h.01")


def test_all_points_are_within_the_picture() -> None:
    """Whatever the numbers."""
    for plot in shown(jobs="exhausted").values():
        for element in ET.fromstring(plot.svg).iter("path"):
            points = re.findall(r"[ML]([\d.]+) ([\d.]+)", element.get("d", ""))
            assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)


def test_lines_differ_by_more_than_their_colour() -> None:
    """For who does not tell colours apart, and on paper."""
    found = ET.fromstring(shown(jobs="exhausted")["jobs"].svg)
    dashes = [element.get("stroke-dasharray") for element in found.iter("path")]
    assert len(dashes) == len(set(dashes)) == 2


def test_a_legend_names_the_lines_where_there_are_several() -> None:
    """By the class that colours each."""
    found = shown(jobs="exhausted")
    assert found["jobs"].legend == (("plot-submitted", "submitted"), ("plot-exhausted", "exhausted"))
    assert found["spend"].legend == ()
    assert found["spend"].title == "Spent an hour, in EUR"


def test_a_plot_says_since_when_nobody_looks() -> None:
    """All workers are dead: in the picture, and in its words; not where a sample is only due."""
    samples = [replace(FIRST, at_s=NOW_S - 3600 + 60 * n) for n in range(40)]
    for late_s, note in ((100, None), (720, "no sample for 12 min")):
        for plot in plots(series(samples, samples[-1].at_s + late_s, HOUR), ""):
            assert (note is not None) == ("plot-note" in plot.svg)
            assert note is None or (note in plot.summary and plot.svg.count(note) == 2)


def test_without_a_sample_nothing_is_claimed() -> None:
    """No number, no line."""
    found = plots(series([], NOW_S, HOUR), "")
    assert all("nothing known" in plot.summary and "no sample yet" in plot.summary for plot in found)
    assert all(element.get("d") == "" for plot in found for element in ET.fromstring(plot.svg).iter("path"))


@given(st.floats(0, 1e12), st.booleans())
def test_an_axis_ends_at_a_round_number_above_all(highest: float, is_time: bool) -> None:
    """And not so far above that the line would lie at the bottom."""
    bound = axes.top(highest, is_time=is_time)
    assert bound >= highest * (1 - 1e-9)
    assert bound > 0
    assert bound <= max(2.5 * highest, 1)


@pytest.mark.parametrize(
    ("found", "words"),
    [(0, "0"), (0.25, "0.25"), (12, "12"), (999.9, "1k"), (1500, "1.5k"), (2_000_000, "2M"), (5e9, "5G")],
)
def test_numbers_are_short(found: float, words: str) -> None:
    """Three digits say enough of a plot."""
    assert axes.number(found) == words


@pytest.mark.parametrize(
    ("found", "words"),
    [(0, "0 s"), (0.25, "250 ms"), (2.5, "2.5 s"), (60, "1 min"), (90, "90 s"), (600, "10 min"),
     (3600, "1 h"), (86_400, "1 d"), (172_800, "2 d")],
)  # fmt: skip
def test_times_have_the_unit_that_fits(found: float, words: str) -> None:
    """As one says them."""
    assert axes.seconds(found) == words


def test_the_axis_of_time_counts_back_from_now() -> None:
    """It needs no time zone."""
    hour, day = ([tick.words.lstrip("\N{MINUS SIGN}") for tick in axes.along(of)] for of in (HOUR, DAY))
    assert hour == ["60 min", "45 min", "30 min", "15 min", "now"]
    assert day == ["24 h", "18 h", "12 h", "6 h", "now"]
