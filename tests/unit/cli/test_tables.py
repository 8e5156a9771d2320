"""Rows of a table: within the terminal's width, nothing cut off, ids in one piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.tables import Cell, Column, cells_of, laid_out

COLUMNS = (Column("ENDED", 14), Column("STATUS", 9), Column("JOB", 36))
ID = "5f0c1234-5678-4abc-8def-0123456789ab"
TEXT = st.text(st.characters(codec="utf-8"), max_size=120)


def lines(cells: tuple[str, ...], rest: str = "", width: int = 80) -> list[str]:
    drawn = laid_out(COLUMNS, [Cell(cell) for cell in cells], rest, width)
    return ["".join(cell.text for cell in line).rstrip() for line in drawn]


@pytest.mark.parametrize(
    ("rest", "width", "expected"),
    [
        ("", 80, [f"11-22 22:31:33  submitted  {ID}"]),
        ("task 7", 80, [f"11-22 22:31:33  submitted  {ID}  task 7"]),
        (f"task {ID}", 80, [f"11-22 22:31:33  submitted  {ID}", f"  task {ID}"]),
        (f"task {ID}", 120, [f"11-22 22:31:33  submitted  {ID}  task {ID}"]),
    ],
)
def test_what_does_not_fit_goes_below(rest: str, width: int, expected: list[str]) -> None:
    """And beside the columns where the terminal is wide enough."""
    assert lines(("11-22 22:31:33", "submitted", ID), rest, width) == expected


def test_a_long_value_does_not_move_the_columns_after_it() -> None:
    """They go on in a line of their own, below their titles."""
    columns = (Column("JOB", 8), Column("WORKFLOW", 9))
    drawn = laid_out(columns, [Cell("order-of-somebody"), Cell("CATVTON")], "", 80)
    assert ["".join(cell.text for cell in line).rstrip() for line in drawn] == [
        "order-of-somebody",
        "          CATVTON",
    ]


@given(st.tuples(TEXT, TEXT, TEXT), TEXT, st.integers(20, 200))
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(
    cells: tuple[str, str, str], rest: str, width: int
) -> None:
    """Whatever strangers wrote into it: no control character is left, and Chinese takes two cells."""
    shown = lines(cells, rest, width)
    assert all(cells_of(line) <= width and line.isprintable() for line in shown)
    wanted = "".join("".join(char if char.isprintable() else "�" for char in part) for part in (*cells, rest))
    assert "".join(shown).replace(" ", "") == wanted.replace(" ", "")
