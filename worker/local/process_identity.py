"""Where a process lives, and whether it is certainly gone.

A process identity is ``<boot id>/<pid namespace>/<user>/<pid>/<start time>/<token>``. Only within one pid
namespace of one boot does a pid mean the same to both sides, only the same user's processes can surely all be
seen, and only with its start time does a pid mean the same process. The token tells two of one process apart.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def mine() -> str:
    """This process's identity; empty where it cannot be known, as on systems without /proc."""
    with contextlib.suppress(OSError, IndexError):
        return "/".join((*_here(), str(os.getpid()), _started(os.getpid()), secrets.token_hex(4)))
    return ""


def boot() -> str:
    """This boot of this machine; empty where it cannot be known."""
    with contextlib.suppress(OSError):
        return _here()[0]
    return ""


def is_visible_here(identity: str) -> bool:
    """Whether a process could be seen from here, if it lives."""
    with contextlib.suppress(OSError):
        return tuple(identity.split("/")[:3]) == _here()
    return False


def is_gone(identity: str) -> bool:
    """Whether a process is certainly gone; False where that cannot be known from here."""
    if not is_visible_here(identity):
        return False
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid, started = identity.split("/")[3:5]
        try:
            return _started(int(pid)) != started
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False


def pid_of(identity: str) -> int | None:
    """The process id in an identity; it means something only where `is_visible_here`."""
    parts = identity.split("/")
    return int(parts[3]) if len(parts) == 6 else None


def _here() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot, str(os.stat("/proc/self/ns/pid").st_ino), str(os.getuid())


def _started(pid: int) -> str:
    # The command's name, in parentheses, may hold blanks: count the fields after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    return "gone" if state in "ZX" else start_time
