"""Archives of jobs: everything in them, nothing secret, and nothing lost when killed."""

import json
import os
import random
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from support.commands import run_badc
from support.disks import small_disk
from support.forbidden import forbidden
from support.forked import fork

from badc_core.errors import ArchiveInvalid, JobBusy, JobUnknown, OutputUnwritable, StorageFull
from badc_core.jobs import PipelineManifest, StageManifest
from badc_core.jobs.archive import archive_job, archive_path
from badc_core.jobs.finding import JobFinder, JobFolders
from badc_core.jobs.job_states import summarize
from badc_core.jobs.places import JobPlaces
from badc_core.jobs.work_lock import working_on

PLANTED = "hf_3f9ab77c21d0_and_more"
ODD = ("new\nline", "back\\slash", "-rf", "ü 'quoted\"", os.fsdecode(b"not-utf8-\xff"), "x" * 200)


@pytest.fixture
def places(tmp_path: Path) -> JobPlaces:
    places = JobPlaces(tmp_path / "jobs")
    places.manager()
    (places.config_dir / ".env").write_text(f"A=1\nHF_TOKEN={PLANTED}\n")
    return places


def make_job(places: JobPlaces, n_files: int = 0) -> JobFolders:
    """Returns a job that is over, with odd names, links and logs with a secret."""
    created = places.manager().create_job("ana")
    folder, logs = Path(created["output_dir"]), Path(created["log_dir"])
    with StageManifest("asr", folder) as stage:
        for name in ODD:
            (folder / "deep" / name).mkdir(parents=True)
            (folder / "deep" / name / name).write_text(name, errors="surrogateescape")
        for number in range(n_files):
            (folder / f"file_{number}").write_bytes(os.urandom(20_000))
        stage.add_output("odd", folder / "deep" / "-rf" / "-rf")
    (folder / "link").symlink_to("deep/-rf/-rf")
    (folder / "dangling").symlink_to("/nowhere/at all")
    (folder / "secrets-by-link").symlink_to(created["env_file"])
    (folder / "hard").hardlink_to(folder / "deep" / "-rf" / "-rf")
    os.mkfifo(folder / "pipe")
    (folder / "empty").mkdir()
    (logs / "asr.log").write_text(f"token {PLANTED}\nline\n")
    PipelineManifest(folder / "manifest.json").finalize()
    return JobFinder(places).find(created["job_id"])


def unpack(job: JobFolders, target: Path) -> tuple[Path, Path]:
    """Returns outputs and logs of an archive that common programs have unpacked and checked."""
    target.mkdir()
    subprocess.run(["tar", "-xzf", archive_path(job), "-C", target], check=True)
    out, logs = below(target, job)
    sums = out.with_name(f"{job.job_id}.files.sha256").relative_to(target)
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", sums], cwd=target, check=True)
    return out, logs


def below(target: Path, job: JobFolders) -> tuple[Path, Path]:
    """Returns where an archive that was unpacked in a folder has outputs and logs."""
    tail = job.output_dir.parts[-5:]
    return target.joinpath("out", *tail), target.joinpath("logs", *tail)


def contents(folder: Path) -> dict[str, object]:
    """Returns what is below a folder: content of files, target of links; locks left out."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115
        elif path.is_file() and name not in {"archive.json", ".at_work.lock"}:
            found[name] = path.read_bytes()
        elif path.is_dir():
            found[name] = None
    return found


def test_an_archive_has_everything_and_no_secret(places, tmp_path) -> None:
    job = make_job(places)
    (job.output_dir / "mine").mkdir()
    (job.output_dir / "mine" / "archive.json").write_text("of the user")
    before, logs = contents(job.output_dir), contents(job.log_dir)
    record = archive_job(places, job)
    out, unpacked_logs = unpack(job, tmp_path / "unpacked")
    assert contents(out) == before == contents(job.output_dir)
    assert (out / "pipe").is_fifo()
    assert contents(unpacked_logs) == {"asr.log": b"token ***\nline\n"}
    assert contents(job.log_dir) == logs
    beside = job.output_dir.parent
    subprocess.run(["sha256sum", "-c", f"{job.job_id}.tar.gz.sha256"], cwd=beside, check=True)
    listed = (beside / f"{job.job_id}.files.sha256").read_bytes()
    assert listed == out.with_name(f"{job.job_id}.files.sha256").read_bytes()
    assert record["path"] == str(archive_path(job))
    assert record["removed_at"] is None
    with tarfile.open(archive_path(job)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            assert file is None or PLANTED.encode() not in file.read()


def test_the_same_job_is_archived_once(places) -> None:
    job = make_job(places)
    first = archive_job(places, job)
    content = archive_path(job).read_bytes()
    assert archive_job(places, job) == first
    assert archive_path(job).read_bytes() == content
    (job.output_dir / "deep" / "-rf" / "-rf").write_text("changed")
    for remove in (False, True):
        with pytest.raises(JobBusy, match="has changed since"):
            archive_job(places, job, remove=remove)
    assert archive_path(job).read_bytes() == content


def test_deleting_leaves_what_shows_where_the_job_went(places, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_JOBS", str(places.root))
    job = make_job(places)
    before = contents(job.output_dir)
    done = run_badc("job", "archive", job.job_id, "--delete", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["left"] == []
    assert not list(places.config_dir.glob(".env.job_*"))
    left = {one.name for one in job.output_dir.iterdir()}
    assert left == {"job_info.json", "manifest.json", "archive.json"}
    assert not job.log_dir.exists()
    assert contents(unpack(job, tmp_path / "unpacked")[0]) == before
    shown = run_badc("job", "show", job.job_id, folder=tmp_path).stdout
    assert f"Archive: {archive_path(job)}" in shown
    assert "archived" in shown
    assert "asr" in shown
    assert str(archive_path(job)) in run_badc("job", "logs", job.job_id, folder=tmp_path).stderr
    again = json.loads(run_badc("job", "archive", job.job_id, "--json", folder=tmp_path).stdout)
    assert again["removed_at"]
    listed = json.loads(run_badc("job", "list", "--json", folder=tmp_path).stdout)
    assert [one["state"] for one in listed] == ["archived"]
    subprocess.run(["tar", "-xzf", archive_path(job), "-C", places.root], check=True)
    assert contents(job.output_dir) == before
    listed = json.loads(run_badc("job", "list", "--json", folder=tmp_path).stdout)
    assert [one["state"] for one in listed] == ["completed"]
    assert "asr.log" in run_badc("job", "logs", job.job_id, folder=tmp_path).stderr
    # It may be archived once more, in the same file.
    again = json.loads(
        run_badc("job", "archive", job.job_id, "--delete", "--json", folder=tmp_path).stdout
    )
    assert again["left"] == []
    assert summarize(job).state == "archived"


def test_what_is_not_in_the_archive_is_not_removed(places, tmp_path) -> None:
    job = make_job(places)
    bound = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(job.output_dir)  # the path of a socket must be short
    try:
        bound.bind("socket")
    finally:
        os.chdir(here)
    record = archive_job(places, job, remove=True)
    bound.close()
    assert record["left"] == [str(job.output_dir / "socket")]
    assert (job.output_dir / "socket").is_socket()


def test_a_job_that_runs_is_refused(places) -> None:
    job = make_job(places)
    StageManifest("mux", job.output_dir)
    with pytest.raises(JobBusy, match=f"mux .process {os.getpid()}"):
        archive_job(places, job)
    StageManifest("mux", job.output_dir).save()
    (job.output_dir / "runs.json").write_text('{"started_by": "badc run", "ended": null}')
    with pytest.raises(JobBusy, match="runs started by badc run"):
        archive_job(places, job)
    (job.output_dir / "runs.json").unlink()
    PipelineManifest(job.output_dir / "manifest.json").finalize()
    with working_on(job.output_dir), working_on(job.output_dir):
        assert summarize(job).state == "running"
        with pytest.raises(JobBusy, match="by another process"):
            archive_job(places, job)
    assert summarize(job).state == "completed"
    PipelineManifest(job.output_dir / "manifest.json").set_input("again")
    with pytest.raises(JobBusy, match="has just ended"):
        archive_job(places, job)
    assert not archive_path(job).exists()


@pytest.mark.parametrize("name", ["deep/-rf/-rf", "deep/-rf"])
def test_what_cannot_be_read_is_named(places, name) -> None:
    job = make_job(places)
    with (
        forbidden(job.output_dir / name),
        pytest.raises(JobUnknown, match=rf"{name}: cannot be read .Permission denied"),
    ):
        archive_job(places, job, remove=True)
    assert not archive_path(job).exists()


def test_an_output_with_a_secret_is_refused(places) -> None:
    job = make_job(places)
    (job.output_dir / "table.bin").write_bytes(b"\0" * (1 << 20) + b"x" + PLANTED.encode())
    with pytest.raises(OutputUnwritable, match=r"table\.bin: has a secret"):
        archive_job(places, job)
    across = b"\0" * ((1 << 20) - 5) + PLANTED.encode()
    (job.output_dir / "table.bin").write_bytes(across)
    with pytest.raises(OutputUnwritable, match=r"table\.bin: has a secret"):
        archive_job(places, job)
    assert not archive_path(job).exists()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_a_damaged_archive_removes_nothing(places, place) -> None:
    job = make_job(places, n_files=2)
    before = contents(job.output_dir)
    archive_job(places, job)
    path = archive_path(job)
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * place), len(content) - 1)] ^= 0x10
    path.write_bytes(content)
    for beside in (True, False):
        with pytest.raises(ArchiveInvalid):
            archive_job(places, job, remove=True)
        if beside:
            path.with_name(f"{path.name}.sha256").unlink()
    assert contents(job.output_dir) == before


def test_another_file_of_that_name_is_kept(places) -> None:
    job = make_job(places)
    archive_path(job).write_text("something else")
    with pytest.raises(ArchiveInvalid, match="cannot be read"):
        archive_job(places, job, remove=True)
    assert archive_path(job).read_text() == "something else"
    assert (job.output_dir / "hard").exists()


def test_a_full_disk_leaves_the_job_as_it_was(tmp_path) -> None:
    with small_disk(tmp_path / "disk", 1500):
        places = JobPlaces(tmp_path / "disk")
        job = make_job(places, n_files=50)
        before = contents(job.output_dir)
        with pytest.raises(StorageFull):
            archive_job(places, job, remove=True)
        assert contents(job.output_dir) == before
        assert not list(job.output_dir.parent.glob(f"*{job.job_id}*tar*"))


def _kill_while_archiving(places: JobPlaces, job: JobFolders, after_s: float) -> bool:
    """Returns whether the process was killed before it was done."""
    pid = fork(lambda: archive_job(places, job, remove=True))
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL


def _archive_with_kills(places: JobPlaces, target: Path, chance: random.Random) -> int:
    """Archives a job that is killed again and again; returns how often it was."""
    job = make_job(places, n_files=10)
    before = contents(job.output_dir)
    other = make_job(places, n_files=10)
    began_s = time.monotonic()
    archive_job(places, other, remove=True)
    whole_s = time.monotonic() - began_s
    n_kills = 0
    for number in range(6):  # the first at once, when it is surely not over
        after_s = chance.uniform(0, whole_s) if number else 0.0
        n_kills += _kill_while_archiving(places, job, after_s)
        here = contents(job.output_dir)
        if archive_path(job).exists():
            target.mkdir(exist_ok=True)
            subprocess.run(["tar", "-xzf", archive_path(job), "-C", target], check=True)
            here |= contents(below(target, job)[0])
        assert {name: here.get(name) for name in before} == before
    archive_job(places, job, remove=True)
    assert {one.name for one in job.output_dir.iterdir()} == {
        "job_info.json", "manifest.json", "archive.json",
    }  # fmt: skip
    assert contents(unpack(job, target.with_name(f"{target.name}_end"))[0]) == before
    assert not list(job.output_dir.parent.glob(".*.part"))
    return n_kills


def test_killed_at_any_moment_nothing_is_lost(places, tmp_path) -> None:
    chance = random.Random(2)
    n_kills = _archive_with_kills(places, tmp_path / "unpacked", chance)
    assert n_kills > 0


@pytest.mark.soak
def test_killed_at_many_moments_nothing_is_lost(places, tmp_path) -> None:
    chance = random.Random(6)
    for number in range(40):
        _archive_with_kills(places, tmp_path / f"unpacked_{number}", chance)
