"""The errors that this project raises on purpose: `except tasks.AigcError` catches them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self


class AigcError(Exception):
    """Root of all errors this project raises on purpose."""


class InvalidPayload(AigcError, ValueError):
    """Input that must not be queued.

    `errors` holds one pair for each wrong field: its path in the vendor's spelling, such as
    "algoInput.seed", and what it must be. Long values, and so prompts, are not repeated in it.
    """

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        return "; ".join(f"{path}: {message}" for path, message in self.errors)


class SettingsError(AigcError, ValueError):
    """Environment variables, or arguments in their place, that cannot be right.

    `problems` holds one line for each: its name and what it must be. No value is repeated in it.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class JobFailed(AigcError):
    """A job that ended otherwise than submitted, for a shop's errback to raise or report.

    Its arguments are the job's id, its status, the error code and the error message (None where there is
    none): pickle and Celery's serializers carry it.
    """

    def __init__(self, job_id: str, status: str, error_code: str | None, error_msg: str | None) -> None:
        self.job_id, self.status = job_id, status
        self.error_code, self.error_msg = error_code, error_msg
        super().__init__(job_id, status, error_code, error_msg)

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """From the fields of a result's JSON, as an errback finds them in ``request.get("aigc-result")``."""
        return cls(result["jobId"], result["status"], result["errorCode"], result["errorMsg"])

    def __str__(self) -> str:
        reason = ": ".join(filter(None, (self.error_code, self.error_msg)))
        return f"job {self.job_id} is {self.status}" + (f" ({reason})" if reason else "")


class BrokerUnavailable(AigcError, ConnectionError):
    """Redis did not answer, or refused. Whether what was sent has arrived is not known.

    To submit again under the same job id is safe: a job is paid for once, however often it is queued.
    """
