"""How the vendor wants a query signed: the forms, tried one after another until one is taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

import click

from tasks.checks import TASK_ID_RULE, is_task_id
from worker.cli.store import plain
from worker.config.settings import Settings
from worker.domain.query import (
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.domain.query_signing import FORMS, QueryForm

SETTING: Final = "AIGC_QUERY_SIGNATURE"
PAUSE_S: Final = 1.0
"""Between two queries, at least."""

_ASKED_MOST: Final = 3
"""How often a form is tried, where what comes says nothing of it."""
_THROTTLED_PAUSE_S: Final = 10.0
_THROTTLED_PAUSE_MAX_S: Final = 60.0

Ask = Callable[[QueryForm], QueryOutcome]


def task_id_of(text: str) -> str:
    """The same text. Raises click.UsageError for what cannot be a task id: nobody need be asked about it."""
    if not is_task_id(text):
        raise click.UsageError(f"not a task id: {plain(text[:80])!r}; it must be {TASK_ID_RULE}")
    return text


def find(settings: Settings, task_id: str, pause_s: float) -> None:
    """Try the forms, say what each is answered, and print the setting for the one that is taken.

    Raises:
        click.ClickException: none is taken; what may help is said.
    """
    was_unknown, outcome = False, None
    for form, outcome in tried(asker(settings, task_id), settings.query_form, pause_s):
        is_unsure = isinstance(outcome, TaskUnknown)
        was_unknown = was_unknown or is_unsure
        mark = "taken" if is_taken(outcome) else "unsure" if is_unsure else "no"
        click.echo(plain(f"{mark:<7}{form!s:<22}{in_words(outcome)}"))
        if is_taken(outcome):
            click.echo(f"\nThe vendor takes queries that are signed so:\n{SETTING}={form}")
            return
    if isinstance(outcome, Unanswered):
        words = f"no answer from {settings.endpoint}: aigc doctor, without --task, may say why"
    elif was_unknown:
        words = (
            "the vendor does not know this task; where it says unsure, the signature may have been right:"
            " give an id that it gave you within the last hours"
        )
    else:
        words = (
            "the vendor takes none of these: check AIGC_ACCESS_KEY, AIGC_SECRET_KEY and this machine's"
            " clock, else ask it how a query has to be signed"
        )
    raise click.ClickException(words)


def asker(settings: Settings, task_id: str) -> Ask:
    """Asks about the task as the settings have it, but for the form."""
    from worker.from_settings import query_client_of

    def ask(form: QueryForm) -> QueryOutcome:
        with closing(query_client_of(replace(settings, query_form=form))) as client:
            return client.ask(task_id)

    return ask


def tried(
    ask: Ask, first: QueryForm, pause_s: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[QueryForm, QueryOutcome]]:
    """Each form and what it was answered, until one is taken; it ends early where nothing answers at all.

    Args:
        ask: sends one query in that form.
        first: the form to begin with.
        pause_s: seconds between two queries.
        sleep: waits for so many seconds.
    """
    for number, form in enumerate((first, *(each for each in FORMS if each != first))):
        if number:
            sleep(pause_s)
        outcome = _asked(ask, form, pause_s, sleep)
        yield form, outcome
        if is_taken(outcome) or (number == 0 and isinstance(outcome, Unanswered)):
            return


def _asked(ask: Ask, form: QueryForm, pause_s: float, sleep: Callable[[float], None]) -> QueryOutcome:
    """The answer to this form; again after a pause where the vendor or the network had a bad moment."""
    outcome = ask(form)
    for _ in range(_ASKED_MOST - 1):
        if isinstance(outcome, Throttled):
            wanted_s = outcome.retry_after_s
            wait_s = _THROTTLED_PAUSE_S if wanted_s is None else min(wanted_s, _THROTTLED_PAUSE_MAX_S)
            sleep(max(pause_s, wait_s))
        elif isinstance(outcome, Unanswered):
            sleep(pause_s)
        else:
            break
        outcome = ask(form)
    return outcome


def is_taken(outcome: QueryOutcome) -> bool:
    """Whether the vendor took the signature, and told of the task."""
    return isinstance(outcome, Pending | Succeeded | Failed)


def in_words(outcome: QueryOutcome) -> str:
    """What was answered, in a line."""
    match outcome:
        case Pending(status) | Failed(status):
            return status
        case Succeeded():
            return "SUCCESS"
        case Refused(code, message) | TaskUnknown(code, message):
            return f"{code}: {message}" if message else code
        case Throttled(None):
            return "too many queries (HTTP 429 or 503)"
        case Throttled(retry_after_s):
            return f"too many queries (HTTP 429 or 503), to be asked again in {retry_after_s:g} s"
        case Unanswered(reason):
            return reason
