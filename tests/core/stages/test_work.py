"""Recordings in work: busy while a run is at work on them, dirty if it ended too early."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.errors import OutputUnwritable, RecordingBusy
from badc_core.locks import is_locked
from badc_core.settings import Settings
from badc_core.stages.work import Work

HOLD = """
import sys, time
from pathlib import Path
from badc_core.stages.work import Work
begun = Work(Path(sys.argv[1])).begin("detections", "a")
print("begun", flush=True)
time.sleep(60)
"""


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / ".badc")


def test_a_committed_recording_leaves_nothing_behind(work):
    begun = work.begin("detections", "a")
    assert work.dirty("detections") == {"a"}
    assert work.dirty("report_bundle") == set()
    begun.commit()
    assert work.dirty("detections") == set()


def test_a_recording_in_work_is_busy_for_everyone_else_in_this_stage_alone(work):
    begun = work.begin("detections", "a")
    with pytest.raises(RecordingBusy, match=r"^a: another run .* Let that end, then run again$"):
        work.begin("detections", "a")
    work.begin("detections", "b").commit()
    work.begin("recording", "a").commit()
    begun.commit()
    work.begin("detections", "a").commit()


def test_a_recording_that_was_left_is_dirty_and_free(work):
    work.begin("detections", "a").leave()
    assert work.dirty("detections") == {"a"}
    work.begin("detections", "a").commit()
    assert work.dirty("detections") == set()


def test_leaving_after_a_commit_or_twice_changes_nothing(work):
    begun = work.begin("detections", "a")
    begun.commit()
    other = work.begin("detections", "a")
    begun.commit()
    begun.leave()
    with pytest.raises(RecordingBusy):
        work.begin("detections", "a")
    other.leave()
    other.leave()
    assert work.dirty("detections") == {"a"}


def test_an_outcome_nobody_keeps_is_dirty_but_not_busy(work):
    work.begin("detections", "a")
    work.begin("detections", "a").leave()
    assert work.dirty("detections") == {"a"}


def test_analysing_excludes_others_and_leaves_no_stage_dirty(work):
    with work.analysing("a"):
        with pytest.raises(RecordingBusy), work.analysing("a"):
            pass
        with work.analysing("b"):
            work.begin("raw_detections", "a").commit()
        assert work.dirty("raw_detections") == set()
    with work.analysing("a"):
        pass


def test_what_is_marked_dirty_stays_so_until_it_was_made_again(work):
    work.begin("recording", "a").leave()
    work.begin("recording", "a").leave()
    assert work.dirty("recording") == {"a"}
    work.begin("recording", "a").commit()
    assert work.dirty("recording") == set()


def test_a_killed_process_leaves_its_recording_dirty_and_free_at_once(work):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, work.folder], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(RecordingBusy):
            work.begin("detections", "a")
        process.kill()
    started_s = time.monotonic()
    assert work.dirty("detections") == {"a"}
    work.begin("detections", "a").commit()
    assert time.monotonic() - started_s < 5


def test_the_folder_is_never_tracked(work):
    work.begin("detections", "a").commit()
    assert (work.folder / ".gitignore").read_text() == "*\n"
    assert work.journal("a").is_relative_to(work.folder)
    (work.folder / ".gitignore").unlink()
    work.begin("detections", "a").commit()
    assert (work.folder / ".gitignore").read_text() == "*\n"


def test_where_nothing_can_be_written_the_error_says_so(work):
    work.folder.write_text("a file")
    with pytest.raises(OutputUnwritable):
        work.begin("detections", "a")
    with pytest.raises(OutputUnwritable):
        work.mark_lacking("detections", "a", lacks=True)


def test_the_folder_is_in_the_dataset_unless_the_setting_puts_it_elsewhere(tmp_path):
    def folder(root, chosen=None):
        settings = {"work": {"folder": str(chosen)}} if chosen else {}
        return Dataset(tmp_path / root, Settings.model_validate(settings)).work_folder

    assert folder("a") == tmp_path / "a" / ".badc"
    assert folder("a", "x/y") == tmp_path / "a" / "x" / "y"
    local = [folder(root, tmp_path / "local") for root in ("a/site", "b/site")]
    assert {one.parent for one in local} == {tmp_path / "local"}
    assert local[0] != local[1]
    (tmp_path / "a" / "site").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "site")
    assert folder("link", tmp_path / "local") == local[0]


def test_a_recording_that_a_run_goes_on_ending_is_never_called_dirty_nor_busy_for_a_look(work):
    ended = threading.Event()

    def go_on():
        while not ended.is_set():
            work.begin("detections", "a").commit()
            work.is_busy()

    with ThreadPoolExecutor(1) as executor:
        going = executor.submit(go_on)
        try:
            for _ in range(2000):
                with suppress(RecordingBusy):
                    work.require_finished("detections", "a")
        finally:
            ended.set()  # or a failure above would wait for ever
        going.result()


def test_files_of_fingerprints_are_written_in_turn_each_by_itself(work):
    locks = work.folder / "fingerprints"
    with work.storing_fingerprints("a"), work.storing_fingerprints("b"):
        with work.storing_fingerprints(""):
            assert is_locked(locks / "a")
        assert is_locked(locks / "b")
    assert list(locks.iterdir()) == []
