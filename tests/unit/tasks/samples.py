"""The three samples of the vendor's page, section 9, fresh for each call."""

from __future__ import annotations

from typing import Any

IMAGE = "https://img.alicdn.com/imgextra/i2/O1CN01DspKG11ZLZjy0JKAf_!!6000000003178-0-tps-999-750.jpg"
MODEL = "https://gw.alicdn.com/imgextra/i4/O1CN0162LlIZ1HJ8VZPst5A_!!6000000000736-2-tps-789-987.png"
GARMENT = "https://gw.alicdn.com/imgextra/i1/O1CN01M2oIt71KIAWJhtK8f_!!6000000001140-2-tps-789-987.png"


def image_to_video() -> dict[str, Any]:
    algo_input = {"inputText": "一个人在走路", "inputImage": IMAGE}
    return {"workflow": "IMAGE2VIDEO", "version": "1.0.0", "algoInput": algo_input}


def virtual_try_on() -> dict[str, Any]:
    algo_input = {"modelImage": MODEL, "garmentImage": GARMENT, "category": "overall", "seed": 43}
    return {"workflow": "CATVTON", "version": "1.0.0", "algoInput": algo_input}


def text_to_image() -> dict[str, Any]:
    algo_input = {"inputText": "a cat", "width": 1024, "height": 1024}
    return {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": algo_input}


ALL = (image_to_video, virtual_try_on, text_to_image)
