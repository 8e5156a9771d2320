"""`aigc demo`: the whole way of four jobs on this machine, with real processes; only their pictures are left.

An embedded Redis, the sandbox vendor and a worker are started; the vendor page's three samples and one
job that the vendor fails twice are enqueued; what the worker logs of each is shown until all have ended, and
their finished pictures and clips are kept.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tasks.exceptions import AigcError
from worker.dev.embedded import EmbeddedRedis, EmbeddedRedisError
from worker.dev.processes import (
    GIVE_UP_S,
    Log,
    NotStarted,
    address,
    environment,
    lines,
    process,
    until,
    wait_until_ready,
)

_IMAGES: Final = (
    "https://img.alicdn.com/imgextra/i2/O1CN01DspKG11ZLZjy0JKAf_!!6000000003178-0-tps-999-750.jpg"
)
_MODEL: Final = "https://gw.alicdn.com/imgextra/i4/O1CN0162LlIZ1HJ8VZPst5A_!!6000000000736-2-tps-789-987.png"
_GARMENT: Final = (
    "https://gw.alicdn.com/imgextra/i1/O1CN01M2oIt71KIAWJhtK8f_!!6000000001140-2-tps-789-987.png"
)

JOBS: Final = {
    "image to video": ("IMAGE2VIDEO", {"inputText": "一个人在走路", "inputImage": _IMAGES}),
    "virtual try-on": (
        "CATVTON",
        {"modelImage": _MODEL, "garmentImage": _GARMENT, "category": "overall", "seed": 43},
    ),
    "text to image": ("TEXT2IMAGE", {"inputText": "a cat", "width": 1024, "height": 1024}),
    "vendor fails twice": (
        "TEXT2IMAGE",
        {"inputText": "a cat that needs patience [[sys_error*2]]", "width": 1024, "height": 1024},
    ),
}


class DemoError(AigcError):
    """The demo cannot go on; the message says why."""


def run() -> int:
    """Run the demo; gives the exit code."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            return _play(stack)
    except (DemoError, EmbeddedRedisError, NotStarted) as error:
        print(f"aigc: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started is stopped", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _play(stack: ExitStack) -> int:
    started = time.monotonic()
    server = stack.enter_context(EmbeddedRedis())
    print(f"redis    {server.url}")
    identity = stack.enter_context(tempfile.TemporaryDirectory(prefix="aigc-demo-"))
    # It stays, for whoever wants to see what is in it; the rest goes.
    pictures = tempfile.mkdtemp(prefix="aigc-pictures-")
    env = environment(server.url, identity) | {
        "AIGC_FOLLOW": "on",
        "AIGC_STORE_URL": f"file://{pictures}",
        "AIGC_STORE_NAME": "{task_id}.{ext}",
        "AIGC_FETCH_ALLOW": "127.0.0.0/8",
    }
    sandbox = stack.enter_context(process(["sandbox", "--port", "0"], env, subprocess.PIPE, None))
    env["AIGC_ENDPOINT"] = address(sandbox)
    print(f"sandbox  {env['AIGC_ENDPOINT']}  (a local vendor; no money is spent)")
    worker = stack.enter_context(process(["worker"], env, None, subprocess.PIPE))
    log = lines(worker)
    wait_until_ready(worker, log)
    print(f"worker   pid {worker.pid}\n")
    names = _enqueue(server.url)
    tasks, files = _follow(worker, log, names)
    seconds = time.monotonic() - started
    print(f"\n{len(tasks)} jobs, {len(tasks)} task ids, {len(files)} finished files, in {seconds:.1f} s:")
    for job_id, name in names.items():
        print(f"  {name:<20} {tasks[job_id]}")
        print(f"  {'':<20} {files[job_id]}")
    print("\nNext: README.md shows how to enqueue from your own code, and how to run against the vendor.")
    return 0


def _enqueue(redis_url: str) -> dict[str, str]:
    """Enqueue the jobs as any producer would; gives their names by job id."""
    from tasks import configure, submit

    configure(redis_url=redis_url, queue=DEFAULT_QUEUE, results=DEFAULT_RESULTS)
    names = {}
    for name, (workflow, algo_input) in JOBS.items():
        job_id = submit({"workflow": workflow, "version": "1.0.0", "algoInput": algo_input})
        names[job_id] = name
        print(f"  {name:<20} enqueued   job {job_id}")
    return names


def _follow(
    worker: subprocess.Popen[bytes], log: Log, names: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Show each job's way until all have ended, and their tasks; gives task ids and files, by job."""
    tasks: dict[str, str] = {}
    files: dict[str, str] = {}
    for line in until(log, time.monotonic() + GIVE_UP_S):
        name, job_id = names.get(str(line.get("job"))), str(line.get("job"))
        if name is None:
            continue
        match str(line["message"]):
            case "attempt failed":
                print(f"  {name:<20} attempt {line['attempts']}  {line.get('code')}: {line.get('next')}")
            case "job submitted":
                print(f"  {name:<20} submitted  task {line['task']}, attempt {line['attempts']}")
                tasks[job_id] = str(line["task"])
            case "output succeeded" if line.get("file"):
                print(f"  {name:<20} finished   {line['bytes']} bytes")
                files[job_id] = str(line["file"])
            case message:
                why = line.get("not_kept") or f"{line.get('code')}: {line.get('error')}"
                raise DemoError(f"{name}: {message} ({why})")
        if len(files) == len(names):
            return tasks, files
    raise DemoError(f"{len(names) - len(files)} jobs did not end; the worker's exit code is {worker.poll()}")
