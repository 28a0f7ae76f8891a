"""What a host makes of its tasks, with programs in place of Slurm's."""

import pytest
from support.detecting import step_inputs
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.hashing import sha256_file
from badc_core.slurm import array_run, queue_watch, submitting
from badc_core.slurm.array_run import ArrayRun
from badc_core.slurm.commands import Slurm
from badc_core.slurm.lines import append_line
from badc_core.slurm.node import run_task
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.values import pack_value

_TOO_MANY = "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
_CONFIG = "MaxArraySize = 1001\n"
_OVER = "".join(
    f"ArrayJobId=11 ArrayTaskId={n} JobState=COMPLETED Reason=None ExitCode=0:0\n" for n in (0, 1)
)


class Host:
    """A run of two tasks with a recording each, whose queue is looked at each time."""

    def __init__(self, tmp_path) -> None:
        for name in "ab":
            write_tone(tmp_path / "ds" / "audio" / "A" / f"{name}.wav", 1.0)
        self.dataset = Dataset.open(tmp_path / "ds", {"detector": {"name": "band_energy"}})
        self.folder = RunFolder(tmp_path / "run")
        self.said: list[str] = []
        self.attempts: list[dict[str, object]] = []
        self.inputs = step_inputs(self.dataset, ["a", "b"])
        self.folder.create(self.inputs, [["a"], ["b"]])
        self.run = self.open()

    def open(self) -> ArrayRun:
        heard = self.attempts.append, self.said.append
        return ArrayRun(self.folder, Slurm(), self.inputs, ["a", "b"], *heard)

    def tell(self, kind: str, **content: object) -> None:
        """Adds an event of the first task."""
        place = {"node": "n1", "job": "11_0", "restart": 0, "submission": 0}
        at = "2030-01-01T10:00:00+00:00"
        append_line(self.folder.events(0, "11_0.0"), {"kind": kind, "at": at, **place, **content})

    @property
    def jobs(self) -> list[str]:
        return [one.job for one in self.run.tasks.values()]


@pytest.fixture
def host(tmp_path, answers, monkeypatch):
    monkeypatch.setattr(queue_watch, "_SETTLING_S", 0.0)
    monkeypatch.setattr(queue_watch, "_SOONEST_S", 0.0)
    monkeypatch.setattr(submitting, "_FIRST_REST_S", 0.0)
    answers("scontrol", _CONFIG + _OVER)
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    answers("squeue")
    answers("sbatch", "11\n")
    return Host(tmp_path)


def test_tasks_whose_twins_wait_are_not_submitted_again(host, answers) -> None:
    host.folder.claim(0, "1_0")  # an earlier sbatch was accepted after all
    answers("squeue", "1_0|RUNNING|None\n1_1|PENDING|Priority\n")
    for _ in range(3):
        assert list(host.run.look()) == []
    assert host.jobs == ["1_0", "1_1"]
    assert len(host.folder.read_submissions()) == 1


def test_whoever_resumes_a_run_follows_the_job_that_works(host) -> None:
    host.folder.note_job(host.folder.note_intent("badc-run", [0, 1]), "11")
    host.folder.claim(0, "1_0")
    list(host.run.attach())
    assert host.jobs == ["1_0", "1_1"]


def test_a_submission_that_nobody_finds_is_written_off_for_good(host) -> None:
    host.folder.note_intent("badc-run", [0, 1])  # and then the host was killed
    list(host.run.attach())
    assert host.jobs == ["", ""]
    assert host.folder.read_submissions()[0].is_refused
    # It was accepted later: it does nothing.
    place = {"node": "n1", "job": "5_0", "restart": 0, "submission": 0}
    assert run_task(host.folder, 0, 0, place) == 0
    assert host.folder.list_events() == {}
    list(host.run.look())
    assert host.jobs == ["11_0", "11_1"]
    assert host.folder.read_submissions()[1].name == "badc-run-1"
    host.folder.shrink()
    assert run_task(host.folder, 0, 0, place) == 0


@pytest.mark.parametrize("claimed", [True, False])
def test_a_submission_that_sbatch_refuses_may_have_been_accepted(host, answers, claimed) -> None:
    answers("sbatch", err=_TOO_MANY if claimed else "sbatch: error: no mail today\n", code=1)
    if claimed:
        host.folder.claim(0, "5_0")
    else:
        answers("squeue", "4|FAILED\n5|PENDING\n")
    list(host.run.look())
    assert all(one.submission == 0 for one in host.run.tasks.values())
    assert [one.job for one in host.folder.read_submissions()] == ["5"]


def test_what_the_cluster_takes_at_once_is_remembered(host, answers) -> None:
    answers("sbatch", err=_TOO_MANY, code=1)
    squeue = answers("squeue", "9_0|RUNNING|None\n").with_suffix("")
    of_others = '#!/bin/sh\ncase "$*" in *" -n "*) exit 0 ;; esac\n'
    squeue.write_text(of_others + squeue.read_text())
    for n_submissions in (2, 3, 4):
        list(host.run.look())
        assert len(host.folder.read_submissions()) == n_submissions
    assert list((host.folder.path / "submissions").glob("*.txt")) == []


def test_a_task_that_ended_well_has_time_until_its_words_are_seen(
    host, answers, monkeypatch
) -> None:
    for _ in range(2):
        assert list(host.run.look()) == []
    assert host.jobs == ["11_0", "11_1"]
    monkeypatch.setattr(array_run, "PATIENCE_S", 0.0)
    list(host.run.look())
    assert host.jobs == ["", ""]
    assert "task 0 (job 11_0) ended with COMPLETED; resubmitted" in host.said


def test_trouble_of_slurm_ends_no_run(host, answers) -> None:
    answers("squeue", "11_0|RUNNING|None\n11_1|RUNNING|None\n")
    list(host.run.look())
    answers("squeue", err="slurm_load_jobs error: Protocol authentication error\n", code=1)
    assert list(host.run.look()) == []
    assert any("Slurm does not answer" in one for one in host.said)


def test_a_note_for_people_that_cannot_be_written_ends_no_run(host, monkeypatch, caplog) -> None:
    monkeypatch.setattr(array_run, "PATIENCE_S", 0.0)
    (host.folder.path / "ends.jsonl").mkdir()
    for _ in range(3):
        list(host.run.look())
    assert "task 0 (job 11_0) ended with COMPLETED; resubmitted" in host.said
    assert "cannot record for badc slurm logs" in caplog.text


def test_telemetry_of_the_time_without_a_host_is_kept(host) -> None:
    host.folder.note_job(host.folder.note_intent("badc-run", [0, 1]), "11")
    host.tell("started")
    for one in ("a", "gone"):
        host.tell("attempt", attempt={"recording_id": one, "worker": "cpu-0"})
    list(host.run.attach())
    assert host.attempts == [{"recording_id": "a", "worker": "n1/cpu-0"}]


def test_files_of_a_second_start_that_replaced_those_of_the_first_count(host) -> None:
    host.folder.note_job(host.folder.note_intent("badc-run", [0, 1]), "11")
    path = host.dataset.root / "a.parquet"
    usage = {"recording_id": "a", "elapsed_s": 1.0, "gpus": 0, "max_rss_mib": 1}
    contents = ["first", "second"]
    sums = []
    for text in contents:
        path.write_text(text)
        sums.append([path.stat().st_size, sha256_file(path)])
    host.tell("started")
    host.tell("outcome", value=pack_value("first"), outputs={str(path): sums[0]}, **usage)
    assert list(host.run.attach()) == []
    host.tell("outcome", value=pack_value("second"), outputs={str(path): sums[1]}, **usage)
    (outcome,) = list(host.run.look())
    assert outcome.value == "second"
    assert list(host.run.look()) == []
