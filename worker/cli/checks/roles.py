"""The programs beside workers, as `worker.store.acl` names them: what each reads of its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from tasks.exceptions import SettingsError
from tasks.settings import BrokerSettings, broker_from_environ, workflows_from_environ
from worker.cli.checks.finding import Finding, ok, wrong
from worker.config.settings import (
    deciding_from_environ,
    fetch_allow_from_environ,
    forward_secrets_from_environ,
    service_from_environ,
)

_SERVICE: Final = partial(service_from_environ, secrets=(), warnings=())

READ_BY: Final[Mapping[str, tuple[Callable[[], Any], ...]]] = {
    "producer": (broker_from_environ, workflows_from_environ),
    "consumer": (broker_from_environ,),
    "operator": (broker_from_environ, deciding_from_environ),
    "ui": (_SERVICE, deciding_from_environ, fetch_allow_from_environ),
    "forward": (_SERVICE, forward_secrets_from_environ),
    "events": (_SERVICE,),
}
"""The first gives where Redis is."""

LOOKING: Final = ("worker", "operator", "ui")
"""Those that may look at queue and workers."""


_NAMES: Final = {
    "operator": "an operator",
    "ui": "`aigc ui`",
    "forward": "`aigc forward`",
    "events": "`aigc events`",
}


def named(role: str) -> str:
    """What a program of this role is called in a sentence."""
    return _NAMES.get(role, f"a {role}")


def settings_of(role: str) -> tuple[BrokerSettings | None, list[Finding]]:
    """What the program would read here: where Redis is, if that can be told, and what is wrong."""
    broker: BrokerSettings | None = None
    problems: list[str] = []
    for read in READ_BY[role]:
        try:
            found = read()
        except SettingsError as error:
            problems += error.problems
        else:
            broker = found if read is READ_BY[role][0] else broker
    if problems:
        return broker, [wrong("settings", problem) for problem in problems]
    return broker, [ok("settings", f"the settings of {named(role)} are complete")]
