"""A new stage is one entry in the table and one file with its asset; everything else follows."""

import sys
from dataclasses import replace
from types import ModuleType

import dagster as dg
import pytest

from badc_core.recordings.recording import read_recording
from badc_core.stages.stage import STAGES, Stage
from badc_core.stages.step_inputs import each_recording
from badc_dagster.definitions import build_defs
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Step
from badc_dagster.runs import Project


def loudness_path(dataset, recording_id):
    return dataset.artifacts / "loudness" / f"{recording_id}.txt"


LOUDNESS = Stage(
    name="loudness",
    inputs=("recording", "detections"),
    outputs=lambda dataset, one: (loudness_path(dataset, one),),
    settings=lambda dataset: {"settings": dataset.settings.report.bucket_minutes},
    code_version="1",
    batch_size=150,
    job="loudness_job",
)


def build(connection):
    @per_recording_asset(connection, "loudness", "How loud it is.", {"txt"})
    def loudness(_context: dg.AssetExecutionContext, step: Step):
        def measure(one):
            recording = read_recording(step.dataset.recording(one.recording_id))
            path = loudness_path(step.dataset, one.recording_id)
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{recording.rms_dbfs}\n")
            return recording.rms_dbfs

        outcomes = each_recording(step.inputs, measure)
        yield from step.materialise(outcomes, lambda _, dbfs: RecordingOutput({"dbfs": dbfs}))

    return loudness


@pytest.fixture
def with_loudness(archive, monkeypatch):
    module = ModuleType("badc_dagster.assets.loudness")
    module.build = build
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(STAGES, "loudness", LOUDNESS)
    archive.defs = build_defs([archive.connection])
    return archive


def test_an_added_stage_is_run_shown_and_made_again_like_any_other(with_loudness, monkeypatch):
    graph = with_loudness
    node = graph.defs.resolve_asset_graph().get(graph.key("loudness"))
    assert node.parent_keys == {graph.key("recording"), graph.key("detections")}
    assert node.backfill_policy == dg.BackfillPolicy.multi_run(150)
    with Project.open(graph.root) as project:
        assert project.bring_up_to_date().n_finished == 3
        assert graph.latest("loudness", "rec_2").metadata["dbfs"].value < 0
        row = project.status().rows[-1]
        assert (row.stage, row.current, row.due) == ("loudness", 3, 0)
        loudness_path(graph.dataset, "rec_2").unlink()
        assert graph.due() == {"loudness": ["rec_2"]}
        assert project.bring_up_to_date().n_finished == 3
    assert graph.n_materialized("loudness") == 4
    assert graph.n_materialized("report_bundle") == 3
    assert graph.execute("loudness_job", tags={"dagster/partition": "rec_1"}).success
    # The other of its two inputs changes, and the first does not.
    changed = replace(STAGES["detections"], code_version="next")
    monkeypatch.setitem(STAGES, "detections", changed)
    graph.defs = build_defs([graph.connection])
    with Project.open(graph.root) as project:
        assert project.bring_up_to_date().n_finished == 3
    assert graph.n_materialized("loudness") == 5 + 3
