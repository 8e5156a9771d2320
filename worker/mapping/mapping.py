"""A mapping: what becomes of a product. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tasks import InvalidPayload, Submission
from tasks.checks import check_metadata
from tasks.payload import image_urls, parse
from worker.mapping.fields import Fields, texts
from worker.mapping.items import FIRST_IMAGE, Each, Item
from worker.mapping.paths import Path, is_true
from worker.mapping.purchase import Purchase, as_text, digest, shop_in_key
from worker.mapping.urls import clean_url, without_signature
from worker.mapping.values import NO_IMAGE, NOT_WANTED, MappedJob, MappedJobs, Problem

Scope = dict[str, Any]
T = TypeVar("T")
_INPUT, _METADATA = "[job.input]", "[job.metadata]"


@dataclass(frozen=True, slots=True)
class JobRule:
    """One [[job]] table."""

    name: str
    each: Each
    when: Path | None
    workflow: Fields
    unlisted: bool
    image_required: bool
    input: Fields
    template: str
    metadata: Fields
    purchase: Purchase

    def items(self, scope: Scope) -> tuple[list[Item], str | None]:
        """The items that are to make a job; where there are none, why.

        Raises ValueError, beginning with the field that is at fault.
        """
        found = _field("[[job]] each", lambda: self.each(scope))
        if not found:
            return [], NO_IMAGE if self._wants(scope) else NOT_WANTED
        wanted = [item for item in found if self._wants(_with(scope, item))]
        return wanted[:1] if self.each.each == FIRST_IMAGE else wanted, None if wanted else NOT_WANTED

    def _wants(self, scope: Scope) -> bool:
        when = self.when
        return when is None or _field("[[job]] when", lambda: is_true(when(scope)))


@dataclass(frozen=True, slots=True)
class Mapping:
    """What becomes of a product; `load` makes one. Thread-safe."""

    shop: str
    product: Path
    rules: tuple[JobRule, ...]

    def shop_of_keys(self, shop: str) -> str | None:
        """The shop in its purchase keys where its caller names this one; None where no key has a shop."""
        has_shop = any("shop" in rule.purchase.parts for rule in self.rules)
        return shop_in_key(shop or self.shop) if has_shop else None

    def jobs(self, product: dict[str, Any], *, shop: str = "", event: str = "") -> MappedJobs:
        """The jobs of one product; the same product gives the same ones, with the same purchase keys.

        Args:
            product: as the shop has it, in JSON's types.
            shop: part of the purchase key; the mapping's own where it is empty.
            event: what happened to it, such as "products/create", for templates and conditions.
        """
        scope: Scope = {"product": product, "item": None, "image": None, "number": 0}
        scope |= {"shop": shop or self.shop, "event": event}
        made = MappedJobs()
        for rule in self.rules:
            try:
                items, reason = rule.items(scope)
            except ValueError as error:
                made.problems.append(Problem(rule.name, "", *_split(error)))
                continue
            if reason == NO_IMAGE and rule.image_required:
                made.problems.append(Problem(rule.name, "", "[[job]] each", "there is no picture"))
            elif reason:
                made.skipped.append(reason)
            for item in items:
                self._make(rule, item, _with(scope, item), made)
        return made

    def _make(self, rule: JobRule, item: Item, scope: Scope, made: MappedJobs) -> None:
        faults = list[tuple[str, str]]()
        payload = _payload(rule, scope, faults)
        metadata = _values(rule.metadata, scope, _METADATA, faults)
        # Before the key is made of it: what is nested without end is refused here.
        faults = faults or list(_invalid(payload, metadata, rule.unlisted))
        key = "" if faults else self._key(rule, item, scope, payload, faults)
        if faults:
            made.problems.extend(Problem(rule.name, item.label, *fault) for fault in faults)
            return
        submission = Submission(
            payload,
            metadata=metadata or None,
            unlisted=rule.unlisted,
            dedupe_key=key,
            dedupe_ttl_s=rule.purchase.window_s,
            dedupe_renew=rule.purchase.renews,
        )
        made.jobs.append(MappedJob(submission, item.label, rule.name))

    def _key(
        self, rule: JobRule, item: Item, scope: Scope, payload: dict[str, Any], faults: list[tuple[str, str]]
    ) -> str:
        identity = None
        try:
            identity = as_text(self.product(scope))
        except ValueError as error:
            faults.append(("[mapping] product", str(error)))
        else:
            if identity is None and "product" in rule.purchase.parts:
                words = "gives neither text nor a whole number: it names the product in the purchase key"
                faults.append(("[mapping] product", words))
        known = {
            "shop": shop_in_key(scope["shop"]),
            "product": identity,
            "image": without_signature(_image_of(item, payload)),
            "workflow": payload["workflow"],
            "version": payload["version"],
            "input": digest(_unsigned(payload)),
            "template": rule.template,
        }
        return rule.purchase.key(known)


def _payload(rule: JobRule, scope: Scope, faults: list[tuple[str, str]]) -> dict[str, Any]:
    named = _values(rule.workflow, scope, "[[job]]", faults)
    algo_input = _values(rule.input, scope, _INPUT, faults)
    payload = {**named, "algoInput": algo_input}
    if not faults and isinstance(payload["workflow"], str):
        for path, url in image_urls(payload):
            if (name := path.removeprefix("algoInput.")) in algo_input:
                algo_input[name] = clean_url(url)
    return payload


def _values(fields: Fields, scope: Scope, table: str, faults: list[tuple[str, str]]) -> dict[str, Any]:
    values, found = fields(scope)
    faults.extend((f"{table} {name}", reason) for name, reason in found)
    return values


def _image_of(item: Item, payload: dict[str, Any]) -> str:
    """The item's picture, where the job is about it: not all that a product has pictures of needs one."""
    if item.image is None:
        return ""
    used = item.is_picture or any(item.image in text for text in texts(payload["algoInput"]))
    return item.image if used else ""


def _unsigned(payload: dict[str, Any]) -> dict[str, Any]:
    """The algoInput, its pictures by what names them: one that is signed anew is the same picture."""
    algo_input = dict(payload["algoInput"])
    for path, url in image_urls(payload):
        if (name := path.removeprefix("algoInput.")) in algo_input:
            algo_input[name] = without_signature(url)
    return algo_input


def _invalid(payload: dict[str, Any], metadata: dict[str, Any], unlisted: bool) -> Iterator[tuple[str, str]]:
    try:
        parse(payload, unlisted=unlisted)
        check_metadata(metadata)
    except InvalidPayload as error:
        for path, reason in error.errors:
            yield _table_of(path), reason


def _table_of(path: str) -> str:
    name = path.removeprefix("algoInput.")
    if name != path:
        return f"{_INPUT} {name}"
    return f"[[job]] {path}" if path in ("workflow", "version") else path


def _with(scope: Scope, item: Item) -> Scope:
    return {**scope, "item": item.value, "image": item.image, "number": item.number}


def _field(name: str, find: Callable[[], T]) -> T:
    try:
        return find()
    except ValueError as error:
        raise ValueError(name, str(error)) from None


def _split(error: ValueError) -> tuple[str, str]:
    name, reason = error.args
    return name, reason
