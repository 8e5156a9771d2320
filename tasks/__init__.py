"""Queue AIGC jobs and read how they ended: all that producers and consumers import."""

from tasks.broker import BrokerUnavailable, configure
from tasks.checks import InvalidPayload
from tasks.payload import ImageToVideo, TextToImage, VirtualTryOn, Workflow
from tasks.producer import Submission, signature, submit, submit_many
from tasks.result import Result

__all__ = [
    "BrokerUnavailable",
    "ImageToVideo",
    "InvalidPayload",
    "Result",
    "Submission",
    "TextToImage",
    "VirtualTryOn",
    "Workflow",
    "configure",
    "signature",
    "submit",
    "submit_many",
]
