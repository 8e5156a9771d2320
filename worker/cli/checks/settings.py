"""Settings of which each can be right, and that are not together; or that cost something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, takewhile

from tasks.prices import PREFIX, Prices
from worker.cli.checks.finding import Finding, ok, warn
from worker.config.settings import Settings
from worker.store.workflows import misspelt


def of_settings(settings: Settings) -> Iterator[Finding]:
    """All that the settings alone say."""
    yield from _limits(settings)
    yield from _times(settings)
    yield from _risks(settings)
    if settings.preflight:
        yield ok("preflight", "AIGC_PREFLIGHT: pictures are looked at before their jobs are sent")
    if settings.fetch_allow:
        networks = ", ".join(map(str, settings.fetch_allow))
        yield warn(
            "fetch-allow",
            f"AIGC_FETCH_ALLOW: customers' URLs may lead to {networks}",
            "whoever can queue a job can have those hosts asked: keep it to hosts of pictures, or unset it",
        )


def of_prices(prices: Prices, seen: Iterable[str]) -> Iterator[Finding]:
    """Whether what is bought is added up.

    Args:
        seen: the workflows of which a job was ever attempted.
    """
    if not prices.by_workflow:
        yield warn(
            "prices",
            "no AIGC_PRICE__<WORKFLOW> is set: what is spent is not added up, and no alert watches it",
            f"set {PREFIX}TEXT2IMAGE=… and the others in the workers' environment",
        )
        return
    known = set(seen)
    for name in sorted(known - set(prices.by_workflow)):
        what = f"workflow {name} has no price: its jobs are missing in what was spent"
        yield warn("prices", what, f"set {PREFIX}{name}")
    for name, near in misspelt(prices.by_workflow, known).items():
        what = f"{PREFIX}{name} prices nothing: no job of a workflow of that name was ever seen"
        yield warn("prices", what, f"did you mean {PREFIX}{near}?" if near else "unset it, or wait for a job")
    if not prices.currency:
        yield warn("prices", "prices have no currency", "set AIGC_CURRENCY, for instance to USD")


def _limits(settings: Settings) -> Iterator[Finding]:
    rate, most, each = settings.rate_per_s, settings.max_inflight, settings.concurrency
    if rate is None and most is None:
        yield warn(
            "limits",
            "neither AIGC_RATE_PER_S nor AIGC_MAX_INFLIGHT is set: whoever can write to the queue has jobs"
            f" bought as fast as the vendor answers, {each} at a time and worker",
            "set AIGC_RATE_PER_S to what your plan allows",
        )
    for name, own in _above(rate, settings.workflow_rates):
        yield warn(
            "limits",
            f"AIGC_RATE_PER_S__{name}={own:g} is never reached: AIGC_RATE_PER_S={rate:g} is for all",
            "lower the one, or raise the other",
        )
    if most is not None and most < each:
        yield warn(
            "limits",
            f"AIGC_MAX_INFLIGHT={most}, of all workers, is below AIGC_CONCURRENCY={each} of this one",
            f"lower AIGC_CONCURRENCY to {most}, or raise AIGC_MAX_INFLIGHT",
        )


def _above(rate: float | None, of_workflows: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, own) for name, own in of_workflows.items() if rate is not None and own > rate)


def _times(settings: Settings) -> Iterator[Finding]:
    deadline_s = settings.job_deadline_s
    attempt_s = settings.connect_timeout_s + settings.read_timeout_s
    if deadline_s < attempt_s:
        yield warn(
            "times",
            f"AIGC_JOB_DEADLINE_S={deadline_s:g} is shorter than one attempt may take ({attempt_s:g} s)",
            "raise it: a job that is tried once and fails is never tried again",
        )
    elif (waits_s := longest_waits_s(settings)) > deadline_s:
        yield warn(
            "times",
            f"the waits between AIGC_MAX_ATTEMPTS={settings.max_attempts} attempts may take {waits_s:g} s,"
            f" and AIGC_JOB_DEADLINE_S={deadline_s:g} ends a job before",
            "raise the deadline, or lower AIGC_MAX_ATTEMPTS or AIGC_RETRY_CAP_S",
        )
    if settings.journal_ttl_s < deadline_s:
        yield warn(
            "times",
            f"AIGC_JOURNAL_TTL_S={settings.journal_ttl_s:g} is below AIGC_JOB_DEADLINE_S={deadline_s:g}: a"
            " second message of an ended job may come when its record is gone, and is bought again",
            "raise AIGC_JOURNAL_TTL_S to the deadline or more",
        )


def longest_waits_s(settings: Settings) -> float:
    """How long a job may wait between all its attempts, where each wait is the longest there can be."""
    waits, cap_s = settings.max_attempts - 1, settings.retry_cap_s
    steps: Iterator[float] = (settings.retry_base_s * 2.0**n for n in count())
    rising = [wait_s for wait_s, _ in zip(takewhile(lambda s: s < cap_s, steps), range(waits), strict=False)]
    return sum(rising) + (waits - len(rising)) * cap_s


def _risks(settings: Settings) -> Iterator[Finding]:
    if settings.on_unknown == "resubmit":
        what = "AIGC_ON_UNKNOWN=resubmit: an attempt that may have been accepted is repeated, and paid twice"
        yield warn("risks", what, "AIGC_ON_UNKNOWN=hold has an operator decide")
    if settings.breaker_after == 0:
        what = "AIGC_BRAKE_AFTER=0: an outage of the vendor uses up the attempts of each job"
        yield warn("risks", what, "leave it at 5")
    if settings.log_level == "DEBUG":
        what = "AIGC_LOG_LEVEL=DEBUG: libraries write more than redaction has rules for"
        yield warn("risks", what, "AIGC_LOG_LEVEL=INFO where logs are kept")
