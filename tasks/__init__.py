"""Queue AIGC jobs and read how they ended: all that producers and consumers import."""

from tasks.broker import configure
from tasks.exceptions import AigcError, BrokerUnavailable, InvalidPayload, JobFailed, SettingsError
from tasks.payload import ImageToVideo, TextToImage, VirtualTryOn, Workflow
from tasks.producer import Submission, signature, submit, submit_many
from tasks.result import Result

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
    "configure",
    "signature",
    "submit",
    "submit_many",
]
