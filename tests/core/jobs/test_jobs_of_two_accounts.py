"""Two real accounts with one folder of jobs: each has its own, sees both, and no secret."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from support.commands import run_badc
from support.forked import run_forked

from badc_core.accounts import home_folder
from badc_core.errors import ConfigInvalid
from badc_core.jobs import PipelineManifest, StageManifest
from badc_core.jobs.places import job_places, job_user

GROUP, ACCOUNTS = 60_000, (60_001, 60_002)
SECRETS = ("quail-17-token", "plover-29-token")
PIPELINE = """
name = "count"
[[stage]]
name = "count"
command = ["true"]
"""


@pytest.fixture
def shared_jobs(monkeypatch):
    """Yields the folder of the jobs of a group; pytest's own folders are for one account."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "jobs"
        root.mkdir()
        for folder, mode in ((root.parent, 0o755), (root, 0o3775)):
            os.chown(folder, -1, GROUP)
            folder.chmod(mode)
        (root.parent / "count.toml").write_text(PIPELINE)
        monkeypatch.setenv("BADC_JOBS", str(root))
        for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(variable, raising=False)
        yield root


def become(number: int) -> None:
    """Makes this process one of an account that has no name."""
    os.setgroups([GROUP])
    os.setgid(GROUP)
    os.setuid(ACCOUNTS[number])


def create(secret: str) -> dict:
    """Creates a job with a secret in its settings, and one in the environment of its stage."""
    manager = job_places().manager()
    with tempfile.NamedTemporaryFile("w") as base:
        base.write(f"HF_TOKEN={secret}\n")
        base.flush()
        job = manager.create_job(job_user(), Path(base.name))
    folder = manager.get_job_output_dir()
    os.environ["LAKE_API_TOKEN"] = secret
    PipelineManifest(folder / "manifest.json").set_input("dawn.wav")
    with StageManifest("count", folder) as stage:
        stage.add_warning(f"no answer to {secret}")
    PipelineManifest(folder / "manifest.json").finalize()
    return job


def ask(job: dict, folder: Path, code: int) -> list[str]:
    """Returns the last line of what each command answers that a colleague may not type."""
    answers = []
    for words in (
        ("config", job["job_id"]),
        ("run", "count.toml", "--resume", job["job_id"]),
        ("archive", job["job_id"]),
    ):
        done = run_badc("job", *words, folder=folder, code=code)
        answers.append((done.stdout + done.stderr).splitlines()[-1])
    return answers


def test_two_accounts_at_once_have_jobs_of_their_own_and_no_secret_of_the_other(
    shared_jobs, lacking, monkeypatch, tmp_path
) -> None:
    if os.geteuid() != 0:
        lacking("root, to become other accounts")
    folder = shared_jobs.parent
    with monkeypatch.context() as patch:  # modules of Python may be in a home that is root's
        patch.setenv("BADC_JOBS", str(tmp_path))
        patch.setenv("LAKE_API_TOKEN", "")
        ask(create("some-other-token"), folder, 0)

    def create_own(number: int) -> dict:
        become(number)
        return create(SECRETS[number])

    jobs = run_forked(create_own, 2)
    assert [one["user_id"] for one in jobs] == list(ACCOUNTS)
    for number, job in enumerate(jobs):
        for path in filter(Path.is_file, shared_jobs.rglob("*")):
            is_own = path == Path(job["env_file"])
            assert (SECRETS[number].encode() in path.read_bytes()) == is_own, path

    def look(number: int) -> list[str]:
        become(number)
        other, owner = jobs[1 - number], ACCOUNTS[1 - number]
        for name in ("env_file", "env_backup"):
            with pytest.raises(PermissionError):
                Path(other[name]).read_bytes()
        config, run, archive = ask(other, folder, 1)
        assert config.startswith(f"only {owner} may read")
        for one in (run, archive):
            assert f"this job is {owner}'s, and you may not write into its folder" in one
        os.environ.pop("HOME", None)
        with pytest.raises(ConfigInvalid, match="has no home folder"):
            home_folder()
        listed = json.loads(run_badc("job", "list", "--json", folder=folder).stdout)
        return sorted(one["user"] for one in listed)

    assert run_forked(look, 2) == [[str(one) for one in ACCOUNTS]] * 2
