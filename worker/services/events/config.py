"""EVENTS.toml: which sources there are, their secrets, and the mapping of each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from tasks.contract import Priority
from worker import mapping
from worker.services.events.secret_files import SecretError, SecretFiles, is_readable_by_all
from worker.services.events.sources import SOURCES, SourceKind
from worker.services.events.tables import ConfigError, SourceTable
from worker.services.events.values import ANY_SHOP, Event, Product, Read

REMEMBER_S: Final = 172_800.0
_REMEMBER_MOST_S: Final = 31 * 86_400.0
_DEBOUNCE_MOST_S: Final = 3600.0
_MAPPING_TABLES: Final = ("mapping", "job")
_OBJECT_STORES: Final = ("s3", "oss")
_FIELD_OF_SHOP: Final = {"shopify": "shops", "woocommerce": "shops"}


@dataclass(frozen=True, slots=True)
class Source:
    """One sender: its deliveries come to ``/<path>``."""

    name: str
    path: str
    read: Read
    secrets: SecretFiles
    maps: mapping.Mapping
    debounce_s: float
    takes_token: bool
    names_shops: bool

    def shop_of_keys(self, event: Event) -> str | None:
        """The shop in purchase keys of what an event asks for; None where it is in none."""
        return self.maps.shop_of_keys(event.shop)

    def map_product(self, product: Product, event: Event) -> mapping.MappedJobs:
        """What the mapping makes of it."""
        return self.maps.jobs(product.data, shop=event.shop, event=event.topic)


@dataclass(frozen=True, slots=True)
class Config:
    """All that the file says. ``warnings`` are of what works and should not be so."""

    sources: tuple[Source, ...]
    remember_s: float
    priority: Priority
    warnings: tuple[str, ...]

    def secrets(self) -> tuple[str, ...]:
        """Every secret, for the log to keep out."""
        current = (source.secrets.current() for source in self.sources)
        return tuple(secret for shops in current for secrets in shops.values() for secret in secrets)


def load(path: Path) -> Config:
    """Read the file, and the secrets and mappings that it names, relative to its folder.

    Raises:
        ConfigError: naming each table and field that cannot be right, and each file that holds no secret.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    return _Reader(document, path).config()


class _Reader:
    """Reads one document; collects what is wrong with it, to tell it all at once."""

    def __init__(self, document: MappingOf[str, Any], path: Path) -> None:
        self._document, self._path = document, path
        self._problems: list[str] = []
        self._own_mapping: mapping.Mapping | None = None

    def config(self) -> Config:
        self._check_tables()
        events = SourceTable("events", self._document.get("events", {}), self._problems)
        remember_s = events.seconds("remember_s", REMEMBER_S, most=_REMEMBER_MOST_S)
        priority = events.one_of("priority", "normal", ("high", "normal", "low"))
        events.finish()
        found = [self._source(name, kind) for name, kind in SOURCES.items() if name in self._document]
        if self._problems:
            raise ConfigError("\n".join(f"{self._path}: {problem}" for problem in self._problems))
        sources = tuple(source for source in found if source is not None)
        return Config(sources, remember_s, cast("Priority", priority), _warnings(sources))

    def _check_tables(self) -> None:
        known = ("events", *SOURCES, *_MAPPING_TABLES)
        for name in self._document:
            if name not in known:
                self._problems.append(f"[{name[:60]}] is not known: there are {', '.join(known)}")
        if not SOURCES.keys() & self._document.keys():
            self._problems.append(f"there is no source: give at least one of {', '.join(SOURCES)}")

    def _source(self, name: str, kind: SourceKind) -> Source | None:
        table = SourceTable(name, self._document[name], self._problems)
        files, shops = self._shops(table) if kind.has_shops else ({ANY_SHOP: self._files(table)}, ())
        names_shops = bool(shops) or "shop" in table
        read = kind.make(table, shops)
        debounce_s = table.seconds("debounce_s", 0.0, most=_DEBOUNCE_MOST_S)
        chosen = self._mapping(table)
        table.finish()
        secrets = self._secrets(table, files, kind)
        if secrets is None or chosen is None:
            return None
        path, takes_token = name.replace("_", "-"), kind.takes_token
        return Source(name, path, read, secrets, chosen, debounce_s, takes_token, names_shops)

    def _shops(self, table: SourceTable) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
        """Secret files by shop, and the shops: each has its own where they are a table."""
        if not table.has_table("shops"):
            return {ANY_SHOP: self._files(table)}, _host_names(table, table.some("shops"))
        if "secret_files" in table:
            table.fault("secret_files", "must be left out where each of `shops` has its own")
        shops = table.below("shops")
        names = _host_names(table, shops.names())
        files = {shop.lower(): self._files(shops, shop) for shop in names}
        return files, tuple(files)

    def _files(self, table: SourceTable, field: str = "secret_files") -> list[Path]:
        names = table.some(field)
        if not names:
            table.fault(field, "must be a list of files, each with a secret in it")
        return [self._path.parent / name for name in names]

    def _secrets(
        self, table: SourceTable, files: dict[str, list[Path]], kind: SourceKind
    ) -> SecretFiles | None:
        try:
            return SecretFiles(files, kind.secret_problem)
        except SecretError as error:
            table.fault("secret_files", str(error))
            return None

    def _mapping(self, table: SourceTable) -> mapping.Mapping | None:
        name = table.text("mapping", "")
        try:
            if name:
                is_ready = name in mapping.ready_names()
                return mapping.load(name if is_ready else self._path.parent / name)
            if self._own_mapping is None:
                rest = {key: value for key, value in self._document.items() if key in _MAPPING_TABLES}
                self._own_mapping = mapping.from_document(rest, str(self._path))
        except mapping.MappingError as error:
            self._problems += [f"{table.name}: mapping: {line}" for line in str(error).splitlines()]
        return self._own_mapping


def _host_names(table: SourceTable, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        # It is compared with a host's name, and would never fit: each delivery would be refused.
        if any(character in name for character in "/: ") or "." not in name:
            like = "test-shop.myshopify.com" if table.key == "shopify" else "shop.example"
            table.fault("shops", f"{name[:60]!r} must be a host's name, such as {like}, without https://")
    return names


def _warnings(sources: tuple[Source, ...]) -> tuple[str, ...]:
    open_files = [
        f"every user of this machine can read the secret in {path}: chmod o-r {path}"
        for source in sources
        for path in source.secrets.paths
        if is_readable_by_all(path)
    ]
    # Of an object store the bucket stands in each product's name.
    nameless = [
        f"[{source.name}]: names no shop, in `{_FIELD_OF_SHOP.get(source.name, 'shop')}` or [mapping] shop:"
        " what a catalogue buys for a shop would be bought again, and jobs without a picture are one purchase"
        " for all shops that have the same product"
        for source in sources
        if source.name not in _OBJECT_STORES and not source.names_shops and source.maps.shop_of_keys("") == ""
    ]
    return tuple(dict.fromkeys(open_files + nameless))
