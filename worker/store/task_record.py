"""The record of a task that is followed: what each of its fields is called and means, in Python and in Lua.

A task is the vendor's, named by its task id. Its record lives beside that of the job that bought it, for a
task may also have been bought elsewhere. Stored names are short, and never change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from worker.store.record import Field

TASK_FIELDS: Final = {
    "job_id": Field("j", "the job that bought it; none for one that was bought elsewhere"),
    "workflow": Field("w", "as in the job's payload"),
    "version": Field("v", "as in the job's payload"),
    "metadata": Field("m", "the producer's, as JSON"),
    "traceparent": Field("h", "the trace context that the job belongs to, where there is one"),
    "tracestate": Field("i", "what goes with it"),
    "accepted_ms": Field("a", "since when it is followed: when its job was settled"),
    "deadline_ms": Field("d", "when it is lost unless it has ended"),
    "is_adopted": Field("x", "1 where an operator had it followed: when it began is not known"),
    "asked": Field("n", "how often the vendor was asked about it"),
    "looked_ms": Field("l", "when it was asked about last"),
    "vendor_status": Field("s", "what the vendor said last, in its own word"),
    "token": Field("t", "the fencing token: how often it was leased"),
    "url": Field("u", "of its file, once the vendor named it; there while the file is to be kept"),
    "succeeded_ms": Field("g", "since when it is known that there is a file, while that is to be kept"),
    "keep_tries": Field("y", "how often that was tried"),
    "output": Field("o", "its output, as JSON, once it has ended"),
    "finished_ms": Field("f", "when that was"),
    "output_entry": Field("e", "the entry of its output in the outputs' stream"),
    "left_steps": Field("p", "steps of its end that are still to be done"),
    "left_arguments": Field("q", "their arguments"),
}
"""All there are, by what Python and Lua call them."""


def lua_task_fields(names: Iterable[str]) -> str:
    """Lua that has the stored names of these fields, as ``task_field``."""
    stored = ", ".join(f"{name} = '{TASK_FIELDS[name].stored}'" for name in names)
    return f"local task_field = {{{stored}}}\n"
