"""Whether a job may be sent by this version: what it cannot understand waits for a worker that can.

During an upgrade producers may be newer than some workers. An argument that this version does not know must
not be passed over, for it may change what is bought, and is no reason to end the job.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from tasks.envelope import InvalidJob, Job
from worker.processing import steps
from worker.processing.deadline import age_and_left_s
from worker.processing.surroundings import Surroundings
from worker.processing.values import Prepared
from worker.store.record import ENDED_STATES
from worker.store.values import Delivery, Postponement, Settlement

log = logging.getLogger(__name__)

LOOK_S: Final = (60.0, 600.0)
"""After how long such a job is looked at again, at least and at most: the longer it waits, the less often."""


def validate(
    around: Surroundings, job: Job | InvalidJob, delivery: Delivery, now: float
) -> Prepared | Settlement | Postponement:
    """The bytes to send; a job that must not be sent ends, one for a newer worker waits for it.

    Args:
        now: seconds since the epoch.

    Raises:
        redis.RedisError: Redis is away, or refuses; asked only about a job for a newer worker.
    """
    found = steps.validate(job, delivery, now)
    if not isinstance(found, Prepared) or not found.job.newer:
        return found
    record = around.job_store.record(found.job.id)
    if record.get("state") in ENDED_STATES:
        record = {}  # of an earlier run: this message is one that comes again
    age_s, left_s = age_and_left_s(found.job, delivery, record, around.policy, now)
    names = ", ".join(sorted(found.job.newer))
    # With an attempt on record only who understands the job may end it: that one may have been accepted.
    if left_s <= 0 and not record.get("request_ids"):
        return steps.expire_unsent(found, f"no worker that knows the argument {names} took it in time", now)
    if often := around.remarks.due(names, time.monotonic()):
        log.error(
            "job %s has an argument that this version does not know (%s): it waits for a newer worker"
            " until its deadline%s",
            *(found.job.id, names, f", as {often - 1} others do" if often > 1 else ""),
        )
    least_s, most_s = LOOK_S
    delay_s = min(most_s, max(least_s, age_s / 4))
    if left_s > 0:
        delay_s = min(delay_s, max(left_s, 1.0))
    return Postponement(found.job, delivery, delay_s, first_seen=True)
