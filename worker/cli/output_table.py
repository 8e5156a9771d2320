"""What became of task ids, as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.tables import STATUS_COLOURS, Cell, Column, Table

if TYPE_CHECKING:
    from tasks import Output


class OutputTable:
    """A row for each output; it fits 80 columns."""

    def __init__(self) -> None:
        self._table = Table(
            Column("ENDED (UTC)", 14), Column("STATUS", 9), Column("TASK", 36), Column("WORKFLOW", 11)
        )

    def add(self, output: Output) -> None:
        self._table.row(
            output.finished_at[5:19].replace("T", " "),  # the year is that of the others
            Cell(output.status, STATUS_COLOURS.get(output.status)),
            output.task_id,
            output.workflow or "",
            rest=_rest(output),
        )


def _rest(output: Output) -> str:
    is_vendors_word_news = output.vendor_status and output.status != "succeeded"
    parts = [
        output.file or output.url or "",
        f"the vendor says {output.vendor_status}" if is_vendors_word_news else "",
        f"job {output.job_id}" if output.job_id else "",
    ]
    return ", ".join(filter(None, parts))
