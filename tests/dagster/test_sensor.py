"""The sensor, tick by tick: settled files are registered and what is due is requested once."""

import json
import os
import shutil

import dagster as dg
import pytest

from badc_core.recordings.registry import read_registry
from badc_core.recordings.scan import FoundAudio
from badc_core.stages.stage import STAGES
from badc_dagster import corpus_requests
from badc_dagster.due import DueFinder
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.partitions import range_tags
from badc_dagster.sensors import Cursor, Request, evaluate
from badc_dagster.settling import MAX_FILES_PER_TICK, settled

NOON_S = 1_700_000_000
OLD_S = NOON_S - 3600
CORPUS = (["corpus_detections", "corpus_report"], None, None)
IDS = ("rec_1", "rec_2", "rec_3")


class Watch:
    """A sensor with a clock that only tests move; keeps the cursor from tick to tick."""

    def __init__(self, graph):
        self.graph = graph
        self.cursor = None
        self.now_s = NOON_S
        self.shows_corpus = False

    def tick(self, after_s=30):
        """Returns the run requests of the next tick as (assets, partition or range)."""
        self.now_s += after_s
        result = evaluate(
            self.graph.instance,
            self.graph.connection,
            self.graph.dataset,
            self.cursor,
            lambda: self.now_s,
        )
        self.cursor = result.cursor
        self.told = result.skip_reason and result.skip_reason.skip_message
        shown = [self.shown(one) for one in result.run_requests or ()]
        return [one for one in shown if one != CORPUS or self.shows_corpus]

    def shown(self, request):
        assets = [key.path[-1] for key in request.asset_selection]
        first = request.tags.get("dagster/asset_partition_range_start", request.partition_key)
        last = request.tags.get("dagster/asset_partition_range_end", request.partition_key)
        assert request.job_name == (None if (assets, first, last) == CORPUS else "pipeline_job")
        return (assets, first, last)

    def registered(self):
        return list(read_registry(self.graph.dataset.registry).ids)


def age(graph, modified_s=OLD_S):
    for path in (graph.root / "audio").rglob("*.wav"):
        os.utime(path, (modified_s, modified_s))


@pytest.fixture
def watch(graph):
    """Returns a sensor over an empty dataset."""
    shutil.rmtree(graph.root / "audio")
    (graph.root / "audio").mkdir()
    return Watch(graph)


@pytest.fixture
def watch_finished(finished):
    """Returns a sensor over three recordings of which everything is done, before its first tick."""
    age(finished)
    return Watch(finished)


def put(watch, name, sound="aru_1.wav", modified_s=OLD_S):
    path = watch.graph.add(name, sound)
    os.utime(path, (modified_s, modified_s))
    return path


def daemon_tick(graph, cursor=None):
    """Returns what a tick gives when evaluated the way Dagster's daemon does it."""
    repository = graph.defs.get_repository_def()
    with dg.build_sensor_context(
        instance_ref=graph.instance.get_ref(), cursor=cursor, repository_def=repository
    ) as context:
        return repository.get_sensor_def("new_audio_sensor").evaluate_tick(context)


def test_a_growing_file_is_left_alone_until_it_stops(watch):
    path = put(watch, "S1/a.wav", modified_s=NOON_S)
    whole = path.read_bytes()
    for part in (1000, 5000, 9000):
        path.write_bytes(whole[:part])
        os.utime(path, (watch.now_s + 25, watch.now_s + 25))
        assert watch.tick() == []
        assert watch.registered() == []
        assert watch.told == "nothing due; 1 file(s) still settling"
    path.write_bytes(whole)
    os.utime(path, (watch.now_s, watch.now_s))
    assert watch.tick() == []
    assert watch.registered() == []
    assert watch.tick() == [(list(STAGES), "a", "a")]
    assert watch.registered() == ["a"]


def test_a_file_whose_time_was_kept_by_the_copy_must_still_stop_growing(watch):
    path = put(watch, "S1/a.wav")
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    os.utime(path, (OLD_S, OLD_S))
    assert watch.tick() == []
    path.write_bytes(whole)
    os.utime(path, (OLD_S, OLD_S))
    assert watch.tick() == []
    assert watch.registered() == []
    assert len(watch.tick()) == 1


def test_a_settled_recording_alone_gets_its_whole_chain_once(watch):
    put(watch, "S1/a.wav")
    watch.tick()
    assert watch.tick() == [(list(STAGES), "a", "a")]
    assert watch.graph.instance.get_dynamic_partitions("recordings") == ["a"]
    assert watch.tick() == []
    assert watch.told == "nothing due"


def test_several_recordings_get_one_range_for_each_asset_as_it_comes_due(watch):
    for name in ("S1/a.wav", "S1/b.wav", "S2/c.wav"):
        put(watch, name)
    watch.tick()
    first, second, *_ = STAGES
    assert watch.tick() == [([first], "a", "c")]
    assert watch.graph.run_range(first, "a", "c").success
    assert watch.tick() == [([second], "a", "c")]
    assert watch.tick() == []


def test_what_failed_is_not_requested_again_unless_its_file_changes(watch):
    put(watch, "S1/a.wav").write_bytes(b"RIFF")
    age(watch.graph)
    watch.tick()
    assert watch.tick() == [(list(STAGES), "a", "a")]
    assert not watch.graph.run_one("a").success
    assert [watch.tick() for _ in range(3)] == [[], [], []]
    put(watch, "S1/a.wav", "aru_2.wav")
    assert watch.tick() == []
    assert watch.tick() == [(list(STAGES), "a", "a")]


def test_a_bad_recording_does_not_hold_back_the_others(watch):
    for name in ("a", "b", "c"):
        put(watch, f"S1/{name}.wav")
    (watch.graph.root / "audio/S1/b.wav").write_bytes(b"RIFF")
    age(watch.graph)
    watch.tick()
    watch.tick()
    watch.graph.run_range("recording", "a", "b", "c")
    chain = list(STAGES)[1:]
    assert watch.tick() == [(chain, "a", "a"), (chain, "c", "c")]


def test_busy_recordings_are_not_requested_until_their_run_is_over(watch):
    put(watch, "S1/a.wav")
    put(watch, "S1/b.wav")
    watch.tick()
    watch.tick()
    job = watch.graph.defs.resolve_job_def("pipeline_job")
    instance = watch.graph.instance
    run = instance.create_run_for_job(
        job, tags=range_tags(["a", "b"]), status=dg.DagsterRunStatus.STARTED
    )
    put(watch, "S1/b.wav", "aru_2.wav", OLD_S + 1)
    assert watch.tick() == []
    instance.report_run_failed(run)
    assert watch.tick() == [(list(STAGES), "b", "b")]


def test_a_request_whose_run_got_lost_is_repeated_a_few_times(watch):
    put(watch, "S1/a.wav")
    watch.tick()
    chain = [(list(STAGES), "a", "a")]
    assert watch.tick() == chain
    asked = [watch.tick(600) for _ in range(10)]
    assert [one for one in asked if one] == [chain, chain]


def test_a_known_file_that_grows_again_is_left_alone_until_it_stops(watch_finished):
    watch = watch_finished
    assert [watch.tick(), watch.tick()] == [[], []]
    path = watch.graph.root / "audio" / "S1" / "rec_1.wav"
    whole = path.read_bytes()
    for number, part in enumerate((1000, 5000, 9000)):
        path.write_bytes(whole[:part])
        os.utime(path, (OLD_S + number, OLD_S + number))
        assert watch.tick() == []
    put(watch, "S1/rec_1.wav", "aru_2.wav", OLD_S + 9)
    assert watch.tick() == []
    assert watch.tick() == [(list(STAGES), "rec_1", "rec_1")]


def test_only_so_many_files_are_registered_in_a_tick_and_the_rest_in_the_next(watch):
    names = [f"rec_{number:03d}" for number in range(MAX_FILES_PER_TICK + 3)]
    for name in names:
        put(watch, f"S1/{name}.wav").write_bytes(name.encode())
    age(watch.graph)
    assert watch.tick() == []
    first = [(["recording"], names[0], names[199]), (["recording"], names[200], names[399])]
    first.append((["recording"], names[400], names[499]))
    assert watch.tick() == first
    assert watch.registered() == names[:-3]
    assert watch.tick() == [(["recording"], names[-3], names[-1])]
    assert watch.registered() == names


def test_unfinished_hidden_and_empty_files_are_no_recordings(watch):
    for name in ("a.wav.part", "b.tmp", ".c.wav", "notes.txt", "empty.wav"):
        put(watch, f"S1/{name}")
    put(watch, "S1/empty.wav").write_bytes(b"")
    os.utime(watch.graph.root / "audio/S1/empty.wav", (OLD_S, OLD_S))
    for _ in range(3):
        assert watch.tick() == []
    assert watch.registered() == []


def test_the_cursor_survives_being_stored():
    cursor = Cursor({"audio/é.wav": [5, 7]}, {"recording": {"a": Request("f00", 1, 5.0)}})
    assert Cursor.parse(cursor.render()) == cursor
    assert Cursor.parse(None) == Cursor()
    assert Cursor.parse("") == Cursor()


def test_the_cursor_forgets_what_is_done(watch_finished):
    watch = watch_finished
    watch.graph.dataset.bundle("rec_2").html.unlink()
    assert watch.tick() == [(["report_bundle"], "rec_2", "rec_2")]
    assert json.loads(watch.cursor)["requested"]["report_bundle"].keys() == {"rec_2"}
    assert watch.graph.run_range("report_bundle", "rec_2").success
    watch.tick()
    kept = json.loads(watch.cursor)
    assert (kept["sizes"], kept["requested"]) == ({}, {one: {} for one in STAGES})


@pytest.mark.parametrize(
    ("size_bytes", "modified_s", "seen", "is_settled"),
    [
        (10, 970, [10, 970], True),
        (10, 971, [10, 971], False),
        (10, 900, [9, 900], False),
        (10, 900, [10, 899], False),
        (10, 900, None, False),
        (0, 900, [0, 900], False),
    ],
)
def test_a_file_is_settled_if_it_is_old_and_as_it_was_the_tick_before(
    size_bytes, modified_s, seen, is_settled
):
    found = FoundAudio("audio/a.wav", size_bytes, modified_s * 10**9)
    before = {"audio/a.wav": [seen[0], seen[1] * 10**9]} if seen else {}
    assert settled([found], before, min_age_s=30, now_s=1000) == ([found] if is_settled else [])


def test_the_daemon_gets_requests_that_name_known_partitions(watch):
    put(watch, "S1/a.wav")
    first = daemon_tick(watch.graph)
    assert not first.run_requests
    second = daemon_tick(watch.graph, first.cursor)
    (request,) = second.run_requests
    assert request.partition_key == "a"
    assert [key.path for key in request.asset_selection] == [[stage] for stage in STAGES]


def test_a_missing_dataset_is_a_sentence_not_a_failed_tick(graph):
    shutil.rmtree(graph.root)
    told = daemon_tick(graph).skip_message
    assert told == f"{graph.root}: no such folder. Give the folder that holds audio/"


def test_an_unknown_detector_is_a_sentence_not_a_failed_tick(graph):
    graph.configure("", detector='[detector]\nname = "owlnet"\n')
    assert "no detector is called 'owlnet'" in daemon_tick(graph).skip_message


def test_a_tick_after_which_nothing_changed_judges_no_recording_again(watch_finished, monkeypatch):
    judged = []

    def find(finder, rows, known):
        judged.append(len(rows))
        return really_find(finder, rows, known)

    really_find = DueFinder._find
    monkeypatch.setattr(DueFinder, "_find", find)
    graph = watch_finished.graph
    for folder in (graph.root / "artifacts", graph.root / "manifests"):
        for one in (folder, *folder.rglob("*/")):
            os.utime(one, (OLD_S, OLD_S))  # a folder that has just changed may do so unseen
    assert [watch_finished.tick() for _ in range(3)] == [[], [], []]
    assert judged == [3]
    graph.dataset.bundle("rec_2").html.unlink()
    assert watch_finished.tick() == [(["report_bundle"], "rec_2", "rec_2")]
    assert graph.run_one("rec_2").success
    assert watch_finished.tick() == []
    assert judged == [3, 1, 1], "only what had changed"
    graph.configure("exclude = ['4-8 kHz']\n")
    assert watch_finished.tick() == [(["detections"], "rec_1", "rec_3")]
    assert judged == [3, 1, 1, 3]


def test_wiped_events_and_what_no_event_shows_are_noticed(watch_finished):
    graph = watch_finished.graph
    assert watch_finished.tick() == []
    assert recorded_fingerprints(graph.instance, graph.key("report_bundle")).keys() == set(IDS)
    graph.instance.wipe_assets([graph.key("report_bundle")])
    assert recorded_fingerprints(graph.instance, graph.key("report_bundle")) == {}


def test_the_corpus_is_requested_once_work_has_ended_and_again_after_a_change(watch_finished):
    graph, watch_finished.shows_corpus = watch_finished.graph, True
    shown = [watch_finished.tick() for _ in range(8)]
    assert shown == [*[[]] * shown.index([CORPUS]), [CORPUS], *[[]] * (7 - shown.index([CORPUS]))]
    assert shown.index([CORPUS]) >= 4, "not before it was quiet for two minutes"
    assert graph.execute("corpus_job").success
    assert [watch_finished.tick(300) for _ in range(6)] == [[]] * 6
    put(watch_finished, "S1/new.wav")
    assert [watch_finished.tick() for _ in range(2)] == [[], [(list(STAGES), "new", "new")]]
    assert graph.run_one("new").success
    assert [watch_finished.tick(after_s) for after_s in (30, 60, 61)] == [[], [], [CORPUS]]


def test_the_corpus_is_requested_every_quarter_of_an_hour_while_work_goes_on(
    watch_finished, monkeypatch
):
    watch_finished.shows_corpus = True
    selection = {watch_finished.graph.key("raw_detections")}
    run = dg.DagsterRun(job_name="pipeline_job", asset_selection=selection)
    monkeypatch.setattr(corpus_requests, "_runs_at_work", lambda *_: [run])
    shown = [watch_finished.tick(100) for _ in range(12)]
    assert shown.index([CORPUS]) == 9
    assert shown.count([CORPUS]) == 1


def test_a_corpus_that_cannot_be_made_is_requested_three_times(watch_finished):
    watch_finished.shows_corpus = True
    shown = [watch_finished.tick(300) for _ in range(30)]
    assert shown.count([CORPUS]) == 3
    assert watch_finished.tick(100_000) == []


def test_a_run_of_the_corpus_is_requested_as_the_daemon_can_start_it(watch_finished):
    watch_finished.tick()
    for _ in range(5):
        cursor, now_s = watch_finished.cursor, watch_finished.now_s
        watch_finished.tick()
    stored = json.loads(cursor)
    stored["corpus"]["changed_s"] -= now_s
    tick = daemon_tick(watch_finished.graph, json.dumps(stored))
    (request,) = tick.run_requests
    assert {one.path[-1] for one in request.asset_selection} == set(CORPUS[0])
