"""What may come up with every message is said once a while."""

from __future__ import annotations

from worker.domain.remarks import EVERY_S, KINDS_MOST, Remarks


def test_a_remark_is_said_once_a_while_with_how_often_it_came_up() -> None:
    """At first, then after a minute at the earliest, counted; another kind has a minute of its own."""
    remarks = Remarks()
    assert [remarks.due("a", now) for now in (0.0, 1.0, 2.0, EVERY_S, EVERY_S + 1)] == [1, 0, 0, 3, 0]
    assert remarks.due("b", 1.0) == 1


def test_kinds_without_number_are_bounded() -> None:
    """Names that producers choose cannot flood a log or a memory."""
    remarks = Remarks()
    assert sum(remarks.due(str(number), 0.0) > 0 for number in range(10_000)) == KINDS_MOST + 1
    assert remarks.due("another", EVERY_S) == 10_000 - KINDS_MOST
