"""Run a command as a unit of systemd confines it, without systemd: UNIT COMMAND… are the arguments.

Of the unit's settings: NoNewPrivileges, SystemCallFilter with SystemCallErrorNumber, RestrictAddressFamilies
and MemoryDenyWriteExecute. By libseccomp, which systemd itself uses.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from tests.integration.units import Settings, read

ALLOW, REFUSE = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, REFUSE_EXEC_GAIN = 38, 65, 1
EQUAL, FAMILIES = 4, 46


class Comparison(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def calls_of(group: str) -> Iterator[str]:
    """The system calls of a group such as @system-service, as systemd knows it."""
    if not group.startswith("@"):
        yield group
        return
    command = ["systemd-analyze", "syscall-filter", group]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]:
        if (word := line.strip()) and not word.startswith("#"):
            yield from calls_of(word)


def allowed_calls(unit: Settings) -> set[str]:
    """What the filter's lines leave, in their order."""
    allowed: set[str] = set()
    for line in unit["SystemCallFilter"]:
        named = {call for word in line.removeprefix("~").split() for call in calls_of(word)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    # What systemd allows whatever is asked for: else nothing could be started.
    return allowed | set(calls_of("@default")) | {"execve"}


def confine(unit: Settings) -> None:
    """This process, for good."""
    seccomp, libc = ctypes.CDLL("libseccomp.so.2"), ctypes.CDLL(None, use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if unit["MemoryDenyWriteExecute"] == ["yes"] and libc.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
        print("confined: this kernel is older than 6.3, so without MemoryDenyWriteExecute", file=sys.stderr)
    families = {getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()}
    sockets = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(ALLOW)))
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in set(range(FAMILIES)) - families:
        refusal = ctypes.c_uint32(REFUSE | errno.EAFNOSUPPORT)
        compared = (Comparison * 1)(Comparison(0, EQUAL, family, 0))
        checked(seccomp.seccomp_rule_add_array(sockets, refusal, number, 1, compared))
    checked(seccomp.seccomp_load(sockets))
    code = getattr(errno, unit["SystemCallErrorNumber"][0])
    calls = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(REFUSE | code)))
    for call in allowed_calls(unit):
        if (number := seccomp.seccomp_syscall_resolve_name(call.encode())) >= 0:  # of this machine's kind
            checked(seccomp.seccomp_rule_add_array(calls, ctypes.c_uint32(ALLOW), number, 0, None))
    checked(seccomp.seccomp_load(calls))


def checked(code: int) -> None:
    if code:
        raise OSError(abs(code), os.strerror(abs(code)))


if __name__ == "__main__":
    confine(read(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
