"""Queue AIGC jobs and read how they ended: all that producers and consumers import."""

from . import _two_names  # noqa: F401 - before all others: it says where they are found
from .broker import configure
from .cancellation import cancel
from .exceptions import AigcError, BrokerUnavailable, InvalidPayload, JobFailed, SettingsError
from .payload import ImageToVideo, TextToImage, VirtualTryOn, Workflow
from .producer import signature, submit, submit_many
from .result import Result
from .submission import Submission

__all__ = [
    "AigcError",
    "BrokerUnavailable",
    "ImageToVideo",
    "InvalidPayload",
    "JobFailed",
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
    "submit_many",
]
