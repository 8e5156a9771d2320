"""`aigc forward replay`: messages that were published, or given up, are sent again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from tasks.exceptions import SettingsError
from worker.cli.forwards import of_endpoint, opened_endpoint, stream_names
from worker.cli.store import MomentOrAge, plain
from worker.store.forward_values import order_of

_NEWEST: Final = f"{2**63 - 1}-{2**63 - 1}"


class Position(click.ParamType[str]):
    """The id of a stream's entry, or a time as `MomentOrAge` has it; gives an id, of a time without its
    sequence."""

    name = "time|id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", value):
            return str(value)
        return str(max(0, round(1000 * MomentOrAge().convert(value, param, ctx))))


@click.command()
@of_endpoint
@click.option("--since", type=Position(), help="From then on: 2h, 2026-11-22T08:00Z, or an entry's id.")
@click.option("--until", type=Position(), help="Up to then.")
@click.option("--failed", "only_failed", is_flag=True, help="Of those that were given up.")
def replay(url: str | None, name: str, since: str | None, until: str | None, only_failed: bool) -> None:
    """Have messages sent again, under the ids that they had.

    The running `aigc forward` does it beside what is new; where none runs it is done here, where the secret
    is set. A time or id is that of the publication.

    \b
    Examples:
      aigc forward replay --since 2026-11-22T08:00Z --until 2026-11-22T09:00Z
      aigc forward replay --failed
    """
    if since is None and not only_failed:
        raise click.UsageError("give --since TIME or ID, or --failed")
    if since and until and order_of(_end(until) or _NEWEST) < order_of(since):
        raise click.UsageError("--until must not be before --since: an age such as 2h is that long ago")
    with opened_endpoint(url, name) as (state, client, about):
        asked = [_of_failed(since, until)] if only_failed else _of_streams(client, about, since or "0", until)
        for each in asked:
            state.ask_replay(each)
    words = "messages that were given up" if only_failed else " and ".join(about["streams"])
    click.echo(f"{words} are sent to {plain(about['url'])} again")
    if not about["active"]:
        _send_now(url, about)


def _send_now(url: str | None, about: dict[str, Any]) -> None:
    """Nobody forwards: do it here, where the URL and the secret are known."""
    from worker.cli.forward import run
    from worker.config.settings import forward_secrets_from_environ

    url = url or (about["url"] if about["url_is_whole"] else None)
    try:
        forward_secrets_from_environ()
    except SettingsError:
        url = None
    if url is None:
        click.echo("nobody forwards to it: that is done once aigc forward runs", err=True)
        return
    run(url, outputs="outputs" in about["streams"], name=about["name"], once=True)


def _of_failed(since: str | None, until: str | None) -> dict[str, str]:
    # Those that are given up meanwhile are not meant.
    now = str(round(1000 * time.time()))
    return {"stream": "failed", "last": now, "since": since or "0", "until": _end(until) or _NEWEST}


def _end(until: str | None) -> str | None:
    return until if until is None or "-" in until else f"{until}-{2**63 - 1}"


def _of_streams(
    client: Any, about: dict[str, Any], since: str, until: str | None
) -> Iterator[dict[str, str]]:
    from worker.store.forward_state import group_of

    names = stream_names()
    for stream in about["streams"]:
        groups = client.xinfo_groups(names[stream]) if client.exists(names[stream]) else []
        for group in groups:
            if group["name"] == group_of(about["name"]).encode():
                # What was not sent yet is sent anyway.
                last = min(group["last-delivered-id"].decode(), _end(until) or _NEWEST, key=order_of)
                yield {"stream": stream, "first": since, "last": last}
