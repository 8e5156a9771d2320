"""The jobs that a program under test has submitted, and how its test has them end."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from .. import broker
from ..checks import clip
from ..contract import OutputStatus, Status
from ..envelope import InvalidJob, Job
from ..exceptions import InvalidPayload
from ..output import Output
from ..payload import parse
from ..result import Result
from ..times import utc_iso
from .outputs import output_of
from .played import Played

_BOUGHT: Final = ("submitted", "unknown")


@dataclass(slots=True, eq=False)
class CapturedJob:
    """A job as it would lie in the queue.

    `payload` is what the vendor would be sent. `priority` is "high", "normal", "low", or Celery's number.
    `options` are those of Celery's that it was sent with, such as countdown. `result` is its last one; None
    while it has none. `submissions` counts how often it was submitted under its id.
    """

    id: str
    payload: dict[str, Any]
    metadata: dict[str, Any]
    unlisted: bool = False
    batch: str | None = None
    priority: str | int = "normal"
    dedupe_key: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None
    submissions: int = 1

    @property
    def workflow(self) -> str:
        return str(self.payload.get("workflow", ""))


class CapturedJobs(Sequence[CapturedJob]):
    """All jobs that were submitted, in order, each once however often it was submitted. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.results: Played[Result] = Played(self.lock)
        self.outputs: Played[Output] = Played(self.lock)
        self._jobs: dict[str, CapturedJob] = {}
        self._cancelled: set[str] = set()
        self._when_submitted: Callable[[CapturedJob], object] | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, index: Any) -> Any:
        return list(self._jobs.values())[index]

    def __iter__(self) -> Iterator[CapturedJob]:
        return iter(list(self._jobs.values()))

    def of(self, job_id: str) -> CapturedJob:
        """The job of an id. Raises LookupError where none was submitted."""
        if job_id not in self._jobs:
            raise LookupError(f"no job {job_id!r} was submitted; these were: {list(self._jobs)[:20]}")
        return self._jobs[job_id]

    def finish(
        self,
        job_id: str,
        status: Status = "submitted",
        *,
        task_id: str | None = None,
        error_code: str | None = None,
        error_msg: str | None = None,
        attempts: int | None = None,
        possible_duplicate: bool = False,
    ) -> Result:
        """Have a job end: the functions of `tasks.results` give its result from now on.

        Args:
            job_id: as `submit` returned it.
            status: how it ends: "submitted", "rejected", "exhausted", "unknown" or "cancelled". One that
                ended `unknown` may end once more.
            task_id: the vendor's, of a submitted job; made up if not given.
            error_code, error_msg: the vendor's, or the worker's.
            attempts: 1 if not given, and 0 where the job is cancelled.
            possible_duplicate: an earlier attempt ended unknown.

        Raises:
            LookupError: no such job was submitted.
            ValueError: no such status, a task id that does not go with it, or the job has ended already.
        """
        if status not in get_args(Status):
            raise ValueError(f"status must be one of {', '.join(get_args(Status))}, got {clip(status)}")
        if task_id is not None and status != "submitted":
            raise ValueError(f"only a submitted job has a task id, and this one is {status}")
        with self.lock:
            job = self.of(job_id)
            if job.result is not None and job.result.status != "unknown":
                raise ValueError(f"job {job_id} has ended already: {job.result.status}")
            if attempts is None:
                attempts = int(status != "cancelled")
            result = Result(
                job.id, status, task_id or (f"task-{uuid.uuid4()}" if status == "submitted" else None),
                job.workflow, str(job.payload.get("version", "")), attempts,
                str(uuid.uuid4()) if attempts else None, error_code, error_msg, possible_duplicate,
                utc_iso(), job.metadata, queue=broker.settings().queue,
            )  # fmt: skip
            return self._tell(job, Result.from_json(result.to_json()))

    def finish_task(
        self,
        task_id: str,
        status: OutputStatus = "succeeded",
        *,
        url: str | None = None,
        file: str | None = None,
        sha256: str | None = None,
        bytes: int | None = None,
        content_type: str | None = None,
        vendor_status: str | None = None,
    ) -> Output:
        """Have a task end: the functions of `tasks.outputs` give its output from now on.

        Args:
            task_id: as a job's result has it; any other is one that was bought elsewhere.
            status: how it ends: "succeeded", "failed" or "lost".
            url: where the vendor keeps the file; made up if not given, where the task succeeded.
            file, sha256, bytes, content_type: of the copy that is kept; None if there is none.
            vendor_status: the vendor's own word; one that goes with the status if not given.

        Raises:
            ValueError: no such status, no task id, or the task has ended already.
        """
        with self.lock:
            if self.outputs.last(task_id) is not None:
                raise ValueError(f"task {task_id} has ended already")
            output = output_of(
                *(task_id, status, self._about(task_id)), url=url, file=file, sha256=sha256, bytes=bytes,
                content_type=content_type, vendor_status=vendor_status,
            )  # fmt: skip
            return self.outputs.tell(task_id, Output.from_json(output.to_json()))

    def _about(self, task_id: str) -> dict[str, Any]:
        """What an output says of the job that bought the task."""
        for job in self._jobs.values():
            if job.result is not None and job.result.task_id == task_id:
                version = job.result.version
                return {
                    "job_id": job.id, "workflow": job.workflow, "version": version, "metadata": job.metadata
                }  # fmt: skip
        return {"job_id": None, "workflow": None, "version": None}

    def answer_with(self, status: Status = "submitted", **fields: Any) -> None:
        """From now on each job ends so as soon as it is submitted; the fields are those of `finish`."""
        self.when_submitted(lambda job: self.finish(job.id, status, **fields))

    def when_submitted(self, call: Callable[[CapturedJob], object] | None) -> None:
        """From now on call this with each job that is submitted, such as to have it end; None for nothing."""
        self._when_submitted = call

    def _tell(self, job: CapturedJob, result: Result) -> Result:
        job.result = result
        return self.results.tell(job.id, result)

    @property
    def told(self) -> list[Result]:
        """All results, in the order in which they came."""
        return self.results.told

    def when_ended(self, job_id: str, call: Callable[[Result], object]) -> None:
        """Call this with the job's result, now where there is one."""
        self.results.when_told(job_id, call)

    def result(self, job_id: str) -> Result | None:
        """The job's last result, as `results.get` gives it."""
        return self.results.last(job_id)

    def add(self, found: Job | InvalidJob, **about: Any) -> CapturedJob:
        """A job that was submitted; `about` are further fields. One that is none ends rejected."""
        with self.lock:
            job = self._jobs.get(found.id)
            if job is not None:
                self._submitted_again(job)
            else:
                unlisted, batch = getattr(found, "unlisted", False), getattr(found, "batch", None)
                job = CapturedJob(found.id, found.payload, found.metadata, unlisted, batch, **about)
                self._jobs[job.id] = job
            if reason := _refusal(found):
                self.finish(
                    job.id, "rejected", error_code="AIGC_INVALID_PAYLOAD", error_msg=reason, attempts=0
                )
            elif job.id in self._cancelled:
                self._cancelled.discard(job.id)
                self.finish(job.id, "cancelled")
        if job.result is None and self._when_submitted is not None:
            self._when_submitted(job)
        return job

    def _submitted_again(self, job: CapturedJob) -> None:
        """What was bought is told again, what ended without a purchase runs again."""
        job.submissions += 1
        if job.result is not None and job.result.status in _BOUGHT:
            self._tell(job, job.result)
        else:
            job.result = None
            self.results.forget(job.id)

    def cancel(self, job_id: str) -> bool:
        """As `tasks.cancel`; a job that was submitted ends at once."""
        with self.lock:
            job = self._jobs.get(job_id)
            if job is None:
                self._cancelled.add(job_id)
            elif job.result is None:
                self.finish(job_id, "cancelled")
            return job is None or job.result is None or job.result.status not in _BOUGHT


def _refusal(found: Job | InvalidJob) -> str:
    """Why a worker would reject it; empty where it would not."""
    if isinstance(found, InvalidJob):
        return found.reason
    try:
        parse(found.payload, unlisted=found.unlisted)
    except InvalidPayload as error:
        return str(error)
    return ""
