"""A proxy to Redis that understands what passes, and answers some of it as a Redis that refuses would.

A fault says which command, or which script of ours, by its name; whether Redis gets to see it (``after``:
it is run, and its reply is replaced) or not (``before``); and what the client is told.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.chaos import answers, resp
from tests.chaos.commands import Names
from tests.chaos.proxy import LoopThread, reset

SCRIPTS: Final = "scripts"
"""The target of a fault that strikes every script of ours."""

BEFORE, AFTER = "before", "after"
_CHUNK: Final = 65536


@dataclass(eq=False, slots=True)
class Fault:
    """What is answered instead of the truth.

    Attributes:
        target: name of a script or command, ``scripts``, or ``*`` for everything.
        answer: one of `tests.chaos.answers.ANSWERS`.
        when: ``before`` the command reaches Redis, so that it never does, or ``after`` it was run.
        times: strikes as often as this; None: until it is cleared.
        seconds: strikes for so long after its first strike; None: until it is cleared.
        share: from 0 to 1, of the commands that it concerns.
        strikes: how often it has struck.
        first: when it struck first, by the monotonic clock.
    """

    target: str
    answer: str
    when: str = BEFORE
    times: int | None = None
    seconds: float | None = None
    share: float = 1.0
    strikes: int = 0
    first: float = field(default=float("inf"))

    def concerns(self, command: str, script: str | None) -> bool:
        """Whether the command is one of those that it strikes."""
        return self.target in (command, script, "*") or (self.target == SCRIPTS and script is not None)

    @property
    def over(self) -> bool:
        """Whether it strikes no more."""
        if self.times is not None and self.strikes >= self.times:
            return True
        return self.seconds is not None and time.monotonic() - self.first > self.seconds

    def strike(self) -> None:
        """Count a strike."""
        self.strikes += 1
        self.first = min(self.first, time.monotonic())


class RefusingProxy(LoopThread):
    """Forwards to a Redis on loopback, except where a fault strikes.

    Attributes:
        faults: the first of them that concerns a command strikes it; those that are over stay in the list.
        seen: how often each command and script came by.
        strikes: how often any fault struck.
        names: what the commands are called.
    """

    def __init__(self, target: int, rng: Random) -> None:
        super().__init__(target)
        self.rng = rng
        self.faults: tuple[Fault, ...] = ()
        self.seen: Counter[str] = Counter()
        self.strikes = 0
        self.names = Names()

    def inject(self, *faults: Fault) -> None:
        """Let these strike from now on, beside those that do already."""
        self.faults = (*self.faults, *faults)

    def clear(self) -> None:
        """Let none strike any more."""
        self.faults = ()

    def fault_of(self, words: list[bytes]) -> tuple[Fault | None, str]:
        """The fault that strikes this command, and what it is called."""
        self.names.learn(words)
        command, script = self.names.of(words)
        self.seen.update({command, script or command})
        for fault in self.faults:
            if fault.concerns(command, script) and not fault.over and self.rng.random() < fault.share:
                fault.strike()
                self.strikes += 1
                return fault, script or command
        return None, script or command

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        await _Session(self, reader, writer).run()


class _Session:
    """One connection of a client, and the one to Redis that belongs to it."""

    def __init__(
        self, proxy: RefusingProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._due: asyncio.Queue[tuple[Fault | None, str]] = asyncio.Queue()
        self._mute = False  # the connection seems to stand still: what comes now is not forwarded either

    async def run(self) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._proxy.target)
        except OSError:
            reset(self._writer)
            return
        ways = [
            asyncio.ensure_future(self._commands(far_writer)),
            asyncio.ensure_future(self._replies(far_reader)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writer.close()
            reset(far_writer)

    async def _commands(self, far: asyncio.StreamWriter) -> None:
        """Forward what the client says, command by command, but for what a fault keeps from Redis."""
        buffer = bytearray()
        while data := await self._reader.read(_CHUNK):
            buffer += data
            start = 0
            while (found := resp.command(buffer, start)) is not None:
                words, end = found
                if not self._mute:
                    self._pass_on(far, words, bytes(buffer[start:end]))
                start = end
            del buffer[:start]
            await far.drain()

    def _pass_on(self, far: asyncio.StreamWriter, words: list[bytes], data: bytes) -> None:
        fault, name = self._proxy.fault_of(words)
        if fault is None or fault.when == AFTER:
            far.write(data)
        self._due.put_nowait((fault, name))
        self._mute = fault is not None and fault.answer == "silence" and fault.when == BEFORE

    async def _replies(self, far: asyncio.StreamReader) -> None:
        """Answer the commands in their order, each with Redis's reply or what a fault has in its place."""
        buffer = bytearray()
        while True:
            fault, name = await self._due.get()
            reply = b""
            if fault is None or fault.when == AFTER:
                reply = await _one_reply(far, buffer)
            if fault is not None:
                if fault.answer == "silence":
                    await asyncio.Event().wait()
                reply = self._instead(fault, name, reply)
            self._writer.write(reply)
            await self._writer.drain()
            if fault is not None and fault.answer == "half":
                return

    def _instead(self, fault: Fault, name: str, reply: bytes) -> bytes:
        """What the client is told instead of the reply."""
        rng = self._proxy.rng
        if fault.answer in answers.ERRORS:
            return answers.error(fault.answer, rng)
        if fault.answer == answers.FOREIGN:
            return answers.foreign(name, rng)
        if fault.answer == "garbage":
            return rng.choice(answers.GARBAGE)
        whole = reply or answers.foreign(name, rng)
        return whole[: max(1, len(whole) // 2)]


async def _one_reply(reader: asyncio.StreamReader, buffer: bytearray) -> bytes:
    while (end := resp.reply_end(buffer)) is None:
        data = await reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError
        buffer += data
    reply = bytes(buffer[:end])
    del buffer[:end]
    return reply
