"""Results of the code before raw detections were kept: taken over, or refused by name."""

import time

import dagster as dg
import pytest
from support.detecting import detect_and_select

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DetectionsInvalid, StorageFull
from badc_core.inference.older_detections import OLDER_CODE_VERSION, older_config_hash
from badc_core.inference.raw_result import read_raw_result
from badc_core.reports.bundle import write_bundle
from badc_core.stages.fingerprints import Fingerprints, digest_from, mark_incomplete
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog
from badc_dagster import adoption
from badc_dagster.runs import Project
from badc_dagster.sensors import evaluate

IDS = ("rec_1", "rec_2", "rec_3")
KEPT = "[detector]\nname = 'band_energy'\nmin_score = 0.2\n"


class Older:
    """A dataset as the code before left it: detections with a fingerprint of their own formula."""

    def __init__(self, graph):
        self.graph = graph

    @classmethod
    def lay_out(cls, graph, more=""):
        older = cls(graph)
        graph.configure(more, KEPT)
        graph.scan()
        for stage in ("recording", "chunk_manifest"):
            assert graph.run_range(stage, *IDS).success
        dataset = graph.dataset
        with TelemetryLog(dataset.telemetry("older")) as telemetry:
            for outcome in detect_and_select(dataset, IDS, telemetry):
                assert outcome.error is None
        for one in IDS:
            write_bundle(dataset, one)
            older._report(dataset, one)
            dataset.raw_detections(one).unlink()
        for path in (*dataset.artifacts.rglob("older*"), *dataset.artifacts.rglob("journal*")):
            path.unlink()
        return older

    def _report(self, dataset, recording_id, mark=lambda fingerprint: fingerprint):
        source = self.graph.latest("chunk_manifest", recording_id).tags["dagster/data_version"]
        found = mark(digest_from(source, older_config_hash(dataset.settings.detector)))
        report = digest_from(found, Fingerprints(dataset).settings_hash("report_bundle"))
        self._materialize("detections", recording_id, found, OLDER_CODE_VERSION)
        self._materialize("report_bundle", recording_id, report, "1")

    def lacking_chunks(self, recording_id):
        self._report(self.graph.dataset, recording_id, lambda one: mark_incomplete(one, ["c"]))

    def _materialize(self, stage, recording_id, fingerprint, code):
        self.graph.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                self.graph.key(stage),
                partition=recording_id,
                metadata={"species": 5},
                tags={"dagster/data_version": fingerprint, "dagster/code_version": code},
            )
        )

    def run(self):
        """Runs `badc run`; returns what it said before, and how many models ran."""
        said = []
        folder = self.graph.dataset.telemetry("x").parent
        before = set(folder.glob("*.jsonl"))
        with Project.open(self.graph.root) as project:
            self.outcome = project.bring_up_to_date(show=said.append, warn=said.append)
        return said, len(set(folder.glob("*.jsonl")) - before)

    def files(self):
        found = {}
        for stage in ("detections", "report_bundle"):
            for one in IDS:
                for path in STAGES[stage].outputs(self.graph.dataset, one):
                    found[path] = (path.read_bytes(), path.stat().st_mtime_ns)
        return found


@pytest.fixture(scope="session")
def older_once(build_graph):
    return build_graph("older", Older.lay_out)


@pytest.fixture
def older(older_once, copy_graph):
    return Older(copy_graph(older_once))


def test_results_of_the_code_before_are_taken_over_and_nothing_is_made_again(older):
    graph, before = older.graph, older.files()
    said, n_models = older.run()
    assert said == ["3 recordings with results of an earlier version of BADC taken over."]
    assert n_models == 0
    assert older.files() == before
    assert (older.outcome.n_finished, older.outcome.failures) == (3, ())
    assert graph.due() == {}
    for stage in ("raw_detections", "detections", "report_bundle"):
        latest = graph.latest(stage, "rec_2")
        assert "earlier version" in latest.metadata["taken_over"].value
        assert latest.tags["dagster/code_version"] == STAGES[stage].code_version
    assert graph.latest("detections", "rec_2").metadata["species"].value == 5
    assert older.run() == ([], 0)


def test_what_was_taken_over_serves_stronger_minimum_scores_and_not_weaker_ones(older):
    older.run()
    raw = read_raw_result(older.graph.dataset.raw_detections("rec_1"), "rec_1")
    assert raw.floor == 0.2
    assert raw.n_detections > 0
    for min_score, n_models in ((0.5, 0), (0.2, 0), (0.15, 1)):
        older.graph.configure("", KEPT.replace("0.2", str(min_score)))
        assert older.run() == ([], n_models)
        assert older.outcome.n_finished == 3


def test_detections_selected_again_from_what_was_taken_over_are_the_same_bytes(older):
    before = older.files()
    older.run()
    graph = older.graph
    graph.dataset.detections("rec_1").unlink()
    graph.run_range("detections", "rec_1", "rec_1")
    path = graph.dataset.detections("rec_1")
    assert path.read_bytes() == before[path][0]


def assert_analysed_again(older, reason):
    said, n_models = older.run()
    (sentence,) = said
    assert sentence.startswith("3 recordings with results of an earlier version of BADC will be")
    assert "analysed again: " in sentence
    assert reason in sentence
    assert n_models == 1
    assert older.outcome.n_finished == 3
    assert older.run() == ([], 0)


@pytest.mark.parametrize(
    ("more", "kept", "reason"),
    [
        ("", "0.3", "the settings, or the version of the detector, have changed"),
        ("[chunks]\nduration_s = 2\n", "0.2", "how it is cut, has changed"),
    ],
)
def test_what_cannot_be_taken_over_is_said_before_it_is_analysed_again(older, more, kept, reason):
    older.graph.configure(more, KEPT.replace("0.2", kept))
    assert_analysed_again(older, reason)


def test_what_thresholds_selected_is_analysed_again(graph):
    older = Older.lay_out(graph, "thresholds = {'4-8 kHz' = 0.4}\n")
    assert_analysed_again(older, "only what detector.thresholds selects")


def test_recordings_that_lack_chunks_or_files_are_counted_apart_from_those_taken_over(older):
    older.lacking_chunks("rec_1")
    older.graph.dataset.effort("rec_2").unlink()
    said, _ = older.run()
    start = "1 recording with results of an earlier version of BADC will be analysed again: "
    assert said[0] == f"{start}some of their chunks failed."
    assert said[1] == f"{start}their files are missing or damaged."
    assert said[-1] == "1 recording with results of an earlier version of BADC taken over."
    assert older.outcome.n_finished == 3


@pytest.mark.parametrize("stage", ["chunk_manifest", "detections"])
def test_outputs_that_the_code_before_was_replacing_when_it_was_killed_are_not_believed(
    older, stage
):
    mark = older.graph.dataset.artifacts / "in_work" / stage / "rec_1"
    mark.parent.mkdir(parents=True)
    mark.touch()
    said, _ = older.run()
    assert "1 recording with" in said[0]
    assert not mark.exists()
    assert older.outcome.n_finished == 3


def refusing(monkeypatch, error, recording_id="rec_2"):
    adopt = adoption.adopt_detections

    def refuse(dataset, one):
        if one == recording_id:
            raise error
        return adopt(dataset, one)

    monkeypatch.setattr(adoption, "adopt_detections", refuse)


def test_a_full_disk_ends_the_run_before_anything_is_analysed(older, monkeypatch):
    refusing(monkeypatch, StorageFull("no space left on device", "raw"))
    with pytest.raises(StorageFull):
        older.run()
    assert not list(older.graph.dataset.telemetry("x").parent.glob("*.jsonl"))


def test_what_turns_out_to_be_unreadable_is_said_before_it_is_analysed_again(older, monkeypatch):
    refusing(monkeypatch, DetectionsInvalid("not a Parquet file", "rec_2"))
    said, n_models = older.run()
    reason = "taking them over failed (not a Parquet file)"
    start = "1 recording with results of an earlier version of BADC will be analysed again"
    assert said == [
        f"{start}: {reason}.",
        "2 recordings with results of an earlier version of BADC taken over.",
    ]
    assert (n_models, older.outcome.n_finished) == (1, 3)


def test_a_recording_that_another_run_works_on_is_left_to_it(older):
    begun = Work(older.graph.dataset.work_folder).begin("raw_detections", "rec_2")
    said, n_models = older.run()
    assert said == ["2 recordings with results of an earlier version of BADC taken over."]
    assert (n_models, older.outcome.n_busy, older.outcome.n_finished) == (0, 1, 2)
    begun.leave()
    # As after taking over was killed: the mark is no reason to run a model.
    said, n_models = older.run()
    assert said == ["1 recording with results of an earlier version of BADC taken over."]
    assert (n_models, older.outcome.n_finished) == (0, 3)
    assert not Work(older.graph.dataset.work_folder).dirty("raw_detections")


def test_the_sensor_says_what_it_requests_again_and_why(older):
    graph, said = older.graph, []
    graph.dataset.effort("rec_2").unlink()
    args = (graph.instance, graph.connection, graph.dataset, None, time.time, said.append)
    (request,) = evaluate(*args).run_requests
    assert request.partition_key == "rec_2"
    (sentence,) = said
    assert "1 recording with results of an earlier version" in sentence
    assert "files are missing or damaged" in sentence


def test_the_sensor_takes_over_too_and_requests_no_run(older):
    graph = older.graph
    result = evaluate(graph.instance, graph.connection, graph.dataset, None, time.time)
    assert not result.run_requests
    assert graph.due() == {}
    assert Dataset.open(graph.root).raw_detections("rec_1").exists()
