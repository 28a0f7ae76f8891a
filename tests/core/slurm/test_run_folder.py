"""The files that host and nodes exchange."""

import base64
import os
import pickle
from dataclasses import replace

import pyarrow as pa
import pytest

from badc_core.errors import DatasetInvalid, UnreadableRecording
from badc_core.outcomes import Outcome
from badc_core.slurm.lines import append_line
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import give_back
from badc_core.slurm.values import pack_value, unpack_value
from badc_core.stages.work import Work


def test_submissions_are_read_back_also_half_written(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "submissions").mkdir()
    first = folder.note_intent("badc-x", [3, 5])
    folder.note_job(first, "17")
    second = folder.note_intent("badc-x", [5])
    assert [one.job for one in folder.read_submissions()] == ["17", ""]
    folder.note_refused(second)
    assert [one.is_refused for one in folder.read_submissions()] == [False, True]
    assert folder.task_of(0, 1) == 5
    with (tmp_path / "submissions.jsonl").open("a") as file:
        file.write('{"number":1,"jo')  # the host was killed
    assert folder.read_submissions()[1] == replace(second, is_refused=True)
    assert second.name == "badc-x-1"


def test_a_line_that_was_left_half_costs_no_other(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "submissions").mkdir()
    folder.note_job(folder.note_intent("badc-x", [0]), "17")
    with (tmp_path / "submissions.jsonl").open("a") as file:
        file.write('{"number":1,"na')  # the disk was full
    folder.note_job(folder.note_intent("badc-x", [1, 2]), "18")
    append_line(tmp_path / "submissions.jsonl", {"number": 7, "job": "19"})
    known = folder.read_submissions()
    assert [(one.number, one.job, one.tasks) for one in known] == [
        (0, "17", (0,)),
        (1, "18", (1, 2)),
    ]


def test_what_was_refused_leaves_no_list_behind(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "submissions").mkdir()
    folder.note_refused(folder.note_intent("badc-x", [0]))
    assert list((tmp_path / "submissions").iterdir()) == []
    assert folder.note_intent("badc-x", [0]).number == 1


def test_values_come_back_and_texts_call_nothing() -> None:
    outcome = Outcome("r", error=UnreadableRecording("cut", "r.wav", "Copy it"))
    back = unpack_value(pack_value(outcome.error))
    assert (type(back), str(back)) == (UnreadableRecording, str(outcome.error))

    table = pa.table({"label": ["a", None], "start_ms": [1, 2]})
    assert unpack_value(pack_value([table])) == [table]

    class Evil:
        def __reduce__(self):
            return os.system, ("touch evil",)

    for text in (
        base64.b64encode(pickle.dumps(Evil())).decode(),
        base64.b64encode(b"cbadc_core.atomic\nremove_folder\n(tR.").decode(),
        base64.b64encode(b"cbadc_core.slurm.commands\nsubprocess.Popen\n(tR.").decode(),
        base64.b64encode(
            b"\x80\x04\x8c\x19badc_core.slurm.commands\x8c\x10subprocess.Popen\x93)R."
        ).decode(),
        base64.b64encode(b"Pevil\n.").decode(),
        base64.b64encode(b"C\x04evilQ.").decode(),
        "no base64!",
        "",
    ):
        with pytest.raises(DatasetInvalid, match="cannot be read"):
            unpack_value(text)


def test_of_two_jobs_for_one_submission_one_works(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "submissions").mkdir()
    assert folder.owner_of(0) == ""
    assert folder.claim(0, "17_2") == "17"
    assert folder.claim(0, "18_2") == folder.claim(0) == "17"
    assert folder.owner_of(0) == "17"
    assert [one.name for one in (tmp_path / "submissions").iterdir()] == ["0.owner"]
    assert folder.claim(1) == folder.claim(1, "18_0") == "host"
    assert folder.owner_of(1) == ""


def test_journals_come_back_once_however_often(tmp_path) -> None:
    folder, host = RunFolder(tmp_path / "run"), Work(tmp_path / "host")
    first = Work(folder.work_folder(0, "17_0.0")).journal("r")
    first.parent.mkdir(parents=True)
    first.write_text("one\ntwo\nha")
    folder.go_on_from_earlier_starts(0, "17_0.1")
    second = Work(folder.work_folder(0, "17_0.1")).journal("r")
    with second.open("a") as file:
        file.write("three\n")
    for _ in range(3):
        give_back(folder.find_journals()["r"], "r", host)
    lines = [line for line in host.journal("r").read_text().splitlines() if line]
    assert sorted(lines) == ["one", "three", "two"]


def test_lines_are_added_whole(tmp_path) -> None:
    for number in range(3):
        append_line(tmp_path / "a", {"n": number}, durably=True)
    assert (tmp_path / "a").read_text() == '{"n":0}\n{"n":1}\n{"n":2}\n'
