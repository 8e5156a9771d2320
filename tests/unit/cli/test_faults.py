"""Faults of a file: told by their place, and the same one only so often."""

from __future__ import annotations

from worker.cli.faults import TOLD, Faults


def test_the_same_fault_is_counted_after_it_was_told_ten_times() -> None:
    """Numbers and quoted values do not make it another; the rest is one line, with where it began."""
    faults = Faults()
    told = [faults.note(f"line {n}", f"width: must be at most 4096, got {n}, in 'x{n}'") for n in range(500)]
    assert [line is not None for line in told] == [n < TOLD for n in range(500)]
    assert faults.rest() == ["490 more as at line 0: width: must be at most 4096, got 0, in 'x0'"]


def test_another_fault_is_told_all_the_same() -> None:
    """Also where one was repeated before."""
    faults = Faults()
    for n in range(50):
        faults.note(f"line {n}", "not JSON")
    assert faults.note("line 50", "must be a JSON object") == "line 50: must be a JSON object"


def test_faults_that_are_all_different_do_not_fill_the_memory() -> None:
    """From some thousand kinds on they are counted together."""
    faults = Faults()
    words = ("".join(chr(97 + int(digit)) for digit in str(n)) for n in range(5000))
    told = [line for word in words if (line := faults.note("line 1", word))]
    assert len(told) == 1000 + TOLD
    assert faults.rest() == [f"{4000 - TOLD:,} more as at line 1: others"]
