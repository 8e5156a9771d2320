"""Whether a process is gone can be told only where its pid means the same."""

from __future__ import annotations

import os
import subprocess
import sys

from worker.local import process_identity


def test_a_process_is_gone_only_when_that_is_certain() -> None:
    """Gone once it has ended, also as a zombie; never when it cannot be seen from here."""
    code = "from worker.local import process_identity; print(process_identity.mine(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        identity = process.stdout.readline().strip()
        assert process_identity.is_visible_here(identity)
        assert not process_identity.is_gone(identity)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_identity.is_gone(identity), "a zombie is gone"
    assert process_identity.is_gone(identity)
    boot, namespace, user, rest = identity.split("/", 3)
    for elsewhere in (
        f"x/{namespace}/{user}/{rest}",
        f"{boot}/1/{user}/{rest}",
        f"{boot}/{namespace}/x/{rest}",
        "",
    ):
        assert not process_identity.is_gone(elsewhere)
    assert process_identity.mine() != process_identity.mine()
