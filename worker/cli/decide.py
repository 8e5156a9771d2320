"""`aigc failed retry|accept|discard`: what becomes of jobs that did not end well. Each is recorded."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from worker.cli.common import counted, settings_in_words
from worker.cli.failed import filters, found, wanted
from worker.cli.malformed import discard_malformed, retry_malformed
from worker.cli.store import confirm, opened, operator, plain

if TYPE_CHECKING:
    from tasks import Result
    from worker.store.dead_letters import DeadLetterFilter, DeadLetters
    from worker.store.decisions import Ended, Verb
    from worker.store.keys import KeyNames
    from worker.store.scripts import Scripts


def _choice(command: Callable[..., None]) -> Callable[..., None]:
    """Jobs by name, by filter or all; and the question before."""
    command = click.argument("jobs", nargs=-1, metavar="[JOB]...")(command)
    command = click.option("--all", "everything", is_flag=True, help="All that the filters leave.")(command)
    command = click.option(
        "--malformed", is_flag=True, help="Messages that no worker could read, by NAME or --all."
    )(command)
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return filters(command)


@click.command()
@_choice
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="So many a second; else at once.")
@click.option("--message", type=click.File("rb"), metavar="FILE|-", help="With --malformed: the mended one.")
def retry(rate: float | None, message: BinaryIO | None, **chosen: Any) -> None:
    """Queue jobs again, by name, by filter, or --all.

    They get all their attempts anew. An unknown job may have been accepted before: to retry it may pay for
    it twice, and its result will say possibleDuplicate. One whose purchase key another job holds since is
    left as it is.

    With --malformed it is messages that are queued again: as they came, where workers have learned to read
    them since; or one with --message, as you mended it. One that still cannot be read stays where it is.

    \b
    Examples:
      aigc failed retry 5f0c… 77aa…
      aigc failed retry --status exhausted --since 4h --rate 5
      aigc failed show --malformed 3f2a… > m.json; $EDITOR m.json
      aigc failed retry --malformed 3f2a… --message m.json
    """
    if message is not None and not chosen["malformed"]:
        raise click.UsageError("--message goes with --malformed")
    if chosen["malformed"]:
        retry_malformed(_malformed(chosen), chosen["yes"], message)
        return
    _each("retry", chosen, rate)


@click.command()
@_choice
def discard(**chosen: Any) -> None:
    """Take jobs away for good, by name, by filter, or --all.

    An unknown job gets a last result, rejected with AIGC_DISCARDED; the others have had theirs.
    """
    if chosen["malformed"]:
        discard_malformed(_malformed(chosen), chosen["yes"])
        return
    _each("discard", chosen)


@click.command()
@click.argument("task_id", metavar="TASK_ID")
@click.option("--job", metavar="JOB", help="Which job; may be left out while only one is unknown.")
def accept(task_id: str, job: str | None) -> None:
    """Settle an unknown job with the task id that the vendor gave it.

    Its result becomes submitted with TASK_ID. `aigc failed show JOB` has the request ids by which the vendor
    can say whether, and as what, it was accepted.

    \b
    Example:
      aigc failed accept 8d0d3c --job 5f0c…
    """
    from tasks.checks import is_task_id
    from tasks.contract import TASK_ID_MAX_CHARS

    if not is_task_id(task_id):
        raise click.UsageError(f"TASK_ID must be 1 to {TASK_ID_MAX_CHARS} printable characters")
    with opened() as (scripts, keys):
        from worker.store.dead_letters import DeadLetterFilter
        from worker.store.decisions import OperatorDecision, decide

        dead_letters = _dead_letters(scripts, keys)
        unknown = (
            list(found(dead_letters, DeadLetterFilter(("unknown",)), (job,)))
            if job
            else _the_only(dead_letters)
        )
        decision = OperatorDecision("accept", operator(), task_id)
        if not unknown or decide(dead_letters, unknown[0], decision) != "done":
            raise click.ClickException(
                plain(f"job {job} is not held as unknown: see aigc failed show {shlex.quote(job)}")
                if job
                else "no job is held as unknown: see aigc failed list"
            )
        click.echo(f"job {unknown[0].job_id} is submitted as task {task_id}")


def _dead_letters(scripts: Scripts, keys: KeyNames) -> DeadLetters:
    """With the operator's own settings, where there are any."""
    from worker.config.settings import deciding_from_environ
    from worker.store.dead_letters import DeadLetters

    with settings_in_words():
        settings = deciding_from_environ()
    return DeadLetters(scripts, keys, settings.keep_s, settings.prices)


def _the_only(dead_letters: DeadLetters) -> list[Result]:
    from worker.store.dead_letters import DeadLetterFilter

    count = dead_letters.count()["unknown"]
    if count > 1:
        raise click.UsageError(f"{count:,} jobs are unknown: say which with --job")
    return list(dead_letters.find(DeadLetterFilter(("unknown",))))


def _each(verb: Verb, chosen: dict[str, Any], rate: float | None = None) -> None:
    """Count, ask, then do it to each; what ended after the count stays out."""
    jobs, want = _chosen(chosen)
    with opened() as (scripts, keys):
        from worker.store.decisions import RISK, OperatorDecision, decide

        dead_letters = _dead_letters(scripts, keys)
        decision = OperatorDecision(verb, operator())
        want = dataclasses.replace(want, until_s=min(want.until_s, int(scripts.client.time()[0])))
        counts, unkept = _counted(dead_letters, found(dead_letters, want, jobs), verb)
        total = counts.total()
        missing = len(jobs) - total if jobs else 0
        if total:
            _ask(verb, RISK[verb], counts, unkept, chosen["yes"])
        confirmed = islice(found(dead_letters, want, jobs), total)
        done = _paced((decide(dead_letters, result, decision) for result in confirmed), rate)
    click.echo(f"{verb}: {done['done']:,} of {counted(total, 'job')}")
    if left := done["not_kept"]:
        click.echo(f"aigc: of {counted(left, 'job')} the message was not kept: queue them anew", err=True)
    if left := done["bought_since"]:
        words = "another was queued since, under the same purchase key: they would be bought twice"
        click.echo(f"aigc: left {counted(left, 'job')}: {words}", err=True)
    if missing:
        raise click.ClickException(f"{missing} of the jobs did not fail, or do not pass the filters")
    if done["not_kept"] + done["bought_since"]:
        raise click.exceptions.Exit(1)


_COUNTED_AT_ONCE: Final = 500

_FILTERS: Final = ("states", "workflow", "code", "since", "older_than")


def _malformed(chosen: dict[str, Any]) -> tuple[str, ...]:
    """The names that were given; none for all."""
    if any(chosen[name] not in (None, ()) for name in _FILTERS):
        raise click.UsageError("--malformed goes with names or --all, and not with the filters of jobs")
    if bool(chosen["jobs"]) == chosen["everything"]:
        raise click.UsageError(
            "say which messages: by name, as aigc failed list --malformed has it, or --all"
        )
    return tuple(dict.fromkeys(chosen["jobs"]))


def _chosen(chosen: dict[str, Any]) -> tuple[tuple[str, ...], DeadLetterFilter]:
    by_filter = any(chosen[name] not in (None, ()) for name in _FILTERS)
    if not (chosen["jobs"] or by_filter or chosen["everything"]):
        raise click.UsageError("say which jobs: by name, by filter, or --all")
    return tuple(dict.fromkeys(chosen["jobs"])), wanted(*(chosen[name] for name in _FILTERS))


def _counted(dead_letters: DeadLetters, results: Iterator[Result], verb: Verb) -> tuple[Counter[str], int]:
    """How many there are of each status; and to retry, of how many the message was not kept."""
    counts, unkept = Counter[str](), 0
    while some := list(islice(results, _COUNTED_AT_ONCE)):
        counts.update(result.status for result in some)
        if verb == "retry":
            unkept += len(dead_letters.unkept([result.job_id for result in some]))
    return counts, unkept


def _ask(what: str, risk: str, counts: Counter[str], unkept: int, yes: bool) -> None:
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    click.echo(f"{what} {counted(counts.total(), 'job')}: {listed}", err=True)
    if counts["unknown"]:
        click.echo(f"the {counts['unknown']} unknown {risk}", err=True)
    if unkept:
        click.echo(f"the message of {unkept} was not kept: left as they are; queue them anew", err=True)
    confirm(yes)


def _paced(answers: Iterable[Ended], rate: float | None) -> Counter[Ended]:
    """Draw each answer, no faster than so many a second; how often each was given."""
    given: Counter[Ended] = Counter()
    began = time.monotonic()
    for index, answer in enumerate(answers):
        given[answer] += 1
        if rate:
            time.sleep(max(0.0, began + (index + 1) / rate - time.monotonic()))
    return given
