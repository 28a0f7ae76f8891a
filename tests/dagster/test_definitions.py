"""What Dagster loads: quickly, quietly, with every job; and the checks on the corpus."""

from dataclasses import replace
from itertools import pairwise

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

import badc_dagster
from badc_core.corpus.database import create_table
from badc_core.corpus.rules import CORPUS_CHECKS
from badc_core.recordings.recording import read_recording
from badc_core.stages.stage import STAGES
from badc_dagster.partitions import backfill_policy

JOBS = (
    *("pipeline_job", "chunk_job", "infer_job", "select_job"),
    *("report_job", "scan_job", "corpus_job"),
)

LIST_JOBS = """
import runpy, sys
from pathlib import Path
import badc_dagster, badc_core.datasets.connections, badc_dagster.home
import badc_dagster.cli.run, badc_dagster.cli.scan, badc_dagster.cli.status
assert "dagster" not in sys.modules
program = str(Path(sys.executable).with_name("dagster"))
sys.argv = [program, "job", "list", "-m", "badc_dagster"]
runpy.run_path(program, run_name="__main__")
"""

DUCKDB_LEAKS = ("nanobind: ", "See https://nanobind", " - leaked ", " - ... skipped ")

TAMPERINGS = {
    "confidences_in_range": "UPDATE detections SET confidence = 2",
    "recordings_have_chunks": "INSERT INTO chunks FROM (SELECT * REPLACE ('rec_9' AS recording_id) "
    "FROM chunks LIMIT 1)",
    "detections_counted": "DELETE FROM detections WHERE recording_id = 'rec_1'",
    "detections_inside_recordings": "UPDATE detections SET absolute_end_ms = 99999",
    "chunks_cover_recordings": "UPDATE chunks SET chunk_start_ms = 500",
    "species_expected": "UPDATE detections SET is_expected = false",
    "no_failed_chunks": "UPDATE chunks SET status = 'error', error = 'why'",
    "chunk_ids_unique": "INSERT INTO chunks SELECT * FROM chunks LIMIT 1",
}


def evaluations(result):
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


@pytest.mark.slow
def test_commands_import_no_dagster_and_dagster_lists_the_jobs_and_warns_of_nothing(
    graph, run_outside
):
    done = run_outside("python", "-W", "always::UserWarning", "-c", LIST_JOBS)
    assert done.returncode == 0, done.stderr
    listed = {line.removeprefix("Job: ") for line in done.stdout.splitlines() if "Job: " in line}
    assert set(JOBS) <= listed
    # DuckDB tells now and then, as a process ends, what it has not taken apart.
    assert [line for line in done.stderr.splitlines() if not line.startswith(DUCKDB_LEAKS)] == []


def test_the_package_has_definitions_and_nothing_it_does_not_have():
    assert isinstance(badc_dagster.defs, dg.Definitions)
    assert dir(badc_dagster) == ["defs"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = badc_dagster.nothing


def test_each_asset_names_the_one_before_it(graph):
    assets = graph.defs.resolve_asset_graph()
    chains = ("recordings", *STAGES), ("detections", "corpus_detections")
    for before, after in [pair for chain in chains for pair in pairwise(chain)]:
        assert assets.get(graph.key(after)).parent_keys == {graph.key(before)}
        assert assets.get(graph.key(after)).description
    pages = assets.get(graph.key("corpus_report"))
    assert pages.parent_keys == {graph.key("corpus_detections"), graph.key("report_bundle")}


def test_per_recording_assets_take_many_recordings_in_a_run(graph):
    for stage in STAGES:
        node = graph.defs.resolve_asset_graph().get(graph.key(stage))
        assert node.backfill_policy == backfill_policy(graph.connection, STAGES[stage])
        assert node.partitions_def == graph.partitions


def test_the_scan_job_registers_files_as_partitions(graph):
    result = graph.execute("scan_job")
    assert result.success
    assert graph.instance.get_dynamic_partitions("recordings") == ["rec_1", "rec_2", "rec_3"]
    told = graph.latest("recordings").metadata
    assert told["dagster/row_count"].value == 3
    assert told["new_recordings"].value == 3
    assert "| audio/S1 | 3 |" in told["folders"].value


def test_the_corpus_job_makes_database_and_page_and_checks_them(finished):
    result = finished.execute("corpus_job")
    assert result.success
    checks = evaluations(result)
    assert checks.keys() == {*(check.name for check in CORPUS_CHECKS), "files_intact"}
    assert all(check.passed for check in checks.values())
    told = finished.latest("corpus_detections").metadata
    assert told["recordings"].value == 3
    assert told["effort_s"].value == pytest.approx(9.0)
    assert told["dagster/row_count"].value > 0
    assert finished.latest("corpus_report").metadata["report"].value.endswith("report.html")


def tamper(dataset, recording_id):
    """Changes a recording's rows, and the SHA-256 in its description."""
    paths = {
        "detections": dataset.detections(recording_id),
        "chunks": dataset.effort(recording_id),
    }
    with duckdb.connect(":memory:") as database:
        for name, path in paths.items():
            create_table(database, name, pq.read_table(path))
        for tampering in TAMPERINGS.values():
            database.execute(tampering)
        for name, path in paths.items():
            metadata = pq.read_schema(path).metadata
            table = database.table(name).to_arrow_table().replace_schema_metadata(metadata)
            pq.write_table(table, path)
    description = read_recording(dataset.recording(recording_id))
    replace(description, sha256="ab").write(dataset.recording(recording_id))


def test_a_corpus_that_was_tampered_with_fails_the_checks_that_are_about_it(archive):
    for recording_id in ("rec_1", "rec_2"):
        tamper(archive.dataset, recording_id)
    checks = evaluations(archive.execute("corpus_job"))
    broken = {*TAMPERINGS, "recordings_distinct"}
    assert {name for name, check in checks.items() if not check.passed} >= broken
    for name in broken:
        is_warning = checks[name].severity == dg.AssetCheckSeverity.WARN
        assert is_warning == (name in {"recordings_distinct", "species_expected"})
        assert checks[name].metadata["violations"].value > 0
        assert checks[name].metadata["examples"].value != "-"
