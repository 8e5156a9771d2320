"""What a job costs, by its workflow, for quotes and budgets: as the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Self

from .environment import Environment
from .settings import process_environment

PREFIX: Final = "AIGC_PRICE__"


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one job each, in one currency."""

    by_workflow: Mapping[str, Decimal] = field(default_factory=dict)
    currency: str = ""
    """Three letters, such as "USD"; empty where it is not said."""

    @classmethod
    def from_environ(cls) -> Self:
        """Those of this process's environment.

        Raises:
            SettingsError: naming each variable that cannot be right.
        """
        environ = process_environment()
        prices = cls.read(environ)
        environ.raise_problems()
        return prices

    @classmethod
    def read(cls, environ: Environment) -> Self:
        """The same, with what is wrong in `environ.problems` afterwards."""
        return cls(environ.decimals(PREFIX), environ.currency("AIGC_CURRENCY"))

    def of(self, workflow: str) -> Decimal | None:
        """What one job of it costs; None where that is not known, which is not nothing."""
        return self.by_workflow.get(workflow)
