"""Queue AIGC jobs and read how they ended: all that producers and consumers import."""

from . import _two_names  # noqa: F401 - before all others: it says where they are found

# isort: split
from . import backend, over_redis
from .broker import configure
from .cancellation import cancel
from .exceptions import AigcError, BrokerUnavailable, InvalidPayload, JobFailed, SettingsError
from .output import Output
from .payload import ImageToVideo, TextToImage, VirtualTryOn, Workflow
from .producer import signature, submit, submit_many
from .producer_async import submit_async, submit_many_async
from .result import Result
from .submission import Submission

backend.use(over_redis.OverRedis())

__all__ = [
    "AigcError",
    "BrokerUnavailable",
    "ImageToVideo",
    "InvalidPayload",
    "JobFailed",
    "Output",
    "Result",
    "SettingsError",
    "Submission",
    "TextToImage",
    "VirtualTryOn",
    "Workflow",
    "cancel",
    "configure",
    "signature",
    "submit",
    "submit_async",
    "submit_many",
    "submit_many_async",
]


def __getattr__(name: str) -> object:
    """`tasks.results`, `tasks.outputs` and the like, imported when they are first asked for."""
    if name in ("batches", "dedupe", "outputs", "results", "testing", "tracing"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
