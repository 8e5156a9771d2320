"""What tells outputs from other messages."""

from __future__ import annotations

import logging
from typing import Final

from ..checks import check_task_id
from ..contract import OUTPUT_FIELD
from ..output import Output
from ..reading.feed import Feed
from .lookup import find

OUTPUTS: Final[Feed[Output]] = Feed(
    noun="outputs",
    subject="task",
    name=lambda settings: settings.outputs,
    field=OUTPUT_FIELD,
    parse=Output.from_json,
    id_of=lambda output: output.task_id,
    id_key="taskId",
    check_id=check_task_id,
    is_meant=lambda output, settings: True,
    find=find,
    log=logging.getLogger("tasks.outputs"),
)
