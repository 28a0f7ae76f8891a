"""What is due: computed from today's files, settings and code against what was made."""

import json
import os
import shutil

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import run_typed

from badc_core.recordings.registry import read_registry
from badc_core.stages.stage import STAGES
from badc_dagster.corpus_fingerprint import corpus_fingerprint
from badc_dagster.due import find_busy
from badc_dagster.partitions import KeyOrder, range_tags

IDS = ["rec_1", "rec_2", "rec_3"]

SECTIONS = {
    '[recordings]\ntimezone = "America/Edmonton"\n': "recording",
    '[recordings]\nfingerprint = "full"\n': "recording",
    '[recordings]\nroots = ["audio", "more"]\n': "recording",
    "[recordings]\nmin_age_s = 5\n": None,
    "[chunks]\nduration_s = 2\n": "chunk_manifest",
    "sensitivity = 1.2\n": "raw_detections",
    "window_overlap_s = 1.5\n": "raw_detections",
    "exclude = ['4-8 kHz']\n": "detections",
    "label_length = 'variable'\n": "detections",
    "score_floor = 0.05\n": None,
    "[inference]\ncpu_workers = 1\n": None,
    "[report]\ntop_labels = 3\n": "report_bundle",
}


def outputs(dataset, recording_id):
    return {
        "recording": dataset.recording(recording_id),
        "chunk_manifest": dataset.manifest(recording_id),
        "raw_detections": dataset.raw_detections(recording_id),
        "detections": dataset.detections(recording_id),
        "effort": dataset.effort(recording_id),
        "report_bundle": dataset.bundle(recording_id).html,
    }


def test_before_anything_ran_only_the_first_asset_is_due(graph):
    graph.scan()
    assert graph.due() == {"recording": IDS}
    assert graph.progress().finished == set()


def test_after_a_full_pass_nothing_is_due(finished):
    assert finished.due() == {}
    assert finished.progress().finished == set(IDS)


def test_a_changed_setting_makes_due_what_it_decides_and_all_after_it(finished):
    for section, first in SECTIONS.items():
        finished.configure(section)
        progress = finished.progress()
        due = {stage: list(ids) for stage, ids in progress.due.items() if ids}
        assert due == ({first: IDS} if first else {}), section
        still_current = [stage for stage in STAGES if list(progress.current[stage]) == IDS]
        assert still_current == list(STAGES)[: list(STAGES).index(first) if first else None]


def test_a_changed_deployments_table_makes_recordings_due(finished):
    finished.dataset.deployments.write_text("location,timezone\nS1,America/Edmonton\n", "utf-8")
    assert finished.due() == {"recording": IDS}


def test_a_setting_put_back_needs_everything_made_since_made_again(finished):
    finished.configure("[chunks]\nduration_s = 2\n")
    finished.run_range("chunk_manifest", *IDS)
    finished.configure("")
    assert finished.due() == {"chunk_manifest": IDS}


def test_a_deleted_output_is_due_for_its_recording_alone(finished):
    for name, path in outputs(finished.dataset, "rec_2").items():
        content = path.read_bytes()
        path.unlink()
        stage = "detections" if name == "effort" else name
        assert finished.due() == {stage: ["rec_2"]}, name
        path.write_bytes(content)


def test_with_all_artifacts_deleted_everything_is_due_from_the_start(finished):
    shutil.rmtree(finished.dataset.artifacts)
    assert finished.due() == {"recording": IDS}


def test_changed_audio_makes_all_assets_of_its_recording_due(finished):
    finished.add("S1/rec_2.wav", "aru_3.wav")
    finished.scan()
    for stage in STAGES:
        assert finished.due() == {stage: ["rec_2"]}
        finished.run_range(stage, "rec_2")
    assert finished.due() == {}


def test_audio_that_was_only_touched_is_not_due(finished):
    table = finished.dataset.registry.read_bytes()
    os.utime(finished.root / "audio" / "S1" / "rec_2.wav", (1, 1))
    finished.scan()
    assert finished.due() == {}
    assert finished.dataset.registry.read_bytes() == table


def test_a_new_recording_is_due_alone(finished):
    finished.add("S2/new.wav")
    finished.scan()
    assert finished.due() == {"recording": ["new"]}


def test_a_deleted_recording_keeps_its_results_and_is_not_due(finished):
    (finished.root / "audio" / "S1" / "rec_2.wav").unlink()
    finished.scan()
    assert finished.due() == {}


def test_the_corpus_follows_detections_and_failures(finished):
    def now():
        registry = read_registry(finished.dataset.registry)
        dataset = finished.dataset
        return corpus_fingerprint(finished.instance, finished.connection, dataset, registry)

    before = now()
    assert now() == before
    finished.add("S2/bad.wav").write_bytes(b"RIFF")
    finished.scan()
    with_new = now()
    finished.run_range("recording", "bad")
    with_failure = now()
    finished.configure("[report]\ntop_labels = 3\n")
    assert len({before, with_new, with_failure, now()}) == 4


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 7), st.randoms())
def test_ranges_hold_exactly_what_is_wanted_in_order_and_without_gaps(wanted, at_most, random):
    keys = [f"k{number:02d}" for number in range(61)]
    shuffled = [keys[index] for index in wanted]
    random.shuffle(shuffled)
    ranges = KeyOrder(keys).ranges(shuffled, at_most)
    assert [key for one in ranges for key in one] == [keys[index] for index in sorted(wanted)]
    for one in ranges:
        start = keys.index(one[0])
        assert one == keys[start : start + len(one)]
        assert 1 <= len(one) <= at_most


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges_without_a_limit_are_as_few_as_can_be(wanted):
    keys = [f"k{number:02d}" for number in range(61)]
    ranges = KeyOrder(keys).ranges([keys[index] for index in wanted], 100)
    n_gaps = sum(1 for index in wanted if index + 1 not in wanted)
    assert len(ranges) == n_gaps


def test_ranges_follow_the_order_keys_were_added_in_not_the_alphabet():
    assert KeyOrder(["c", "a", "b"]).ranges(["a", "c"], 9) == [["c", "a"]]
    assert KeyOrder(["a", "c", "b"]).ranges(["a", "b"], 9) == [["a"], ["b"]]


def run_like(graph, status, tags, *assets):
    job = "corpus_job" if "corpus_report" in assets else "pipeline_job"
    return graph.instance.create_run_for_job(
        graph.defs.resolve_job_def(job),
        status=status,
        tags=tags,
        asset_selection={graph.key(one) for one in assets} or None,
    )


def busy(graph):
    keys = KeyOrder.read(graph.instance, graph.connection)
    return find_busy(graph.instance, graph.connection, keys)


def test_recordings_of_unfinished_runs_are_busy(graph):
    graph.scan()
    assert busy(graph) == set()
    alone = {"dagster/partition": "rec_1"}
    run_like(graph, dg.DagsterRunStatus.STARTING, alone, "recording")
    assert busy(graph) == {"rec_1"}
    run_like(graph, dg.DagsterRunStatus.STARTED, range_tags(["rec_2", "rec_3"]), "detections")
    assert busy(graph) == set(IDS)


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELED"])
def test_recordings_of_finished_runs_are_not_busy(graph, status):
    graph.scan()
    tags = {"dagster/partition": "rec_1"}
    run_like(graph, dg.DagsterRunStatus[status], tags, "recording")
    assert busy(graph) == set()


def test_runs_of_other_assets_and_unknown_partitions_make_nothing_busy(graph):
    graph.scan()
    run_like(graph, dg.DagsterRunStatus.STARTED, {}, "corpus_report")
    gone = {"dagster/partition": "gone"}
    run_like(graph, dg.DagsterRunStatus.STARTED, gone, "recording")
    assert busy(graph) == set()


def test_a_plan_for_the_cluster_counts_what_is_due_under_other_settings(analysed, app):
    words = ("slurm", "plan", analysed.root)
    assert "No recordings are left" in run_typed(app, *words).stdout
    changed = (*words, "--set", "chunks.duration_s=7", "--json")
    assert json.loads(run_typed(app, *changed).stdout)["workload"]["recordings"] == 3
    analysed.dataset.raw_detections("rec_1").unlink()
    assert json.loads(run_typed(app, *words, "--json").stdout)["workload"]["recordings"] == 1
    (analysed.root / "audio").rename(analysed.root / "elsewhere")
    (analysed.root / "audio").mkdir()
    assert json.loads(run_typed(app, *changed).stdout)["workload"]["recordings"] == 0
