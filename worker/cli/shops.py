"""Under which names of shops purchases were asked for: one that is missing would buy them all again.

Events and catalogues note theirs in Redis. It is asked before a catalogue is read; where it does not answer
nothing is said, for queueing fails by the same fault then.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.store import plain

if TYPE_CHECKING:
    from worker.mapping import Mapping

_NO_SHOP: Final = (
    "no shop is named, neither by --shop nor by [mapping] shop: what aigc events, or a run that named one,"
    " bought for a shop would be bought again"
)


def check(mapping: Mapping, shop: str | None) -> None:
    """Say where the purchase keys of a catalogue are not those of what was bought before.

    Args:
        shop: as `--shop` says; "" is an answer, too.

    Raises:
        click.ClickException: it names none, and all that was asked for so far was for shops.
    """
    name = mapping.shop_of_keys(shop or "")
    if name is None:
        return
    known = _known()
    named = ", ".join(sorted(known - {""})[:3])
    if name:
        if known and name not in known:
            others = f"for {named}" if named else "for no shop"
            _tell(f"nothing was asked for for the shop {name} so far, but {others}: is it the same shop?")
    elif known and "" not in known and shop is None:
        words = f"purchases were asked for for {named}, and no shop is named now: they would be bought again"
        raise click.ClickException(plain(f"{words}. Give --shop NAME, or --shop '' for none"))
    elif shop is None:
        _tell(_NO_SHOP)


def note(mapping: Mapping, shop: str | None) -> None:
    """Note that purchases are asked for under this name; before they are."""
    name = mapping.shop_of_keys(shop or "")
    if name is not None:
        _ask(lambda client, key: client.sadd(key, name))


def _known() -> set[str]:
    return {each.decode() for each in _ask(lambda client, key: client.smembers(key)) or ()}


def _ask(question: Any) -> Any:
    from tasks import broker
    from tasks.clients import promptly, reported
    from tasks.exceptions import BrokerUnavailable, SettingsError
    from worker.store.keys import KeyNames

    with suppress(BrokerUnavailable, SettingsError):
        settings = broker.settings()
        key = KeyNames(settings.queue, settings.results).shops
        with reported(key):
            return promptly(lambda: question(broker.redis_client(), key))
    return None


def _tell(words: str) -> None:
    click.echo(plain(f"aigc: {words}"), err=True)
