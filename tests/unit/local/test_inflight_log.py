"""What a worker that is gone had in flight can be read from its log, and when it can be trusted."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.local.inflight_folder import LogFolder, usable
from worker.local.inflight_log import InflightLog, LogContents, forget

ONE, TWO = "893e87bb-6083-4249-aedd-a376cac24bee", "51843d00-ef53-47f8-ac03-6bfc219ba1eb"
BOOT = "this-boot"
HOME = f"{BOOT}/4026531836/0/17/4711/a1b2c3d4"
RESULT = json.dumps({"jobId": "ü", "metadata": {}})


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path, "redis://127.0.0.1:6379/0 aigc", BOOT)


def found(folder: LogFolder, identity: str = HOME) -> LogContents | None:
    path = folder.of(identity)
    assert path is not None
    return folder.read(path)


def log_of(folder: LogFolder, most: int = 2, identity: str = HOME) -> InflightLog:
    return InflightLog(folder.of(identity), most)


def sent(log: InflightLog, request_id: str = ONE) -> int:
    slot = log.sent(request_id)
    assert slot is not None
    return slot


def test_each_phase_is_told_apart(folder: LogFolder) -> None:
    """An attempt is sent, then answered with its result, then settled and gone."""
    log = log_of(folder)
    assert found(folder) == log.known() == LogContents(frozenset(), {}, complete=True)
    slot = sent(log)
    assert found(folder) == log.known() == LogContents(frozenset({ONE}), {}, complete=True)
    log.answered(slot, RESULT)
    assert found(folder) == log.known() == LogContents(frozenset(), {ONE: RESULT}, complete=True)
    log.settled(slot)
    assert found(folder) == LogContents(frozenset(), {}, complete=True)


def test_an_attempt_that_is_never_settled_is_not_forgotten(folder: LogFolder) -> None:
    """The next attempt takes another slot: overwriting would pass the first off as never sent."""
    log = log_of(folder)
    sent(log, ONE)
    sent(log, TWO)
    assert log.known().sent == {ONE, TWO}


def test_without_a_slot_what_is_not_there_says_nothing(folder: LogFolder) -> None:
    """When the slots run out the log is incomplete, and what it has is still true."""
    log = log_of(folder, most=1)
    log.answered(sent(log, ONE), RESULT)
    sent(log, TWO)
    after = found(folder)
    assert after is not None
    assert not after.complete
    assert after.answered == {ONE: RESULT}


def test_a_long_result_is_kept_with_its_task_id(folder: LogFolder) -> None:
    """What does not fit a slot is written more briefly, and in the end without the producer's metadata."""
    log = log_of(folder)
    many = {"jobId": "1", "taskId": "t-1", "metadata": {"a": "画" * 1300}}
    log.answered(sent(log, ONE), json.dumps(many))
    log.answered(sent(log, TWO), json.dumps({**many, "metadata": {"a": "x" * 7000}}))
    answered = log.known().answered
    assert json.loads(answered[ONE]) == many
    assert json.loads(answered[TWO]) == {**many, "metadata": {}}


def test_closing_keeps_what_is_worth_knowing(folder: LogFolder) -> None:
    """A worker that stops while Redis refuses leaves its paid task ids to whoever comes next."""
    log = log_of(folder)
    log.answered(sent(log), RESULT)
    log.close()
    assert folder.abandoned() == [folder.of(HOME)]
    assert found(folder) == LogContents(frozenset(), {ONE: RESULT}, complete=True)


def test_closing_with_nothing_in_flight_leaves_no_file(folder: LogFolder, tmp_path: Path) -> None:
    """An ordinary stop leaves nothing behind."""
    log = log_of(folder)
    log.settled(sent(log))
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_log_is_kept_where_claims_may_stand(folder: LogFolder) -> None:
    """A worker that could not say goodbye leaves behind that it had sent nothing."""
    log_of(folder).close(keep=True)
    assert found(folder) == LogContents(frozenset(), {}, complete=True)


def test_nothing_is_sent_after_the_goodbye(folder: LogFolder) -> None:
    """Once others act on what they read, no attempt may begin."""
    log = log_of(folder)
    log.forbid()
    assert log.sent(ONE) is None


def test_a_file_that_is_there_already_is_somebody_elses(
    folder: LogFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """The second log of one home is kept in memory, and the first stays as it was."""
    first = log_of(folder)
    sent(first, ONE)
    path = folder.of(HOME)
    assert path is not None
    path.with_name(f"new-{path.name}").touch()
    second = log_of(folder)
    sent(second, TWO)
    assert "no in-flight log" in caplog.text
    assert not second.is_kept
    assert second.known().sent == {TWO}
    second.close()
    assert found(folder) == LogContents(frozenset({ONE}), {}, complete=True)


def test_what_is_no_log_tells_nothing(folder: LogFolder) -> None:
    """A missing or foreign file is no evidence."""
    path = folder.of(HOME)
    assert path is not None
    assert folder.read(path) is None
    path.write_bytes(b"something else")
    assert folder.read(path) is None
    forget(path)
    assert not path.exists()
    forget(path)


def test_of_an_earlier_boot_only_answers_are_believed(folder: LogFolder) -> None:
    """What a machine that went down had in memory may not have come to its disk."""
    identity = HOME.replace(BOOT, "another-boot")
    log = log_of(folder, identity=identity)
    log.answered(sent(log), RESULT)
    log.close()
    assert found(folder, identity) == LogContents(frozenset(), {ONE: RESULT}, complete=False)
    assert folder.is_gone(identity) is None


def test_logs_of_another_queue_are_not_ours(folder: LogFolder, tmp_path: Path) -> None:
    """Two shops on one machine share the folder, and nothing else."""
    other = LogFolder(tmp_path, "redis://127.0.0.1:6379/1 aigc", BOOT)
    log = log_of(other)
    sent(log)
    log.close()
    assert folder.abandoned() == []
    assert len(other.abandoned()) == 1


def test_a_process_is_gone_when_its_lock_is(folder: LogFolder) -> None:
    """SIGKILL leaves the attempt in the file, and frees the lock that said that the process lives."""
    program = (
        "import sys, pathlib; from worker.local.inflight_log import InflightLog;"
        "log = InflightLog(pathlib.Path(sys.argv[1]), 1); log.sent(sys.argv[2]); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(folder.of(HOME)), ONE]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert folder.is_gone(HOME) is False
        assert folder.abandoned() == []
        process.kill()
        process.wait()
    assert folder.is_gone(HOME) is True
    assert folder.abandoned() == [folder.of(HOME)]
    assert found(folder) == LogContents(frozenset({ONE}), {}, complete=True)
    assert folder.is_gone(HOME.replace("a1b2c3d4", "ffffffff")) is None


def test_a_folder_that_cannot_be_used_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The worker goes on with the other folder, or without a file where there is none either."""
    (tmp_path / "file").touch()
    caplog.set_level(logging.WARNING)

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    assert usable(tmp_path / "file" / "x", lambda: tmp_path / "other") == tmp_path / "other"
    assert usable(tmp_path / "file" / "x", nowhere) is None
    assert "AIGC_STATE_DIR" in caplog.text
    log = InflightLog(None, 1)
    sent(log)
    assert log.known() == LogContents(frozenset({ONE}), {}, complete=True)
    log.close()


def test_a_new_folder_is_closed_to_others(tmp_path: Path) -> None:
    """Results hold what producers handed over."""
    folder = usable(tmp_path / "a" / "b", None)
    assert folder is not None
    assert os.stat(folder).st_mode & 0o077 == 0


def test_the_longest_result_there_can_be_fits(tmp_path: Path) -> None:
    """Also where each of its characters has a long escape: what was paid for is kept."""
    log, cat = InflightLog(tmp_path / "log", most=2), "\N{CAT FACE}"
    names = {"jobId": cat * 200, "taskId": cat * 256, "workflow": cat * 100, "version": cat * 100}
    entry = log.sent("4c1f4c39-6b4d-4a3c-8a45-000000000000")
    assert entry is not None
    log.answered(entry, json.dumps({**names, "metadata": {"kept": "y" * 4000}}))
    (found,) = log.known().answered.values()
    assert json.loads(found) == {**names, "metadata": {}}
    log.close()
