"""Whatever was lost, damaged or half done is found and made again by the next run."""

import pytest
from support.detecting import detect_and_select

from badc_core.datasets.dataset import Dataset
from badc_core.provenance.in_work import mark, read_marks
from badc_core.telemetry.log import TelemetryLog
from badc_dagster.run_events import faults, warnings
from badc_dagster.runs import Project


@pytest.fixture
def project(graph):
    with Project.open(graph.root) as project:
        project.scan()
        assert project.bring_up_to_date().n_finished == 3
        yield project


def rows(graph):
    return {
        path.name: path.read_bytes()
        for path in sorted(graph.dataset.aggregate.glob("[!.]*.parquet"))
    }


def test_a_finished_run_leaves_no_mark(graph, project):
    assert [read_marks(graph.dataset, stage) for stage in graph.progress().due] == [set()] * 4


def test_results_replaced_without_a_word_to_the_asset_graph_are_made_again(graph, project):
    before = rows(graph)
    looser = Dataset.open(graph.root, {"detector": {"min_score": 0.0}})
    # What a run under other settings leaves that is killed before it could tell anybody.
    mark(looser, "detections", "rec_1")
    with TelemetryLog(looser.telemetry("killed")) as telemetry:
        assert [one.error for one in detect_and_select(looser, ["rec_1"], telemetry)] == [None]
    assert rows(graph) != before
    assert graph.due() == {"detections": ["rec_1"]}
    assert project.bring_up_to_date().n_finished == 3
    assert rows(graph) == before


def test_a_failure_goes_when_the_file_is_as_it_was_before(graph, project):
    sound = (graph.root / "audio" / "S1" / "rec_2.wav").read_bytes()
    graph.add("S1/rec_2.wav").write_bytes(b"RIFF")
    project.scan()
    assert [one.recording_id for one in project.bring_up_to_date().failures] == ["rec_2"]
    (graph.root / "audio" / "S1" / "rec_2.wav").write_bytes(sound)
    project.scan()
    outcome = project.bring_up_to_date()
    assert (outcome.n_finished, outcome.failures) == (3, ())
    assert graph.latest("corpus_detections").metadata["recordings"].value == 3


def test_a_damaged_description_costs_its_recording_alone_and_is_made_again(graph, project):
    graph.dataset.recording("rec_1").write_text("{", encoding="utf-8")
    graph.dataset.detections("rec_1").unlink()
    first = project.bring_up_to_date()
    assert [one.recording_id for one in first.failures] == ["rec_1"]
    assert first.faults == ()
    second = project.bring_up_to_date()
    assert (second.n_finished, second.failures) == (3, ())


def test_a_damaged_result_is_missing_from_the_corpus_until_it_is_made_again(graph, project):
    graph.dataset.detections("rec_1").write_bytes(b"PAR1")
    graph.dataset.corpus.duckdb.unlink()
    assert project.bring_up_to_date().faults == ()
    assert graph.latest("corpus_detections").metadata["recordings"].value == 2
    assert project.bring_up_to_date().n_finished == 3
    assert graph.latest("corpus_detections").metadata["recordings"].value == 3


@pytest.mark.parametrize("lost", ["duckdb", "html"])
def test_a_lost_corpus_file_is_made_again(graph, project, lost):
    path = getattr(graph.dataset.corpus, lost)
    path.unlink()
    assert not project.bring_up_to_date().nothing_to_do
    assert path.exists()


def test_a_page_older_than_its_database_is_made_again(graph, project):
    graph.add("S1/rec_1.wav", "aru_3.wav")
    project.scan()
    graph.run_one("rec_1")
    assert graph.execute("corpus_job", "corpus_detections").success
    assert not project.bring_up_to_date().nothing_to_do
    assert project.bring_up_to_date().nothing_to_do


def test_a_corpus_of_mixed_settings_is_told_on_the_command_line(graph, project):
    graph.add("S1/rec_1.wav", "soundscape.flac").rename(graph.root / "audio" / "S1" / "one.flac")
    graph.add("S1/rec_2.wav", "soundscape.flac").rename(graph.root / "audio" / "S1" / "two.flac")
    graph.scan()
    assert graph.run_one("one").success
    graph.configure("window_overlap_s = 1.0\n")
    assert graph.run_one("two").success
    graph.configure("")
    result = graph.execute("corpus_job")
    assert result.success
    told = [*faults(result.all_events), *warnings(result.all_events)]
    assert any("one_configuration" in one for one in told)
    assert any("recordings_distinct" in one for one in told)
