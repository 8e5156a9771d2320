"""pytest's fixtures for other programs, in a run of their own beside a shop that has a module `tasks`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SHOP = '''
"""A shop's own module of that name, and its tests."""
import aigc

def upload(sku):
    size = {"width": 1024, "height": 1024}
    return aigc.submit({"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {"inputText": sku} | size})
'''
TESTS = """
import sys
import aigc, tasks
from aigc import results

def test_what_is_uploaded_is_queued(aigc_jobs):
    job_id = tasks.upload("A-1")
    assert [job.id for job in aigc_jobs] == [job_id]
    aigc_jobs.finish(job_id, task_id="t-1")
    assert results.get(job_id).task_id == "t-1"

def test_a_real_worker_buys_it(aigc_sandbox):
    aigc_sandbox.start_worker(AIGC_MAX_ATTEMPTS="1")
    assert results.wait(tasks.upload("A-1"), timeout_s=60).status == "submitted"
    assert results.wait(tasks.upload("[[sys_error]]"), timeout_s=60).status == "exhausted"

def test_without_a_worker_it_stays_queued_in_a_queue_of_its_own(aigc_sandbox):
    job_id = tasks.upload("A-2")
    assert results.get(job_id) is None
    assert aigc_sandbox.queue == "aigc-test-2"
    assert tasks.__file__.startswith(__file__.rpartition("/")[0])
"""


def pytest_in(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIGC_", "PYTEST", "PYTHON"))
    }
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:valkey", *arguments]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=120)


def test_a_shop_that_has_a_module_tasks_uses_both_fixtures(tmp_path: Path) -> None:
    """Captured jobs, a real worker against the sandbox, and nothing left behind."""
    (tmp_path / "tasks.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    done = pytest_in(tmp_path, "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_run_that_does_not_use_them_imports_nothing_of_ours(tmp_path: Path) -> None:
    """Neither at its start nor later: only the plugin itself."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_ours():\n"
        "    ours = ('aigc', 'tasks', 'worker', 'aigc_worker')\n"
        "    names = {name for name in sys.modules if name.partition('.')[0] in ours}\n"
        "    assert names == {'aigc_worker', 'aigc_worker.pytest_plugin'}\n"
        "    assert 'redis' not in sys.modules and 'celery' not in sys.modules\n"
    )
    done = pytest_in(tmp_path, "-q")
    assert done.returncode == 0, done.stdout + done.stderr
