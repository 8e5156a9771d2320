"""docs/reference/cli.md: what every command says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from worker.cli import cli

WIDTH: Final = 80  # as wide as a code block of the site is
HEAD: Final = """# Command line

<!-- Written by ./dev docs from the commands' own help; do not edit. -->

Every command exits with 0 on success, 1 on a failure that it reports, 2 on bad usage. Settings are
environment variables ([settings](../settings.md)). What operators do: [operations](../operations.md).
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(path, command) for path, command in _commands("aigc", cli))


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it that are not hidden, each with the words that call it."""
    if command.hidden:
        return
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(f"{path} {name}", below)


def _section(path: str, command: click.Command) -> str:
    settings = cli.context_settings
    context = click.Context(
        command, info_name=path, terminal_width=WIDTH, help_option_names=settings["help_option_names"]
    )
    level = "##" if path.count(" ") < 2 else "###"
    return f"\n{level} {path}\n\n```text\n{command.get_help(context)}\n```\n"
