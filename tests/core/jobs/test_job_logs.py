"""The logs of a job: found by stage, and followed through rotation to the end of the job."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import BADC, run_badc
from support.forbidden import forbidden

from badc_core.errors import JobUnknown
from badc_core.jobs import PipelineManifest, StageManifest
from badc_core.jobs.job_logs import LogText, find_logs, follow_logs, read_log, stages_with_logs
from badc_core.jobs.job_states import has_ended
from badc_core.jobs.places import job_places


class Followed:
    """What a thread reads of growing logs."""

    def __init__(self, log_dir: Path, stage: str | None = None) -> None:
        self.is_over = False
        self.pieces: list[LogText] = []
        self._thread = threading.Thread(target=self._read, args=(log_dir, stage))
        self._thread.start()

    def _read(self, log_dir: Path, stage: str | None) -> None:
        for piece in follow_logs(log_dir, stage, lambda _: self.is_over, poll_s=0.005):
            self.pieces.append(piece)

    @property
    def text(self) -> str:
        return "".join(one.text for one in self.pieces)

    def wait_for(self, text: str) -> None:
        end_s = time.monotonic() + 20
        while text not in self.text:
            assert time.monotonic() < end_s, self.text
            time.sleep(0.002)

    def end(self) -> str:
        self.is_over = True
        self._thread.join()
        return self.text


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    found = Followed(tmp_path / "logs")
    yield found
    found.end()


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_logs_are_followed_through_every_kind_of_rotation(tmp_path, followed) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "asr.log"
    _append(log, b"one\n")
    followed.wait_for("one")
    with log.open("ab") as still_open:  # renamed, while its writer goes on in it
        log.rename(logs / "asr.log.1")
        _append(log, b"three\n")
        followed.wait_for("three")
        still_open.write(b"two\n")
    followed.wait_for("two")
    (logs / "asr.log.2").write_bytes(log.read_bytes())  # copied, and emptied
    os.truncate(log, 0)
    time.sleep(0.05)
    _append(log, b"4\n")
    followed.wait_for("4\n")
    (logs / "asr.log.3.gz").write_bytes(b"\x1f\x8bpacked")
    _append(logs / "mux.log", b"five\n")
    followed.wait_for("five")
    log.unlink()
    _append(log, "sechs ü".encode()[:-1])
    followed.wait_for("sechs")
    _append(log, "ü".encode()[1:] + b" \xff last")
    text = followed.end()
    assert sorted(text.split()) == sorted(
        ["one", "three", "two", "4", "five", "sechs", "ü", "�", "last"]
    )


def test_what_was_written_before_the_end_is_read(tmp_path) -> None:
    for number in range(20):
        log = tmp_path / f"{number}.log"
        found = Followed(tmp_path, str(number))
        _append(log, b"last")
        assert found.end() == "last"


def test_logs_of_a_stage_are_its_own(tmp_path) -> None:
    names = ("asr.log", "asr.log.1", "asr_post.log", "orchestrator_20251030_154430.log", ".hidden")
    for number, name in enumerate(names):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1e9 - number, 1e9 - number))
    found = find_logs(tmp_path, "asr")
    assert [one.name for one in found] == ["asr.log.1", "asr.log"]
    assert [one.text for path in found for one in read_log(path)] == ["asr.log.1", "asr.log"]
    assert [one.name for one in find_logs(tmp_path, "orchestrator")] == [names[3]]
    assert len(find_logs(tmp_path)) == 4
    assert stages_with_logs(tmp_path) == ["asr", "asr_post", "orchestrator"]
    for wrong in ("mux", ".*", "as"):
        assert find_logs(tmp_path, wrong) == []
    assert find_logs(tmp_path / "missing", "mux") == []
    for secret in (tmp_path, tmp_path / "asr.log"):
        with forbidden(secret), pytest.raises(JobUnknown, match="cannot be read"):
            list(read_log(find_logs(tmp_path, "asr")[-1]))


def test_a_job_has_ended_when_nothing_more_is_to_come(tmp_path) -> None:
    assert not has_ended(tmp_path, 1000.0)  # not begun
    stage = StageManifest("asr", tmp_path)
    assert not has_ended(tmp_path, 1000.0)
    stage.save("failed")
    assert not has_ended(tmp_path, 1.0)  # tried again, perhaps
    assert has_ended(tmp_path, 61.0)
    PipelineManifest(tmp_path / "manifest.json").finalize("failed")
    assert has_ended(tmp_path, 0.0)


def test_the_command_ends_with_the_job(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path))
    job = job_places().manager().create_job("ana")
    folder, logs, name = Path(job["output_dir"]), Path(job["log_dir"]), job["job_id"]
    assert "keeps no logs" in run_badc("job", "logs", name, folder=tmp_path).stderr
    _append(logs / "asr.log", b"first \x1b[1mline")
    with StageManifest("asr", folder):
        command = [BADC, "job", "logs", name, "asr", "-f"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.read(1) == "f"
            _append(logs / "asr.log", b"\nsecond line\n")
            StageManifest("asr", folder).save()
            PipelineManifest(folder / "manifest.json").finalize()
            assert process.stdout.read() == "irst \x1b[1mline\nsecond line\n"
    assert process.returncode == 0
    done = json.loads(run_badc("job", "logs", name, "--json", folder=tmp_path).stdout)
    assert [one["text"].splitlines()[-1] for one in done["logs"]] == ["second line"]
    run_badc("job", "logs", name, "-f", "--json", folder=tmp_path, code=2)
    done = run_badc("job", "logs", name, "mux", folder=tmp_path, code=1)
    assert "has no log of stage mux. There are: asr" in done.stderr
    (logs / "mux.log").write_text("without an end of line")
    os.utime(logs / "mux.log", (1, 1))
    done = run_badc("job", "logs", name, folder=tmp_path)
    assert done.stdout.startswith("without an end of line\nfirst")
    done = run_badc("job", "logs", name, "tmdb", "-f", folder=tmp_path)
    assert "There are: asr, mux" in done.stderr
