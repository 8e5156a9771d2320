"""What a killed worker had in the air can be read from its file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker import homes
from worker.flights import Flights, Found, forget, read

ONE, TWO = "893e87bb-6083-4249-aedd-a376cac24bee", "51843d00-ef53-47f8-ac03-6bfc219ba1eb"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flights"


def took_off(flights: Flights) -> int:
    flight = flights.takes_off(ONE)
    assert flight is not None
    return flight


def test_each_phase_is_told_apart(path: Path) -> None:
    """An attempt that took off is sent, then answered with its result, then gone."""
    flights = Flights(path, most=2)
    assert read(path) == Found(frozenset(), {})
    flight = took_off(flights)
    assert read(path) == Found(frozenset({ONE}), {})
    flights.answered(flight, '{"jobId":"ü"}')
    assert read(path) == Found(frozenset(), {ONE: '{"jobId":"ü"}'})
    flights.landed(flight)
    assert read(path) == Found(frozenset(), {})


def test_a_flight_that_never_landed_is_not_forgotten(path: Path) -> None:
    """The next attempt takes another slot: overwriting would pass the first off as never sent."""
    flights = Flights(path, most=2)
    flights.takes_off(ONE)
    flights.takes_off(TWO)
    found = read(path)
    assert found is not None
    assert found.sent == {ONE, TWO}


def test_without_a_slot_nothing_is_claimed_to_be_known(path: Path) -> None:
    """When the slots run out the file goes: every attempt is unresolved then, which is safe."""
    flights = Flights(path, most=1)
    for _ in range(3):
        flight = took_off(flights)
    assert read(path) is None
    flights.answered(flight, "{}")
    flights.landed(flight)
    flights.close()


def test_a_result_too_long_stays_unresolved(path: Path) -> None:
    """What does not fit is not cut off."""
    flights = Flights(path, most=1)
    flights.answered(took_off(flights), "x" * 7000)
    assert read(path) == Found(frozenset({ONE}), {})


def test_closing_keeps_what_is_worth_knowing(path: Path) -> None:
    """A worker that stops while Redis is away leaves its paid task ids to its neighbours."""
    flights = Flights(path, most=1)
    flight = took_off(flights)
    flights.answered(flight, "{}")
    flights.close()
    assert read(path) == Found(frozenset(), {ONE: "{}"})
    flights.landed(flight)
    flights.close()
    assert not path.exists()


def test_no_file_is_taken_over(path: Path) -> None:
    """A file that is there already is somebody else's; this process then goes without."""
    Flights(path, most=1).takes_off(ONE)
    second = Flights(path, most=1)
    second.takes_off(TWO)
    second.close()
    assert read(path) == Found(frozenset({ONE}), {})


def test_what_is_no_file_of_flights_tells_nothing(path: Path) -> None:
    """A missing, foreign or cut file is no evidence."""
    assert read(path) is None
    path.write_bytes(b"something else")
    assert read(path) is None
    forget(path)
    assert not path.exists()
    forget(path)


def test_the_kernel_keeps_it_when_the_process_is_killed(path: Path) -> None:
    """SIGKILL between the take-off and the answer leaves the attempt in the file."""
    program = (
        "import os, sys, pathlib; from worker.flights import Flights;"
        "Flights(pathlib.Path(sys.argv[1]), 1).takes_off(sys.argv[2]); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path), ONE], check=False).returncode == -9
    assert read(path) == Found(frozenset({ONE}), {})


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
