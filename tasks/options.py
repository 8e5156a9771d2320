"""Which arguments of `submit` there are, and what was probably meant by one that is none. Pure.

Celery itself would send what it does not know as a property of the message, and say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from .checks import clip
from .exceptions import InvalidPayload

_USUAL: Final = (
    *("countdown", "eta", "expires", "headers", "link", "link_error"),
    *("priority", "queue", "task_id"),
)
CELERY_OPTIONS: Final = frozenset(
    {
        *_USUAL,
        *("compression", "connection", "ignore_result", "producer", "publisher", "reply_to", "result_cls"),
        *("retries", "retry", "retry_policy", "router", "serializer"),
        *("shadow", "soft_time_limit", "stamped_headers", "task_type", "time_limit", "add_to_parent"),
        *("chain", "chord", "group_id", "group_index", "parent_id", "replaced_task_nesting", "root_id"),
        *("confirm_timeout", "content_encoding", "content_type", "correlation_id", "declare"),
        *("delivery_mode", "exchange", "exchange_type", "expiration", "immediate", "mandatory"),
        *("message_id", "origin", "route_name", "routing_key", "timeout", "timestamp", "user_id"),
    }
)
"""Those of `apply_async`, with what it hands on to kombu, in Celery 5.4 to 5.7."""

DEDUPE_MAX_S: Final = 10 * 366 * 86400

_MEANT: Final = {
    **dict.fromkeys(("delay", "delay_s", "wait"), "countdown"),
    **dict.fromkeys(("at", "run_at", "when"), "eta"),
    **dict.fromkeys(("ttl", "expire", "deadline"), "expires"),
    **dict.fromkeys(("dedupe", "idempotency_key", "unique"), "dedupe_key"),
    **dict.fromkeys(("meta", "extra"), "metadata"),
    **dict.fromkeys(("callback", "on_success"), "link"),
    **dict.fromkeys(("id", "uuid", "job_id", "jobid"), "task_id"),
}
"""Words of other queues, which look like none of the names here."""


def check_options(function: str, options: Mapping[str, Any], own: Iterable[str]) -> None:
    """Refuse an option that neither we nor Celery know.

    Args:
        function: whose options they are, for the error.
        options: what was given beside the function's own arguments.
        own: the names of those, for the suggestion.

    Raises:
        TypeError: naming the option, and the one that is nearest to it.
    """
    stamps = options.get("stamped_headers") or ()
    known = (*own, *_USUAL)
    for name in options:
        if name in CELERY_OPTIONS or name in stamps:
            continue
        meant = _MEANT.get(name.lower())
        if meant == "task_id" and "job_id" in own:
            meant = "job_id"
        near = [meant] if meant in known else get_close_matches(name.lower(), known, 1)
        hint = f": did you mean {near[0]}?" if near else f"; it takes {', '.join(own)}, and Celery's options"
        raise TypeError(f"{function}() has no argument {name!r}{hint}")


def check_eta(options: Mapping[str, Any]) -> None:
    """Raises TypeError where a job is to start at two times: Celery takes one of them, and says nothing."""
    if options.get("countdown") is not None and options.get("eta") is not None:
        raise TypeError("countdown and eta are two names of one thing: give one of them")


def one_id(job_id: str | None, task_id: str | None) -> str | None:
    """A job's id by our name for it or by Celery's; raises TypeError where they differ."""
    if job_id is not None and task_id is not None and job_id != task_id:
        raise TypeError("job_id and task_id are two names of one thing: give one of them")
    return task_id if job_id is None else job_id


def check_dedupe(key: object, ttl_s: object) -> None:
    """Raises InvalidPayload for a key that many jobs would have by mistake, or a time that is none.

    A time without a key (None) is not wrong: whether a job has one may depend on it.
    """
    if key is not None and (not isinstance(key, str) or not key):
        raise InvalidPayload([("dedupe_key", f"must be a string of at least 1 character, got {clip(key)}")])
    if not isinstance(ttl_s, int | float) or isinstance(ttl_s, bool) or not 0 < ttl_s <= DEDUPE_MAX_S:
        rule = f"must be a number of seconds, above 0 and at most {DEDUPE_MAX_S}"
        raise InvalidPayload([("dedupe_ttl_s", f"{rule}, got {clip(ttl_s)}")])
