"""Whether a process is gone can be told only where its pid means the same."""

from __future__ import annotations

import os
import subprocess
import sys

from worker import homes


def test_a_process_is_gone_only_when_that_is_certain() -> None:
    """Gone once it has ended, also as a zombie; never when it cannot be seen from here."""
    code = "from worker import homes; print(homes.mine(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        home = process.stdout.readline().strip()
        assert homes.is_here(home)
        assert not homes.is_gone(home)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert homes.is_gone(home), "a zombie is gone"
    assert homes.is_gone(home)
    boot, namespace, user, rest = home.split("/", 3)
    for elsewhere in (
        f"x/{namespace}/{user}/{rest}",
        f"{boot}/1/{user}/{rest}",
        f"{boot}/{namespace}/x/{rest}",
        "",
    ):
        assert not homes.is_gone(elsewhere)
    assert homes.mine() != homes.mine()
