"""Pipelines of stages as assets: partitions are jobs, and stages are run as by `badc job run`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from support.commands import run_badc
from support.pipeline_lab import stage
from support.waiting import wait_until

from badc_core.jobs import PipelineManifest, load_manifest
from badc_core.jobs.places import job_places
from badc_dagster.definitions import build_defs, pipeline_files
from badc_dagster.home import open_instance
from badc_dagster.run_jobs import FOLDER_TAG, JOB_TAG

HELD = "touch began; while test ! -e ../go; do sleep 0.05; done; cat b/c > d"
THREE = (
    stage("hear", 'cp "$1" a', 'inputs = ["{input}"]\noutputs = ["a"]')
    + stage("double", "cat a a > b/c", 'inputs = ["a"]\noutputs = ["b/c"]')
    + stage("write", HELD, 'inputs = ["b/c"]\noutputs = ["d"]')
)
NAMES = stage("names", "echo none; exit 3", "optional = true\ndevice = true")
FOUR = f'{NAMES}{THREE}after = ["names"]\n'


class Chain:
    """A pipeline in the asset graph of a home, and a job for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "pipelines").mkdir()
        self.write(THREE)
        (home / "dawn.txt").write_text("chip\n", encoding="utf-8")
        manager = job_places(home).manager()
        self.job_id = manager.create_job("ana")["job_id"]
        self.folder = manager.get_job_output_dir()
        PipelineManifest(self.folder / "manifest.json").set_input(home / "dawn.txt")
        self.instance = open_instance()

    def write(self, text: str) -> None:
        (self.home / "pipelines" / "words.toml").write_text(text, encoding="utf-8")

    def defs(self) -> dg.Definitions:
        return build_defs((), pipeline_files(self.home))

    def key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey(["pipelines", "words", name])

    def execute(self, *stages: str, job_id: str = ""):
        return (
            self.defs()
            .resolve_job_def("words_pipeline")
            .execute_in_process(
                instance=self.instance,
                tags={"dagster/partition": job_id or self.job_id},
                asset_selection=[self.key(one) for one in stages] or None,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        )

    def attempts(self) -> dict[str, int]:
        return {name: one["attempt"] for name, one in load_manifest(self.folder)["stages"].items()}

    def stamps(self) -> list[tuple[int, int, bytes]]:
        paths = [self.folder / one for one in ("a", "b/c")]
        return [(p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in paths]


@pytest.fixture
def chain(home):
    """Returns a pipeline and a job in a home of this test's own."""
    one = Chain(home)
    yield one
    one.instance.dispose()


def _statuses(result) -> dict[str, str]:
    return {
        event.asset_key.path[-1]: event.materialization.metadata["status"].value
        for event in result.get_asset_materialization_events()
    }


def test_a_pipeline_killed_in_a_stage_goes_on_there_and_leaves_what_is_done(chain) -> None:
    words = ["job", "execute", "-m", "badc_dagster", "-j", "words_pipeline", "--tags"]
    running = subprocess.Popen(
        [sys.executable, "-m", "dagster", *words, f'{{"dagster/partition": "{chain.job_id}"}}'],
        cwd=chain.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until((chain.folder / "began").exists)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert load_manifest(chain.folder)["pipeline"]["current_stage"] == "write"
    (run,) = chain.instance.get_runs()
    assert (run.tags[JOB_TAG], run.tags[FOLDER_TAG]) == (chain.job_id, str(chain.folder))
    shown = run_badc("job", "show", chain.job_id, folder=chain.home)
    assert f"/runs/{run.run_id}" in shown.stdout
    before = chain.stamps()
    (chain.folder.parent / "go").touch()
    result = chain.execute()
    assert result.success
    assert _statuses(result) == {"hear": "kept", "double": "kept", "write": "success"}
    assert chain.stamps() == before
    assert chain.attempts() == {"hear": 1, "double": 1, "write": 2}
    assert (chain.folder / "d").read_text() == "chip\nchip\n"
    assert load_manifest(chain.folder)["pipeline"]["status"] == "completed"
    assert chain.instance.get_dynamic_partitions("jobs/words") == [chain.job_id]
    assert list(chain.home.glob("jobs/out/*/*/*/*/*/job_info.json")) == [
        chain.folder / "job_info.json"
    ]
    assert chain.execute("double").success
    assert chain.attempts()["double"] == 2


def test_a_skipped_stage_is_shown_as_such_and_those_after_it_run(chain) -> None:
    chain.write(FOUR)
    (chain.folder.parent / "go").touch()
    result = chain.execute()
    assert result.success
    assert _statuses(result)["names"] == "skipped"
    assert _statuses(result)["write"] == "success"
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "exit code 3: none" in check.metadata["reason"].value
    pipeline = load_manifest(chain.folder)["pipeline"]
    assert (pipeline["status"], pipeline["skipped_stages"]) == ("completed", ["names"])


def test_a_failed_stage_fails_its_asset_and_those_after_it_do_not_run(chain) -> None:
    chain.write(FOUR.replace("cat a a", "echo no; exit 5; cat a a"))
    result = chain.execute()
    assert not result.success
    assert _statuses(result) == {"hear": "success", "names": "skipped"}
    failure = result.failure_data_for_node("pipelines__words__double")
    assert failure.user_failure_data.description.startswith("exit code 5: no. See ")
    assert load_manifest(chain.folder)["pipeline"]["status"] == "failed"
    assert "write" not in chain.attempts()


def test_badc_job_resume_goes_on_with_the_pipeline_of_a_job(chain, tmp_path) -> None:
    chain.write(THREE.replace("cat a a", "exit 5; cat a a"))
    assert not chain.execute().success
    (chain.folder.parent / "go").touch()
    (chain.home / "pipelines").rename(chain.home / "moved")
    gone = run_badc("job", "resume", chain.job_id, folder=tmp_path, code=1)
    assert "words.toml: the pipeline of this job is gone. Put it back" in gone.stderr
    (chain.home / "moved").rename(chain.home / "pipelines")
    chain.write(THREE)
    done = run_badc("job", "resume", chain.job_id, folder=tmp_path)
    assert "stage 1/3 hear: kept" in done.stdout
    assert chain.attempts() == {"hear": 1, "double": 2, "write": 1}


def test_a_partition_without_a_job_says_so(chain) -> None:
    result = chain.execute(job_id="20200101-001")
    failure = result.failure_data_for_node("pipelines__words__hear")
    assert "20200101-001: there is no such job" in failure.user_failure_data.description
    assert chain.instance.get_dynamic_partitions("jobs/words") == []


def test_a_pipeline_is_a_group_and_its_stages_depend_on_each_other(chain) -> None:
    chain.write(FOUR)
    graph = chain.defs().resolve_asset_graph()
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {"words"}
    parents = {key.path[-1]: graph.get(key).parent_keys for key in graph.get_all_asset_keys()}
    assert parents["hear"] == set()
    assert parents["write"] == {chain.key("double"), chain.key("names")}
    job = chain.defs().resolve_job_def("words_pipeline")
    tags = {node.name: node.tags for node in job.nodes}
    assert tags["pipelines__words__names"]["badc/devices"] == "1"
    assert "badc/devices" not in tags["pipelines__words__hear"]


def test_files_that_are_no_pipelines_leave_the_others_in_the_graph(chain, caplog) -> None:
    folder = chain.home / "pipelines"
    (folder / "broken.toml").write_text("[[stage", encoding="utf-8")
    (folder / "again.toml").write_text(f'name = "words"\n{THREE}', encoding="utf-8")
    names = {one.name for one in build_defs((), pipeline_files(chain.home)).jobs}
    assert names == {"words_pipeline"}
    assert "broken.toml: not valid TOML" in caplog.text
    assert "words.toml has the name of" in caplog.text


def test_without_a_pipeline_none_of_their_code_is_loaded(home) -> None:
    assert pipeline_files(home) == []
    code = (
        "import sys; import badc_dagster.definitions\n"
        "print([one for one in sys.modules if 'pipelines' in one])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
