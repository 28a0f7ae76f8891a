"""What commands did by hand shows in the asset graph, once, whatever happens on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from support.archives import run_in
from support.commands import BADC, run_badc
from support.forbidden import forbidden
from support.forked import run_forked

from badc_core.datasets.done_notes import leave_note, list_notes, notes_folder, now_utc, read_note
from badc_core.stages.stage import STAGES
from badc_dagster import done_notes, sensors
from badc_dagster.assets.by_hand import CHUNK_DETECTIONS, CHUNK_FILES, NOTHING_FAILED
from badc_dagster.dagster_private import close_database_connections
from badc_dagster.runs import Project
from badc_dagster.sensors import evaluate

IDS = ("rec_1", "rec_2", "rec_3")
INFER = ("--apply", "--cpu-workers", "1")

DYING = """
import os, sys
from pathlib import Path
import dagster as dg
from badc_dagster.runs import Project
target, name = {target}
done, original = [], getattr(target, name)
def dying(self, *given, **named):
    done.append(self)
    if len(done) == {calls}:
        os.kill(os.getpid(), 9)
    return original(self, *given, **named)
with Project.open(Path(sys.argv[1])) as project:
    setattr(target, name, dying)
    project.collect(print)
"""


def cut(graph, *words, code=0):
    return run_badc(
        *("chunk", "orchestrate", graph.root.name, "--apply", "--chunk-duration", 1, *words),
        folder=graph.root.parent,
        code=code,
    )


def infer(graph, *words, code=0):
    return run_badc(
        "infer", "orchestrate", graph.root, *INFER, *words, folder=graph.root.parent, code=code
    )


def scan(graph):
    return run_badc("scan", graph.root, folder=graph.root.parent)


def collect(graph, *words):
    return run_badc("slurm", "collect", graph.root, *words, folder=graph.root.parent)


def observations(graph, asset):
    records = graph.instance.fetch_observations(graph.key(asset), limit=100).records
    return [one.event_log_entry.asset_observation for one in reversed(records)]


def n_events(graph):
    return sum(
        graph.n_materialized(one) + len(observations(graph, one))
        for one in (CHUNK_FILES, CHUNK_DETECTIONS)
    )


def work_by_hand(graph):
    cut(graph)
    infer(graph)


@pytest.fixture
def by_hand(build_graph, copy_graph):
    """Returns three recordings that were cut and analysed by hand, and never scanned."""
    return copy_graph(build_graph("by_hand", work_by_hand))


def test_a_scan_shows_what_was_done_by_hand_and_the_next_one_adds_nothing(by_hand):
    assert len(list_notes(by_hand.root)) == 6
    done = scan(by_hand)
    assert "chunk files of 3 recordings, detections by chunk of 3 recordings" in done.stderr
    assert list_notes(by_hand.root) == []
    for asset in (CHUNK_FILES, CHUNK_DETECTIONS):
        assert by_hand.statuses(asset) == dict.fromkeys(IDS, "MATERIALIZED")
    assert n_events(by_hand) == 6
    assert "by hand" not in scan(by_hand).stderr
    assert n_events(by_hand) == 6


def test_events_say_what_was_typed_where_and_what_came_of_it(by_hand, tmp_path):
    scan(by_hand)
    chunks = by_hand.latest(CHUNK_FILES, "rec_2").metadata
    again = f"PATH={BADC.parent}:$PATH; {chunks['command'].value}"
    assert again.endswith("badc chunk orchestrate dataset --apply --chunk-duration 1")
    assert "Nothing to do." in run_in(tmp_path, "sh", "-c", again), "as copied from the page"
    assert chunks["dagster/partition_row_count"].value == 1
    assert (chunks["chunks_written"].value, chunks["chunk_length_s"].value) == (1, 1.0)
    assert isinstance(chunks["folder"], dg.PathMetadataValue)
    assert Path(chunks["folder"].value) == by_hand.dataset.chunk_files("rec_2")
    assert isinstance(chunks["started"], dg.TimestampMetadataValue)
    assert 0 < chunks["started"].value <= chunks["finished"].value
    found = by_hand.latest(CHUNK_DETECTIONS, "rec_2").metadata
    assert " && badc infer orchestrate /" in found["command"].value
    assert found["detector"].value.startswith("band_energy ")
    assert (found["chunks"].value, found["chunks_failed"].value) == (1, 0)
    assert found["audio_s"].value == pytest.approx(3.0)
    assert found["x_realtime"].value > 0
    assert Path(found["telemetry"].value).is_file()
    assert Path(found["manifest"].value) == by_hand.dataset.manifest("rec_2")
    assert found["host"].value
    assert not {"slurm_job", "stub"} & found.keys()


def failed_check(graph, asset):
    """Returns the examples of an asset's check as the web interface shows it; None if passed."""
    key = dg.AssetCheckKey(graph.key(asset), NOTHING_FAILED)
    (record,) = graph.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    found = record.event.dagster_event.asset_check_evaluation_data
    return None if found.passed else found.metadata["examples"].value


def test_a_failure_fails_the_check_of_its_asset_and_says_why_until_it_is_done(graph):
    whole = graph.root / "audio" / "S1" / "rec_2.wav"
    sound = whole.read_bytes()
    whole.write_bytes(sound[:1000])
    cut(graph, code=1)
    infer(graph, "--runner-cmd", "false", "--max-retries", 0, code=1)
    said = scan(graph).stderr
    assert "chunk files of 2 recordings, chunk files of 1 recording failed, detections" in said
    (unreadable,) = observations(graph, CHUNK_FILES)
    assert unreadable.partition == "rec_2"
    assert next(iter(unreadable.metadata)) == "failed"
    assert "rec_2.wav" in unreadable.metadata["failed"].value
    assert unreadable.description == f"Failed: {unreadable.metadata['failed'].value}"
    assert failed_check(graph, CHUNK_FILES) == "rec_2"
    assert graph.n_materialized(CHUNK_FILES) == 2
    failed = observations(graph, CHUNK_DETECTIONS)
    assert {one.partition for one in failed} == {"rec_1", "rec_3"}
    assert "1 of 1 chunk failed" in failed[0].metadata["failed"].value
    assert failed_check(graph, CHUNK_DETECTIONS) == "rec_1; rec_3"
    assert graph.n_materialized(CHUNK_DETECTIONS) == 0
    whole.write_bytes(sound)
    cut(graph)
    scan(graph)
    assert failed_check(graph, CHUNK_FILES) is None
    check = dg.AssetCheckKey(graph.key(CHUNK_DETECTIONS), NOTHING_FAILED)
    job = graph.defs.resolve_implicit_global_asset_job_def()
    done = job.get_subset(asset_check_selection={check}).execute_in_process(instance=graph.instance)
    (evaluated,) = done.get_asset_check_evaluations()
    assert evaluated.metadata["examples"].value == "rec_1; rec_3", "as the web interface runs it"
    (graph.root / "audio" / "S1" / "rec_3.wav").unlink()
    with Project.open(graph.root) as project:
        assert project.prune() == ("rec_3",)
    assert failed_check(graph, CHUNK_DETECTIONS) == "rec_1"


def test_the_stub_runner_is_marked(graph):
    cut(graph)
    infer(graph, "--stub-runner")
    scan(graph)
    assert graph.latest(CHUNK_DETECTIONS, "rec_1").metadata["stub"].value is True


def test_work_that_was_done_already_is_not_shown_again(by_hand):
    scan(by_hand)
    cut(by_hand)
    infer(by_hand, "--include-existing")
    assert list_notes(by_hand.root) == []


def test_assets_leave_no_notes(finished):
    assert list_notes(finished.root) == []


def test_no_job_can_make_what_is_made_by_hand(graph):
    assets = graph.defs.resolve_asset_graph()
    keys = {graph.key(CHUNK_FILES), graph.key(CHUNK_DETECTIONS)}
    assert keys <= set(assets.get_all_asset_keys())
    assert not keys & set(assets.executable_asset_keys)
    assert not keys & set(dg.AssetSelection.all().materializable().resolve(assets))
    assert assets.get(graph.key(CHUNK_DETECTIONS)).parent_keys == {graph.key(CHUNK_FILES)}
    assert assets.get(graph.key(CHUNK_FILES)).parent_keys == {graph.key("recording")}
    for key in keys:
        assert assets.get(key).partitions_def == graph.partitions
        assert assets.get(key).group_name == "dataset_by_hand"
    for job in graph.defs.resolve_all_job_defs():
        assert not keys & job.asset_layer.selected_asset_keys


def test_badc_run_shows_it_and_does_what_is_due_as_ever(by_hand):
    said = []
    with Project.open(by_hand.root) as project:
        project.scan()
        outcome = project.bring_up_to_date(show=said.append, warn=said.append)
    assert (outcome.n_finished, outcome.failures, outcome.faults) == (3, (), ())
    assert n_events(by_hand) == 6
    assert by_hand.due() == {}


def test_slurm_collect_says_what_is_not_registered_and_keeps_its_notes(by_hand):
    scan(by_hand)
    new = by_hand.add("S1/rec_4.wav")
    run_badc("chunk", "run", "--chunk-duration", 1, new, folder=by_hand.root.parent)
    done = collect(by_hand)
    assert "Nothing new" in done.stdout
    assert "1 recording is not shown, such as rec_4" in done.stderr
    assert len(list_notes(by_hand.root)) == 1
    assert "chunk files of 1 recording" in scan(by_hand).stderr
    assert list_notes(by_hand.root) == []


def test_slurm_collect_says_how_many(by_hand):
    done = collect(by_hand, "--json")
    assert json.loads(done.stdout) == {
        "finished": {CHUNK_FILES: 3, CHUNK_DETECTIONS: 3},
        "failed": {},
        "failures": {},
        "jobs": {},
        "unregistered": [],
        "unreadable": {},
        "n_kept": 0,
    }
    assert n_events(by_hand) == 6


def test_slurm_collect_says_what_failed_in_which_job_and_what_to_do(by_hand):
    found = read_note(list_notes(by_hand.root)[-1])
    scan(by_hand)
    assert "Nothing new to collect." in collect(by_hand).stdout
    cut(by_hand, "--include-existing", "--limit", 1)
    (path,) = list_notes(by_hand.root)
    note = read_note(path)
    path.unlink()
    for number, error in ((1, ""), (2, "out of luck")):
        about = {"recording_id": f"rec_{number}", "slurm_job": f"17_{number}", "error": error}
        leave_note(by_hand.root, note.model_copy(update=about))
    for number in range(4, 11):
        about = {"recording_id": "rec_2", "slurm_job": f"{number}_1", "finished_at": now_utc()}
        leave_note(by_hand.root, found.model_copy(update=about))
    done = collect(by_hand)
    counts = (
        "of 1 recording, detections by chunk of 7 recordings, chunk files of 1 recording failed"
    )
    what = f"{counts} (Slurm jobs 4, 5, 6, 7, 8, and 3 more)."
    assert what in " ".join(done.stdout.split())
    assert "rec_2 failed: out of luck" in done.stderr
    assert "1 recording failed.\nWhat a task printed: badc slurm logs" in done.stdout


def test_a_task_of_an_array_script_shows_its_job(by_hand, tmp_path):
    scan(by_hand)
    words = ("infer", "orchestrate", by_hand.root, "--cpu-workers", 1, "--include-existing")
    words = (*words, "--no-resume-completed", "--sockeye-script", tmp_path / "run.sh")
    run_badc(*words, folder=tmp_path)
    task = {"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "19"}
    env = {**os.environ, **task, "SLURMD_NODENAME": "n7", "PATH": f"{BADC.parent}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", tmp_path / "run.sh"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    scan(by_hand)
    shown = by_hand.latest(CHUNK_DETECTIONS, "rec_2").metadata
    assert (shown["slurm_job"].value, shown["host"].value) == ("17_2", "n7")
    assert f"cd {by_hand.root} && badc infer run " in shown["command"].value
    assert by_hand.n_materialized(CHUNK_DETECTIONS) == 4


def test_the_sensor_collects_a_bounded_number_each_tick(by_hand, monkeypatch):
    monkeypatch.setattr(sensors, "_MOST_NOTES", 100)
    monkeypatch.setattr(done_notes, "_AT_ONCE", 25)
    scan(by_hand)
    cut(by_hand, "--include-existing", "--limit", 1)
    note = read_note(list_notes(by_hand.root)[0])
    for _ in range(129):
        leave_note(by_hand.root, note)
    warnings = []
    for n_left in (30, 0, 0):
        place = (by_hand.instance, by_hand.connection, by_hand.dataset)
        result = evaluate(*place, None, lambda: 1_700_000_000.0, warnings.append)
        assert len(list_notes(by_hand.root)) == n_left
        wanted = {key.path[-1] for one in result.run_requests for key in one.asset_selection}
        assert wanted <= set(STAGES)
    assert n_events(by_hand) == 6 + 130
    assert warnings == []
    key = dg.AssetCheckKey(by_hand.key(CHUNK_FILES), NOTHING_FAILED)
    storage = by_hand.instance.event_log_storage
    evaluated = storage.get_asset_check_execution_history(key, limit=100)
    assert len(evaluated) == 3, "once by the scan and each tick that found notes"


def test_notes_about_recordings_that_are_not_registered_hold_no_tick_up(by_hand, monkeypatch):
    monkeypatch.setattr(sensors, "_MOST_NOTES", 5)
    scan(by_hand)
    cut(by_hand, "--include-existing", "--limit", 1)
    (path,) = list_notes(by_hand.root)
    note = read_note(path)
    path.unlink()
    for number in range(20):
        leave_note(by_hand.root, note.model_copy(update={"recording_id": f"gone_{number}"}))
    leave_note(by_hand.root, note)
    reads = []
    monkeypatch.setattr(done_notes, "read_note", lambda one: reads.append(one) or read_note(one))
    place = (by_hand.instance, by_hand.connection, by_hand.dataset)
    for _ in range(8):
        evaluate(*place, None, lambda: 1_700_000_000.0)
    assert len(reads) == 21, "each is looked at once"
    assert n_events(by_hand) == 6 + 1
    # A scan reads all of them and warns; once registered, they become events.
    assert "on 20 recordings is not shown" in scan(by_hand).stderr
    assert len(list_notes(by_hand.root)) == 20
    found = done_notes.collect(place, {f"gone_{number}" for number in range(20)})
    assert (found.n_events, list_notes(by_hand.root)) == (20, [])


def test_badc_run_says_a_warning_once(by_hand):
    cut(by_hand, "--include-existing", "--limit", 1)
    note = read_note(list_notes(by_hand.root)[0])
    leave_note(by_hand.root, note.model_copy(update={"recording_id": "gone"}))
    said = run_badc("run", by_hand.root, folder=by_hand.root.parent).stderr
    assert said.count("is not shown, such as gone") == 1


@pytest.mark.parametrize(
    ("target", "calls", "n_shown"),
    [
        ("Path, 'unlink'", 3, 12 - 2),  # two of six were removed after all were stored
        ("dg.DagsterInstance, 'report_runless_asset_event'", 4, 6),
    ],
)
def test_a_kill_in_between_loses_nothing(by_hand, target, calls, n_shown):
    by_hand.scan()
    script = DYING.format(target=target, calls=calls)
    done = subprocess.run([sys.executable, "-c", script, by_hand.root], check=False)
    assert done.returncode == -9
    with Project.open(by_hand.root) as project:
        project.collect(print)
    assert n_events(by_hand) == n_shown
    for asset in (CHUNK_FILES, CHUNK_DETECTIONS):
        assert by_hand.statuses(asset) == dict.fromkeys(IDS, "MATERIALIZED")
    assert list_notes(by_hand.root) == []


def test_several_processes_collect_each_note_once(by_hand):
    by_hand.scan()
    note = read_note(list_notes(by_hand.root)[0])
    for _ in range(114):
        leave_note(by_hand.root, note)
    close_database_connections()  # those of this process are of no use in others

    def collect(_: int) -> int:
        with Project.open(by_hand.root) as project:
            return project.collect(print).n_events

    counts = run_forked(collect, 3)
    assert sum(counts) == 120
    assert n_events(by_hand) == 120


def test_what_is_no_note_is_set_aside_and_named_once(by_hand):
    by_hand.scan()
    folder = notes_folder(by_hand.root)
    for name, content in (("0.json", b"{"), ("1.json", b'{"kind": "cake"}'), ("2.json", b"\xff")):
        (folder / name).write_bytes(content)
    done = scan(by_hand)
    assert "3 notes of work by hand cannot be used, such as" in done.stderr
    assert "0.json: not a note" in done.stderr
    assert n_events(by_hand) == 6
    assert sorted(one.name for one in folder.iterdir()) == [
        f"{n}.json.unreadable" for n in range(3)
    ]
    assert "trouble" not in scan(by_hand).stderr


def test_notes_that_may_not_be_removed_are_left(by_hand, tmp_path):
    by_hand.scan()
    folder, closed = notes_folder(by_hand.root), tmp_path / "closed"
    closed.mkdir()
    # In the block this thread obeys permissions, though it may be root's.
    with forbidden(closed), Project.open(by_hand.root) as project:
        folder.chmod(0o555)
        warnings = []
        assert project.collect(warnings.append).n_kept == 6
        assert "6 notes of work by hand left: you may not remove files" in warnings[0]
        folder.chmod(0)
        assert project.collect(warnings.append).n_events == 0
        assert "Permission denied" in warnings[1]
        folder.chmod(0o755)
        assert project.collect(warnings.append).n_events == 6
    assert n_events(by_hand) == 6
