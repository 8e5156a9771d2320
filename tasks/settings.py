"""The settings that producers, consumers and workers share: read and checked here for all of them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from .contract import DEFAULT_QUEUE, DEFAULT_REDIS_URL, is_own_key, outputs_for, queue_lists, results_for
from .declared import NONE, Declared
from .environment import Environment, key_name_problem
from .redis_url import redis_url_problem

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where jobs go and results come from: all that a producer or a consumer needs."""

    redis_url: str = field(repr=False)
    queue: str
    results: str
    outputs: str


def read_broker(environ: Environment, arguments: Mapping[str, str] = _NOTHING) -> BrokerSettings:
    """Read the broker's settings; what is wrong with them is in `environ.problems` afterwards.

    Args:
        arguments: by a field's name, what a program gave. The field's variable is not read then.
    """
    _check_each(environ, arguments)
    queue = arguments.get("queue") or environ.name("AIGC_QUEUE", DEFAULT_QUEUE)
    broker = BrokerSettings(
        arguments.get("redis_url") or _redis_url(environ),
        queue,
        arguments.get("results") or environ.name("AIGC_RESULTS", "") or results_for(queue),
        arguments.get("outputs") or environ.name("AIGC_OUTPUTS", "") or outputs_for(queue),
    )
    names = {"queue": broker.queue, "results": broker.results, "outputs": broker.outputs}
    environ.problems += _clashes(names, arguments)
    return broker


def _clashes(names: Mapping[str, str], arguments: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with names of which each could be right.

    Args:
        names: by a field's name. Those that are not there are not known yet.
        arguments: those that a program gave; the others are variables.
    """
    said = {name: name if name in arguments else f"AIGC_{name.upper()}" for name in names}
    for name in ("results", "outputs") if "queue" in names else ():
        if names.get(name) in queue_lists(names["queue"]):
            yield f"{said[name]} must differ from {said['queue']}: one Redis key cannot be both"
        # Redis would refuse it only once a job was bought: its result could not be written.
        if is_own_key(names["queue"], names.get(name, "")):
            yield f"{said[name]} must be another name than {names[name]}: the queue has something else there"
    if {"results", "outputs"} <= names.keys() and names["results"] == names["outputs"]:
        yield f"{said['outputs']} must differ from {said['results']}: who reads one does not know the other"


def broker_from_environ(arguments: Mapping[str, str] = _NOTHING) -> BrokerSettings:
    """The broker's settings of this process, for which no key of the vendor's is needed.

    Raises:
        SettingsError: naming every variable, or argument, that cannot be right.
    """
    environ = process_environment()
    broker = read_broker(environ, arguments)
    environ.raise_problems()
    return broker


def read_workflows(environ: Environment) -> Declared:
    """Read the file of declared workflows; what is wrong with it is in `environ.problems` afterwards."""
    path = environ.path("AIGC_WORKFLOWS_FILE")
    return NONE if path is None else _declared("AIGC_WORKFLOWS_FILE", path, environ)


def workflows_from_environ() -> Declared:
    """The workflows that this process's environment declares.

    Raises:
        SettingsError: naming file, table and field of all that cannot be right.
    """
    environ = Environment(os.environ)
    declared = read_workflows(environ)
    environ.raise_problems()
    return declared


def workflows_of(path: str) -> Declared:
    """The workflows that a file declares which a program gave as the argument `workflows_file`.

    Raises:
        SettingsError: as `workflows_from_environ`.
    """
    environ = Environment({})
    declared = _declared("workflows_file", path, environ)
    environ.raise_problems()
    return declared


def _declared(name: str, path: str, environ: Environment) -> Declared:
    from .declared.file import load  # and with it tomllib and jsonschema: only where there is a file

    declared, problems = load(path)
    environ.problems += [f"{name}: {problem}" for problem in problems]
    return declared


def fetch_allow() -> tuple[Network, ...]:
    """The networks beside the public internet that a picture's URL may lead to (`AIGC_FETCH_ALLOW`).

    None where the variable cannot be right: a worker says so and does not start.
    """
    return _networks(os.environ.get("AIGC_FETCH_ALLOW", ""))


@lru_cache(maxsize=8)
def _networks(text: str) -> tuple[Network, ...]:
    try:
        return networks_of(text)
    except ValueError:
        return ()


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks out of a list that is parted by commas.

    Raises:
        ValueError: one of them is no network in CIDR notation.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def process_environment() -> Environment:
    """The environment of this process, to be read one variable at a time."""
    return Environment(os.environ)


def trace_of_environ() -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` as OpenTelemetry hands them from one process to the next, unchecked."""
    return os.environ.get("TRACEPARENT"), os.environ.get("TRACESTATE")


def check_arguments(arguments: Mapping[str, str]) -> None:
    """Check arguments before anything is read that they may have to go with.

    Raises:
        SettingsError: naming every argument that cannot be right.
    """
    environ = Environment({})
    _check_each(environ, arguments)
    environ.problems += _clashes(arguments, arguments)
    environ.raise_problems()


def _check_each(environ: Environment, arguments: Mapping[str, str]) -> None:
    for name, value in arguments.items():
        environ.checked(name, value, redis_url_problem if name == "redis_url" else key_name_problem)


def _redis_url(environ: Environment) -> str:
    url = environ.secret("AIGC_REDIS_URL") or DEFAULT_REDIS_URL  # a secret, for its password
    return environ.checked("AIGC_REDIS_URL", url, redis_url_problem)
