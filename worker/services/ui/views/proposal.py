"""What is asked before anything is decided: how many, what it buys, what is at risk. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tasks.frozen import value
from tasks.prices import PREFIX, Prices
from worker.domain.costs import cost, money
from worker.domain.wording import counted
from worker.services.ui.proposals import DECIDE_MOST, Proposal
from worker.store.decisions import RISK, Ended

SHOWN_MOST: Final = 50

ENDED: Final[dict[Ended, str]] = {
    "done": "done",
    "gone": "left as it is: it has changed, or was decided, since it was shown",
    "not_kept": "left as it is: its message was not kept; queue it anew",
    "bought_since": "left as it is: another job was queued since, under the same purchase key",
}


@value(frozen=True, slots=True)
class Line:
    """A row of the sum: what, how many, what they cost."""

    what: str
    count: str
    cost: str


@value(frozen=True, slots=True)
class Question:
    """``title`` says the deed and the count, and ``button`` again; ``risk`` is empty where there is none."""

    title: str
    button: str
    sums: tuple[Line, ...]
    total: str
    buys: str
    risk: str
    notes: tuple[str, ...]
    jobs: tuple[tuple[str, str, str], ...]
    more: int
    can_go_on: bool


def question(proposal: Proposal, prices: Prices, decided: int = 0) -> Question:
    """What somebody has to read before they go on.

    Args:
        decided: jobs beside these about which it was decided before Redis went away.
    """
    if proposal.deed in ("pause", "resume"):
        return _of_pause(proposal)
    count = counted(len(proposal.jobs), "job")
    title, button = _titles(proposal, count)
    lines, total = _sums(proposal, prices)
    shown = [(job.job_id, job.status, job.workflow) for job in proposal.jobs[:SHOWN_MOST]]
    return Question(
        title=title,
        button=button,
        sums=lines,
        total=total,
        buys=_buys(proposal, total),
        risk=_risk(proposal),
        notes=tuple(_notes(proposal, decided)),
        jobs=tuple(shown),
        more=len(proposal.jobs) - len(shown),
        can_go_on=bool(proposal.able),
    )


def _titles(proposal: Proposal, count: str) -> tuple[str, str]:
    if proposal.deed == "accept":
        return f"Accept the job as task {proposal.task_id}?", "Accept the job"
    verb = {"retry": "Retry", "discard": "Discard"}[proposal.deed]
    return f"{verb} {count}?", f"{verb} {count}"


def _sums(proposal: Proposal, prices: Prices) -> tuple[tuple[Line, ...], str]:
    if proposal.deed == "discard":
        return tuple(Line(name, f"{number:,}", "-") for name, number in sorted(_by(proposal))), ""
    by_workflow, total = cost(proposal.by_workflow(), prices)
    lines = []
    for workflow, number in sorted(_by(proposal)):
        amount = by_workflow[workflow]
        told = f"not known: {PREFIX}{workflow} is not set" if amount is None else money(amount, prices)
        lines.append(Line(workflow, f"{number:,}", told))
    if total is not None:
        return tuple(lines), money(total, prices)
    known = [amount for amount in by_workflow.values() if amount is not None]
    if not known:
        return tuple(lines), "not known"
    return tuple(lines), f"at least {money(sum(known, Decimal(0)), prices)}; the rest is not known"


def _by(proposal: Proposal) -> list[tuple[str, int]]:
    return list(proposal.by_workflow().items())


def _buys(proposal: Proposal, total: str) -> str:
    is_one = len(proposal.able) == 1
    if proposal.deed == "retry":
        again = "It is queued again with all its" if is_one else "They are queued again with all their"
        return f"{again} attempts. If the vendor accepts {'it' if is_one else 'all'}, that costs: {total}."
    if proposal.deed == "accept":
        return f"Nothing is sent. Its result becomes submitted, and what was spent grows by: {total}."
    taken = "It is taken" if is_one else "They are taken"
    return f"Nothing is sent and nothing is bought. {taken} away for good."


def _risk(proposal: Proposal) -> str:
    unknown = proposal.by_status()["unknown"]
    if not unknown or proposal.deed in ("accept", "pause", "resume"):
        return ""
    assert proposal.deed in ("retry", "discard")
    risk = RISK[proposal.deed]
    if unknown == 1:
        risk = risk.replace("may each", "may")
    return f"The {counted(unknown, 'unknown job')} {risk}."


def _notes(proposal: Proposal, decided: int) -> list[str]:
    notes = []
    if unkept := len(proposal.jobs) - len(proposal.able):
        of = counted(unkept, "job")
        left = "it is left as it is, and costs" if unkept == 1 else "they are left as they are, and cost"
        notes.append(
            f"Of {of} the message was not kept: {left} nothing. Queue {'it' if unkept == 1 else 'them'} anew."
        )
    if decided:
        before = counted(decided, "job was", "jobs were")
        notes.append(f"Redis went away amid it: {before} decided about before. These are left.")
    if proposal.deed == "discard" and proposal.by_status()["unknown"]:
        notes.append("Each unknown one gets a last result: rejected, with AIGC_DISCARDED.")
    if proposal.is_cut:
        notes.append(
            f"These are the newest that pass the filter: at most {DECIDE_MOST:,} are decided at once. Choose"
            " again for the rest."
        )
    if proposal.missing:
        left = counted(len(proposal.missing), "job")
        accepts = proposal.deed == "accept"
        words = "is not held as unknown any more" if accepts else "cannot be decided any more"
        notes.append(f"{left} of those that you chose {words}: {', '.join(proposal.missing[:5])}")
    return notes


def _of_pause(proposal: Proposal) -> Question:
    what = proposal.workflow or "everything"
    waiting = counted(proposal.waiting, "job waits", "jobs wait") if proposal.waiting else "no job waits"
    if proposal.deed == "pause":
        buys = f"Workers finish what is in flight; the rest stays queued. Now {waiting}."
        title = f"Pause {what}?"
    else:
        buys = f"Workers go on, and buy what is queued. Now {waiting}."
        title = f"Resume {what}?"
    return Question(title, title.removesuffix("?"), (), "", buys, "", (), (), 0, can_go_on=True)
