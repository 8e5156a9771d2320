"""Followed tasks as operators see them, and what they decide about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from tasks.frozen import value
from tasks.json_text import dumps, dumps_for_lua, loads
from tasks.output import Output
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.task_record import TASK_FIELDS

Adoption = Literal["adopted", "open", "ended"]
Forgetting = Literal["forgotten", "given-up", "ended", "unknown"]
Amendment = Literal["amended", "already", "changed"]

PAGE: Final = 500
_NAMES: Final = (
    "job_id", "workflow", "version", "accepted_ms", "deadline_ms", "asked", "vendor_status", "keep_tries",
    "output",
)  # fmt: skip
_STORED: Final = tuple(TASK_FIELDS[name].stored for name in _NAMES)


@value(frozen=True, slots=True)
class ShownTask:
    """What operators are shown of a task; times are seconds since the epoch. ``output`` once it has ended."""

    task_id: str
    job_id: str | None
    workflow: str | None
    version: str | None
    accepted_s: float | None
    deadline_s: float | None
    asked: int
    vendor_status: str | None
    keep_tries: int
    output: Output | None
    output_json: str | None


class TaskAdmin:
    """The followed tasks of one queue, for operators. Thread-safe.

    Each method raises redis.RedisError where Redis is away or refuses.

    Args:
        outputs: the name of the outputs' channel and stream.
    """

    def __init__(self, scripts: Scripts, keys: KeyNames, outputs: str) -> None:
        self._scripts = scripts
        self._keys = keys
        self._outputs = outputs

    def followed_s(self) -> float | None:
        """For how many seconds the workers follow a task; None where no worker follows any."""
        found = self._scripts.client.get(self._keys.task_deadline)
        return float(found) / 1000 if found else None

    def adopt(
        self,
        task_ids: Sequence[str],
        *,
        deadline_s: float,
        workflow: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> list[Adoption]:
        """Have these tasks followed; what each of them is now, and whether it was before."""
        about: dict[str, Any] = {
            "metadata": dumps(metadata or {}).decode("ascii"),
            "deadline_ms": round(1000 * deadline_s),
        }
        if workflow:
            about["workflow"] = workflow
        told = dumps_for_lua(about)
        answers = self._scripts.run_all([("adopt_task", (task_id, told)) for task_id in task_ids])
        return [_verdict(answer) for answer in answers]

    def forget(self, task_id: str) -> Forgetting:
        """Follow it no more, or give up its file."""
        verdict: Forgetting = _verdict(self._scripts.run("forget_task", task_id))
        return verdict

    def amend(self, task_id: str, before_json: str, after: Output) -> Amendment:
        """Give a task that has ended another output, and publish that; once.

        What a later version wrote into the output besides stays in it.
        """
        both = dumps({**loads(before_json), **loads(after.to_json())}).decode("ascii")
        args = (task_id, before_json, both, self._outputs)
        verdict: Amendment = _verdict(self._scripts.run("amend_output", *args))
        return verdict

    def settle_amendment(self, task_id: str, output_json: str) -> None:
        """Do what Redis refused of an amendment; and its file is not wanted any more."""
        self._scripts.run("amend_output", task_id, output_json, output_json, self._outputs)

    def shown(self, task_id: str) -> ShownTask | None:
        """What is known of a task; None where nothing is."""
        return next(self._shown([task_id]), None)

    def is_open(self, task_id: str) -> bool:
        """Whether it is followed, and has not ended."""
        return self._scripts.client.zscore(self._keys.open_tasks, task_id) is not None

    def open(self) -> Iterator[ShownTask]:
        """All that have not ended, the oldest first."""
        return self._all(self._keys.tasks_accepted)

    def unstored(self) -> Iterator[ShownTask]:
        """All whose file could not be kept, the oldest first."""
        return self._all(self._keys.unstored_tasks)

    def named(self, task_ids: Iterable[bytes]) -> list[ShownTask]:
        """These tasks, in their order; of one that has no record no more than its id is known."""
        return list(self._shown([_text(task_id) for task_id in task_ids], all_of_them=True))

    def _all(self, key: str) -> Iterator[ShownTask]:
        names = [_text(name) for name in self._scripts.client.zrange(key, 0, -1)]
        for start in range(0, len(names), PAGE):
            yield from self._shown(names[start : start + PAGE], all_of_them=True)

    def _shown(self, names: Sequence[str], *, all_of_them: bool = False) -> Iterator[ShownTask]:
        """Those that have a record; all of them: also the others, of which no more is known."""
        with self._scripts.client.pipeline(transaction=False) as pipe:
            for task_id in names:
                pipe.hmget(self._keys.task(task_id), *_STORED)
            answers = pipe.execute(raise_on_error=False)
        for task_id, answer in zip(names, answers, strict=True):
            found = [None] * len(_NAMES) if isinstance(answer, Exception) else answer
            if all_of_them or any(each is not None for each in found):
                yield _shown_task(task_id, dict(zip(_NAMES, found, strict=True)))


def _shown_task(task_id: str, found: dict[str, bytes | None]) -> ShownTask:
    output_json = _or_none(found["output"])
    output = _output(output_json)
    return ShownTask(
        task_id=task_id,
        # Once it has ended, its output alone says these.
        job_id=output.job_id if output else _or_none(found["job_id"]),
        workflow=output.workflow if output else _or_none(found["workflow"]),
        version=output.version if output else _or_none(found["version"]),
        accepted_s=_seconds(found["accepted_ms"]),
        deadline_s=_seconds(found["deadline_ms"]),
        asked=int(found["asked"] or 0),
        vendor_status=_or_none(found["vendor_status"]),
        keep_tries=int(found["keep_tries"] or 0),
        output=output,
        output_json=output_json,
    )


def _output(text: str | None) -> Output | None:
    try:
        return Output.from_json(text) if text else None
    except ValueError:
        return None  # of a later version, perhaps


def _verdict(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer[0].decode()


def _seconds(found: bytes | None) -> float | None:
    return int(found) / 1000 if found else None


def _or_none(found: bytes | None) -> str | None:
    return None if found is None else _text(found)


def _text(found: bytes) -> str:
    return found.decode("utf-8", "replace")
