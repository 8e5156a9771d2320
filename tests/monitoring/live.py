"""Each alert fires in a real Prometheus that scrapes a real `aigc ui`, by what it stands for, and ends."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, staged
from tests.monitoring.prometheus import Prometheus, running
from tests.monitoring.situations import SCENES, Place, Scene, Situation
from tests.redis_server import RedisServer

BOUND_S = 3 * PATIENCE_S


def check_live() -> int:
    """0 where each alert fires, and no other that is not true; says how soon where that is promised."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(SCENES)) as pool, places() as built:
        targets = {scene.name: place.ui.url for scene, place in built}
        (shipped,) = (scene.name for scene in SCENES if not scene.short)
        with (
            tempfile.TemporaryDirectory(prefix="aigc-alerts-") as name,
            running(Path(name), targets, shipped) as prometheus,
        ):
            plays = [Play(prometheus, *each) for each in built]
            successes = list(pool.map(Play.succeeds, plays))
    print(f"a real Prometheus: {time.monotonic() - began:.0f} s", flush=True)
    return int(not all(successes))


@contextmanager
def places() -> Iterator[list[tuple[Scene, Place]]]:
    """One for each scene, with a worker that is there."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        stages = []
        for scene in SCENES:
            stage = stack.enter_context(staged(stack.enter_context(RedisServer())))
            stage.worker(**scene.worker)
            stages.append(stage)
        # Each is to be closed as soon as it is there, for another one may fail to start.
        built = list(pool.map(lambda stage: stack.enter_context(closing(placed(stage))), stages))
        for stage in stages:
            until(stage.living, "the worker")
        yield list(zip(SCENES, built, strict=True))


def placed(stage: Stage) -> Place:
    return Place(stage, Path(stage.directory))


class Play:
    """A scene as it goes on at its place, seen by Prometheus."""

    def __init__(self, prometheus: Prometheus, scene: Scene, place: Place) -> None:
        self._prometheus = prometheus
        self._scene = scene
        self._place = place

    def succeeds(self) -> bool:
        """Says of each situation how it went, of the first that fails why."""
        try:
            self._prometheus.has_looked_at(self._scene.name)
            active = self._prometheus.active(self._scene.name)
            assert not active, f"{active} before anything happened"
            for situation in self._scene.situations:
                self._is_told(situation)
        except AssertionError as error:
            print(f"{self._scene.name}: {error}\n{self._state()}", flush=True)
            return False
        return True

    def _state(self) -> str:
        active = self._prometheus.active(self._scene.name)
        return f"active: {active}\n{self._place.ui.get('/api/status').text}\n{self._place.stage.logs()}"

    def _is_told(self, situation: Situation) -> None:
        situation.brings(self._place)
        took_s = self._waited(lambda: situation.alert in self._firing(), f"{situation.alert} to fire")
        others = self._firing() - {situation.alert} - situation.also
        assert not others, f"{others} where {situation.what}"
        # Said, and no failure: a machine with much to do is late for reasons of its own.
        within = f", of {situation.within_s:.0f} s that are promised" if situation.within_s else ""
        told = f"{situation.what}: {situation.alert} {took_s:.1f} s later{within}"
        if situation.mends:
            situation.mends(self._place)
            over_s = self._waited(lambda: not self._firing(), f"an end of {self._firing()}")
            told += f"; mended: over {over_s:.1f} s later"
        print(told, flush=True)

    def _firing(self) -> set[str]:
        return self._prometheus.firing(self._scene.name, short=self._scene.short)

    @staticmethod
    def _waited(condition: Callable[[], bool], what: str) -> float:
        began = time.monotonic()
        until(condition, what, BOUND_S)
        return time.monotonic() - began
