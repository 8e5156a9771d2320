"""The errors that this project raises on purpose: `except tasks.AigcError` catches them all."""

from __future__ import annotations

from collections.abc import Iterable


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


class BrokerUnavailable(AigcError, ConnectionError):
    """Redis did not answer, or refused. Whether what was sent has arrived is not known.

    To submit again under the same job id is safe: a job is paid for once, however often it is queued.
    """
