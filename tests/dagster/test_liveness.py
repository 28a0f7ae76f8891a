"""Runs whose process was killed are found by the lock the kernel released, and closed."""

import fcntl
import subprocess
from functools import partial

import dagster as dg
import pytest
from support.commands import BADC, run_typed
from support.waiting import wait_until

from badc_core.cli.app import build_app
from badc_core.datasets.connections import connect
from badc_dagster.dagster_private import EngineEventData
from badc_dagster.due import find_busy
from badc_dagster.home import open_instance
from badc_dagster.liveness import LOCKS_FIRST_TAG, close_dead_runs, show_alive, show_ended
from badc_dagster.partitions import KeyOrder, range_tags
from badc_dagster.runs import Project

UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


@pytest.fixture
def running(home, tmp_path, field_audio):
    """Returns a `badc run` in the middle of its first run; enough audio to last for seconds."""
    audio = tmp_path / "big" / "audio" / "S1"
    audio.mkdir(parents=True)
    sound = (field_audio / "soundscape.flac").read_bytes()
    for number in range(40):
        (audio / f"rec_{number:02d}.flac").write_bytes(sound)
    (tmp_path / "big" / "badc.toml").write_text('[detector]\nname = "band_energy"\n', "utf-8")
    connect(home, tmp_path / "big")
    process = subprocess.Popen(
        [BADC, "run", tmp_path / "big"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with open_instance() as instance:
            wait_until(lambda: statuses(instance) == [dg.DagsterRunStatus.STARTED])
        assert list((home / "live").glob("*.lock"))
        yield process
    finally:
        process.kill()
        process.wait()


def statuses(instance):
    return [run.status for run in instance.get_runs()]


@pytest.mark.slow
def test_a_live_run_is_left_alone_and_a_killed_one_is_closed(running, home):
    with open_instance() as instance:
        assert statuses(instance) == [dg.DagsterRunStatus.STARTED]
        assert close_dead_runs(instance, grace_s=0) == []
        assert statuses(instance) == [dg.DagsterRunStatus.STARTED]

        running.kill()
        running.wait()
        assert statuses(instance) == [dg.DagsterRunStatus.STARTED]
        (run,) = instance.get_runs()
        assert close_dead_runs(instance, grace_s=3600) == [run.run_id]
        assert statuses(instance) == [dg.DagsterRunStatus.FAILURE]
        events = [record.message for record in instance.all_logs(run.run_id)]
        assert "The process of this run has ended (killed or crashed)." in " ".join(events)
        assert list((home / "live").iterdir()) == []
        assert close_dead_runs(instance, grace_s=0) == []


def test_a_run_of_badc_run_that_is_executed_again_in_the_web_interface_may_start(graph):
    graph.scan()
    create = partial(
        graph.instance.create_run_for_job,
        graph.defs.resolve_job_def("corpus_job"),
        tags=LOCKS_FIRST_TAG,
    )
    first = create(status=dg.DagsterRunStatus.FAILURE)
    again = create(
        status=dg.DagsterRunStatus.STARTING, parent_run_id=first.run_id, root_run_id=first.run_id
    )
    assert close_dead_runs(graph.instance, grace_s=0) == []
    killed = create(status=dg.DagsterRunStatus.STARTING)
    assert close_dead_runs(graph.instance, grace_s=0) == [killed.run_id]
    assert not graph.instance.get_run_by_id(again.run_id).is_finished


def test_a_run_that_never_held_a_lock_is_left_alone(graph):
    graph.scan()
    run = graph.instance.create_run_for_job(
        graph.defs.resolve_job_def("corpus_job"), status=dg.DagsterRunStatus.STARTED
    )
    assert close_dead_runs(graph.instance, grace_s=0) == []
    assert graph.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


@pytest.fixture
def stranger(finished, tmp_path):
    """Makes an unfinished run over all recordings, and the lock that its process took."""
    graph, home = finished, tmp_path / "home"

    def make(status):
        run = graph.instance.create_run_for_job(
            graph.defs.resolve_job_def("pipeline_job"),
            status=status,
            tags=range_tags(["rec_1", "rec_3"]),
        )
        (home / "live").mkdir(exist_ok=True)
        return run.run_id, (home / "live" / f"{run.run_id}.lock").open("w")

    return make


def working(graph):
    keys = KeyOrder.read(graph.instance, graph.connection)
    return find_busy(graph.instance, graph.connection, keys)


def test_a_run_is_dead_as_soon_as_its_lock_is_free_however_far_it_came(finished, stranger):
    for status in UNFINISHED:
        run_id, lock = stranger(status)
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            assert working(finished) == {"rec_1", "rec_2", "rec_3"}
            assert close_dead_runs(finished.instance, grace_s=0) == []
        assert working(finished) == set()
        assert close_dead_runs(finished.instance, grace_s=0) == [run_id]


def test_the_next_run_leaves_recordings_alone_that_another_run_is_at_work_on(
    finished, stranger, tmp_path
):
    finished.configure("[report]\ntop_labels = 3\n")
    run_id, lock = stranger(dg.DagsterRunStatus.STARTED)
    with Project.open(finished.root) as project:
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            outcome = project.bring_up_to_date()
            assert (outcome.n_busy, outcome.n_finished) == (3, 0)
            assert not outcome.nothing_to_do
            done = run_typed(build_app(), "run", finished.root, code=1)
            assert "3 recordings left to other runs" in done.stdout
            assert "Nothing was done. Run again when the other runs have ended" in done.stderr
            finished.add("rec_4.wav")
            limited = run_typed(build_app(), "run", finished.root, "--limit", 1)
            assert "1 of 4 recordings complete, 3 not done" in limited.stdout
        assert project.bring_up_to_date().n_finished == 4
    left = {path.stem for path in (tmp_path / "home" / "live").glob("*.lock")}
    assert left <= {run_id}, "finished runs leave none"


def test_the_lock_of_a_run_about_to_be_created_is_not_swept(graph, home):
    show_alive("soon")
    try:
        close_dead_runs(graph.instance)
        assert (home / "live" / "soon.lock").exists()
    finally:
        show_ended("soon")
    assert not (home / "live" / "soon.lock").exists()


def test_locks_of_finished_runs_are_swept(finished):
    live = finished.root.parent / "home" / "live"
    assert list(live.glob("*.lock"))
    assert close_dead_runs(finished.instance) == []
    assert list(live.glob("*.lock")) == []


def test_a_run_of_the_command_without_a_lock_is_dead_at_once(graph):
    graph.scan()
    for status in UNFINISHED:
        run = graph.instance.create_run_for_job(
            graph.defs.resolve_job_def("pipeline_job"),
            status=status,
            tags={**range_tags(["rec_1", "rec_3"]), "badc/started_by": "badc run"},
        )
        assert working(graph) == set()
        assert close_dead_runs(graph.instance) == [run.run_id]
        assert graph.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_ended_before_its_first_step_is_dead_at_once(graph):
    graph.scan()
    run = graph.instance.create_run_for_job(
        graph.defs.resolve_job_def("pipeline_job"),
        status=dg.DagsterRunStatus.STARTING,
        tags=range_tags(["rec_1", "rec_3"]),
    )
    with subprocess.Popen(["sleep", "60"]) as process:
        event = EngineEventData.in_process(process.pid)
        graph.instance.report_engine_event("Started process for run.", run, event)
        assert working(graph) == {"rec_1", "rec_2", "rec_3"}
        process.kill()
    assert working(graph) == set()
