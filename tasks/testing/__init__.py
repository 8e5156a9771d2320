"""Test a program that queues jobs and reads results, without Redis, a worker or the vendor.

    def test_upload_queues_a_picture():
        with tasks.testing.capture() as jobs:
            shop.upload(product)
            (job,) = jobs
            assert job.payload["workflow"] == "IMAGE2VIDEO"
            jobs.finish(job.id, status="submitted", task_id="task-1")
            assert tasks.results.wait(job.id, timeout_s=1).task_id == "task-1"

In pytest the fixture `aigc_jobs` is the same. Within, `submit`, `submit_many`, `submit_async`, `cancel`,
dedupe keys and a signature's `apply_async` do what they do elsewhere, errors included, but for the queue,
which is a list in this process; all functions of `tasks.results` give what `finish` plays, and those of
`tasks.outputs` what `finish_task` plays. Celery apps with `task_always_eager` are welcome. An app of the
program's own that sends a job by its name does publish it: its `broker_url` must be `memory://` in tests,
and then the job is captured too.
"""

from __future__ import annotations

from .capturing import capture
from .jobs import CapturedJob, CapturedJobs

__all__ = ["CapturedJob", "CapturedJobs", "capture"]
