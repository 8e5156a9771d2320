"""What tells results from other messages."""

from __future__ import annotations

import logging
from typing import Final

from ..checks import check_job_id
from ..contract import RESULT_FIELD
from ..reading.feed import Feed
from ..result import Result
from .lookup import find

RESULTS: Final[Feed[Result]] = Feed(
    noun="results",
    subject="job",
    name=lambda settings: settings.results,
    field=RESULT_FIELD,
    parse=Result.from_json,
    id_of=lambda result: result.job_id,
    id_key="jobId",
    check_id=check_job_id,
    is_meant=lambda result, settings: result.queue in ("", settings.queue),
    find=find,
    log=logging.getLogger("tasks.results"),
)
