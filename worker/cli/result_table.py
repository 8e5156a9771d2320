"""How jobs ended, as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.tables import STATUS_COLOURS, Cell, Column, Table

if TYPE_CHECKING:
    from tasks import Result


class ResultTable:
    """A row for each result; it fits 80 columns."""

    def __init__(self) -> None:
        self._table = Table(
            Column("ENDED (UTC)", 14), Column("STATUS", 9), Column("JOB", 36), Column("WORKFLOW", 11)
        )

    @property
    def on_terminal(self) -> bool:
        """Whether standard output is one."""
        return self._table.on_terminal

    def add(self, result: Result) -> None:
        self._table.row(
            result.finished_at[5:19].replace("T", " "),  # the year is that of the others
            Cell(result.status, STATUS_COLOURS.get(result.status)),
            result.job_id,
            result.workflow,
            rest=_rest(result),
        )

    def end(self, nothing: str) -> None:
        """After the last one: on a terminal a table without any says so."""
        self._table.end(nothing)


def _rest(result: Result) -> str:
    parts = [
        f"task {result.task_id}" if result.task_id else "",
        ": ".join(filter(None, (result.error_code, result.error_msg))),
        f"{result.attempts} attempts" if result.attempts != 1 else "",
        "possible duplicate" if result.possible_duplicate else "",
    ]
    return ", ".join(filter(None, parts))
