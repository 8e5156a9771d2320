"""A worker that looks at pictures before it sends a job (`AIGC_PREFLIGHT=on`), and a host of pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import picture_host as hosts
from tests.integration.stage import Stage, logged, staged
from tests.picture_host import Host, Listener, hosting, jpg, serves
from tests.redis_server import RedisServer

ALLOWED = "127.0.0.1/32"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    webp, html = ((hosts.SHOP / name).read_bytes() for name in ("really_webp.jpg", "html_named.jpg"))
    with hosting(
        ok_jpg=serves(jpg()), model_jpg=serves(jpg(size=3_000_000)),
        webp_jpg=serves(webp), html_jpg=serves(html), big_jpg=hosts.endless, tiny_jpg=serves(jpg(size=400)),
        narrow_jpg=serves((hosts.SHOP / "149x160.jpg").read_bytes()),
        moved_jpg=hosts.redirects("/ok.jpg"),
    ) as host:  # fmt: skip
        yield host


@pytest.fixture
def stage(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A vendor that can reach this machine's pictures too."""
    monkeypatch.setenv("AIGC_FETCH_ALLOW", "127.0.0.0/8")
    with staged(redis_server) as stage:
        yield stage


def checking(stage: Stage, **changes: Any) -> Any:
    """A worker that looks at pictures."""
    return stage.worker(PREFLIGHT="on", FETCH_ALLOW=changes.pop("FETCH_ALLOW", ALLOWED), **changes)


def film(image: str) -> dict[str, Any]:
    return {
        "workflow": "IMAGE2VIDEO",
        "version": "1.0.0",
        "algoInput": {"inputText": "a cat", "inputImage": image},
    }


def try_on(model: str, garment: str) -> dict[str, Any]:
    algo_input = {"modelImage": model, "garmentImage": garment, "category": "upper", "seed": 1}
    return {"workflow": "CATVTON", "version": "1.0.0", "algoInput": algo_input}


def test_what_the_vendor_would_refuse_is_refused_before_anything_is_paid(stage: Stage, host: Host) -> None:
    """Each fault by its code and the field's name, after no attempt; good pictures go through."""
    with Listener() as elsewhere:
        host.table["/away.jpg"] = hosts.redirects(f"http://127.0.0.2:{elsewhere.port}/x.jpg")
        faults = {
            "webp.jpg": "FORMAT",
            "html.jpg": "FORMAT",
            "big.jpg": "TOO_LARGE",
            "tiny.jpg": "TOO_SMALL",
            "narrow.jpg": "DIMENSIONS",
            "none.jpg": "UNREACHABLE",
            "ok.jpg?Expires=1577836800&OSSAccessKeyId=K&Signature=s": "URL_EXPIRED",
            "away.jpg": "FORBIDDEN_ADDRESS",
        }
        bad = {stage.enqueue(film(f"{host.url}/{path}")): code for path, code in faults.items()}
        both = stage.enqueue(try_on(f"{host.url}/model.jpg", f"{host.url}/webp.jpg"))
        good = [stage.enqueue(film(f"{host.url}/moved.jpg")) for _ in range(20)]
        good.append(stage.enqueue(try_on(f"{host.url}/model.jpg", f"{host.url}/ok.jpg")))
        checking(stage)
        for job_id, code in bad.items():
            result = stage.result(job_id)
            assert (result["status"], result["attempts"]) == ("rejected", 0)
            assert result["errorCode"] == f"AIGC_IMAGE_{code}"
            assert result["errorMsg"].startswith("algoInput.inputImage: ")
        assert stage.result(both)["errorMsg"].startswith("algoInput.garmentImage: is webp")
        assert {stage.result(job_id)["status"] for job_id in good} == {"submitted"}
        stage.drain()
        assert stage.vendor.posts == len(good)
        assert host.paths().count("/moved.jpg") == 1
        assert host.paths().count("/model.jpg") == 1
        assert elsewhere.connections() == 0


def test_what_may_get_better_waits_uncounted_until_the_deadline(stage: Stage, host: Host) -> None:
    """A host that recovers costs no attempt; one that does not ends the job as one that could not be sent."""
    broken = [503]

    def recovers(handler: hosts.Handler) -> None:
        if broken:
            handler.answer(broken.pop())
        else:
            serves(jpg())(handler)

    host.table["/later.jpg"] = recovers
    host.table["/never.jpg"] = hosts.says(500)
    body = json.dumps([[film(f"{host.url}/never.jpg")], {}, {}])
    soon = datetime.now(UTC) + timedelta(seconds=3)
    never = stage.put_body(body, headers={"expires": soon.isoformat()})
    later = stage.enqueue(film(f"{host.url}/later.jpg"))
    worker = checking(stage)
    result = stage.result(later)
    assert (result["status"], result["attempts"]) == ("submitted", 1)
    result = stage.result(never)
    assert (result["status"], result["attempts"]) == ("exhausted", 0)
    assert result["errorCode"] == "AIGC_IMAGE_UNREACHABLE"
    assert result["errorMsg"] == "algoInput.inputImage: is answered HTTP 500"
    logged(worker, "waits, for algoInput.inputImage is answered HTTP 50")
    assert stage.vendor.posts == 1


def test_a_slow_host_holds_up_neither_other_jobs_nor_the_end(stage: Stage, host: Host) -> None:
    """Its jobs go back to the queue when the worker stops, whatever it is still waiting for."""
    with hosting() as slow:
        slow.table["/x.jpg"] = hosts.slow(60, serves(jpg()))
        waiting = [stage.enqueue(film(f"{slow.url}/x.jpg?{number}")) for number in range(40)]
        quick = [stage.enqueue(film(f"{host.url}/ok.jpg?{number}")) for number in range(40)]
        worker = checking(stage)
        for job_id in quick:
            assert stage.result(job_id)["status"] == "submitted"
        assert worker.terminate() == 0
        assert not any(stage.results_of(job_id) for job_id in waiting)
        assert stage.held() == 0
        assert stage.queued() + stage.waiting() == len(waiting)
