"""Read what became of task ids: one's output with `get` and `wait`, all with `listen`, `consume`, `replay`.

There are outputs where workers follow tasks (`AIGC_FOLLOW=on`), or `aigc task follow` was told to. Then each
task that the vendor accepted ends as one output: `succeeded`, with the picture's or clip's address and, where
a store is set, its copy there; `failed`, with the vendor's own word; or `lost`.

The functions are those of `tasks.results`, with the same arguments and errors: how they begin, wait and fail
stands there. They give an `Output`, and find it by its task id.
"""

from .single import get, wait, wait_async
from .streams import AsyncOutputs, Outputs, aconsume, alisten, consume, listen, replay

__all__ = [
    "AsyncOutputs",
    "Outputs",
    "aconsume",
    "alisten",
    "consume",
    "get",
    "listen",
    "replay",
    "wait",
    "wait_async",
]
