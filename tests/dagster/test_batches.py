"""Batches outside, stages inside: some recordings are finished before the next begin."""

import pytest

from badc_core.stages.stage import STAGES
from badc_core.telemetry.progress import watcher
from badc_dagster import batches
from badc_dagster.batches import BATCH, FIRST_BATCH, split_batches
from badc_dagster.runs import Project


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(batches, "FIRST_BATCH", 1)
    monkeypatch.setattr(batches, "BATCH", 2)


def assets_in_order(graph):
    """Returns (asset, number of recordings) of each run, oldest first."""
    runs = reversed(graph.instance.get_runs())
    return [
        (key.path[-1], run.tags.get("dagster/asset_partition_range_start", ""))
        for run in runs
        for key in sorted(run.asset_selection)
    ]


def test_the_first_batch_is_small_and_the_others_take_one_run_a_stage():
    ids = [str(number) for number in range(500)]
    sizes = [len(batch) for batch in split_batches(ids)]
    assert sizes == [FIRST_BATCH, BATCH, BATCH, 500 - FIRST_BATCH - 2 * BATCH]
    assert [one for batch in split_batches(ids) for one in batch] == ids
    assert list(split_batches([])) == []
    assert all(stage.batch_size >= BATCH for stage in STAGES.values())


def test_recordings_are_finished_and_in_the_corpus_before_the_next_begin(
    analysed, small_batches, monkeypatch
):
    finds = []
    find = batches.DueFinder._find

    def counting(finder, rows, known):
        finds.append(known.only)
        return find(finder, rows, known)

    monkeypatch.setattr(batches.DueFinder, "_find", counting)
    before = len(assets_in_order(analysed))
    with Project.open(analysed.root) as project:
        assert project.bring_up_to_date().n_finished == 3
    corpus = [("corpus_detections", ""), ("corpus_report", "")]
    first = [("detections", "rec_1"), ("report_bundle", "rec_1")]
    second = [("detections", "rec_2"), ("report_bundle", "rec_2")]
    assert assets_in_order(analysed)[before:] == [*first, *corpus, *second, *corpus]
    assert finds.count(None) == 1, "what is due is found out for all recordings once"
    assert all(len(only) <= 2 for only in finds if only is not None)


def test_a_corpus_never_mixes_settings_of_batches_that_are_done_and_of_others(
    archive, small_batches
):
    before = len(assets_in_order(archive))
    archive.configure("", "[detector]\nname = 'band_energy'\nmin_score = 0.3\n")
    with Project.open(archive.root) as project:
        outcome = project.bring_up_to_date()
    assert (outcome.n_finished, outcome.faults) == (3, ())
    again = [asset for asset, _ in assets_in_order(archive)[before:]]
    assert again == ["detections", "report_bundle"] * 2 + ["corpus_detections", "corpus_report"]


@pytest.mark.soak
def test_each_batch_says_how_many_recordings_come_later(graph, small_batches):
    seen = []

    def watch(stage, n_recordings, audio_s, n_later):
        seen.append((stage, n_recordings, n_later))
        return watcher()

    with Project.open(graph.root) as project:
        project.scan()
        project.bring_up_to_date(watch=watch)
    assert seen == [(stage, 1, 2) for stage in STAGES] + [(stage, 2, 0) for stage in STAGES]


def watching(do, at_stage):
    """Returns a watch that does something before a stage, the first time only."""
    done = []

    def watch(stage, n_recordings, audio_s, n_later):
        if stage == at_stage and not done:
            done.append(stage)
            do()
        return watcher()

    return watch


def test_what_another_run_finished_meanwhile_is_not_run_again(analysed, small_batches):
    def run_others():
        for stage in ("detections", "report_bundle"):
            assert analysed.run_range(stage, "rec_2", "rec_3").success

    with Project.open(analysed.root) as project:
        outcome = project.bring_up_to_date(watch=watching(run_others, "report_bundle"))
    assert (outcome.n_finished, outcome.faults) == (3, ())
    done = {stage: analysed.n_materialized(stage) for stage in STAGES}
    assert done == dict.fromkeys(STAGES, 3)


@pytest.mark.soak
def test_later_batches_go_by_settings_of_now_and_what_is_due_again_is_a_fault(graph, small_batches):
    def shorten_chunks():
        graph.configure("[chunks]\nduration_s = 2\n")

    with Project.open(graph.root) as project:
        project.scan()
        outcome = project.bring_up_to_date(watch=watching(shorten_chunks, "raw_detections"))
        (fault,) = outcome.faults
        assert fault.startswith("1 recording still due, rec_1 for example: settings, ")
        assert f"Run: badc run {graph.root}" in fault
        assert outcome.n_finished == 2
        assert graph.due() == {"chunk_manifest": ["rec_1"]}
    with Project.open(graph.root) as project:
        again = project.bring_up_to_date()
    assert (again.n_finished, again.faults) == (3, ())
