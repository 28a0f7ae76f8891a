"""Exports in the asset graph: due with the corpus, left alone where somebody worked in them."""

import shutil

import pytest
from support.archives import run_in
from support.commands import run_badc, run_typed

from badc_core.exports.selection import ExportSelection
from badc_core.exports.writing import ExportOrder, write_export
from badc_core.integrity.verifying import verify_dataset
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.manifest_files import load_manifest
from badc_core.jobs.places import job_places
from badc_dagster.definitions import build_defs
from badc_dagster.due_exports import find_due_exports
from badc_dagster.home import home_path
from badc_dagster.runs import Project
from badc_dagster.sensors import evaluate

FORMATS = '[export]\nformats = ["raven", "occupancy"]\n'
STRICTER = "[detector]\nname = 'band_energy'\nmin_score = 0.3\n"


def run(graph):
    with Project.open(graph.root) as project:
        return project.bring_up_to_date()


def table_of(graph, recording_id="rec_1"):
    return graph.dataset.export("raven") / f"{recording_id}.BADC.selection.table.txt"


def due(graph):
    return find_due_exports((graph.instance, graph.connection, graph.dataset))


@pytest.fixture(scope="session")
def exported_once(build_graph, archive_once):
    def export(graph):
        graph.configure(FORMATS)
        graph.defs = build_defs([graph.connection])
        assert graph.execute("export_job").success

    return build_graph("exported", export, archive_once)


@pytest.fixture
def exported(exported_once, copy_graph):
    """Returns three recordings with everything done, and two exports."""
    return copy_graph(exported_once)


def test_an_export_is_made_after_the_corpus_and_only_then_again(exported):
    made, corpus = exported.latest("export_raven"), exported.latest("corpus_detections")
    figures = {name: one.value for name, one in made.metadata.items()}
    folder = exported.dataset.export("raven")
    assert figures["path"].endswith("/dataset/artifacts/exports/raven")
    assert (figures["files"], figures["files_written"], figures["recordings"]) == (3, 3, 3)
    rows = corpus.metadata["dagster/row_count"].value
    assert figures["dagster/row_count"] == rows > 0
    files = [one for one in folder.iterdir() if one.name != "provenance.json"]
    assert figures["size_bytes"] == sum(one.stat().st_size for one in files)
    assert run(exported).nothing_to_do

    exported.configure(FORMATS.replace('"]', '", "guano"]'), STRICTER)
    outcome = run(exported)
    assert outcome.faults == ()
    names = ("export_raven", "export_occupancy", "export_guano")
    assert [exported.n_materialized(one) for one in names] == [2, 2, 1]
    assert exported.latest("export_raven").tags != made.tags
    job = JobFinder(job_places(home_path())).find(outcome.job_id)
    stages = load_manifest(job.output_dir)["stages"]
    assert {stages[one]["status"] for one in names} == {"success"}


def test_an_export_that_is_not_as_it_was_made_is_made_again(exported):
    write_export(exported.dataset, ExportOrder("raven", ExportSelection(min_score=0.99)))
    shutil.rmtree(exported.dataset.export("occupancy"))
    assert due(exported) == ["export_raven", "export_occupancy"]
    assert run(exported).faults == ()
    assert due(exported) == []
    table_of(exported).unlink()
    (finding,) = verify_dataset(exported.dataset).findings
    assert (finding.stage, finding.what) == ("export_raven", "it is gone")
    assert due(exported) == ["export_raven"]
    assert run(exported).faults == ()
    assert exported.latest("export_raven").metadata["files_written"].value == 1
    exported.configure("")
    assert due(exported) == []
    assert run(exported).nothing_to_do


def test_exports_are_due_of_each_corpus_that_lacks_other_results(exported):
    for recording_id in ("rec_1", "rec_2"):
        exported.dataset.detections(recording_id).write_bytes(b"damaged")
        assert exported.execute("corpus_job").success
        assert due(exported) == ["export_raven", "export_occupancy"]
        assert exported.execute("export_job").success
        assert due(exported) == []


def test_a_corrected_table_is_not_replaced_and_spoils_nothing_else(exported, app):
    table, others = table_of(exported), exported.dataset.export("raven")
    before = {one.name: one.read_bytes() for one in others.iterdir()}
    corrected = before[table.name] + b"a bird that BADC did not hear\n"
    table.write_bytes(corrected)
    report = verify_dataset(exported.dataset)
    assert (report.findings, report.changed) == ([], [exported.dataset.below(table)])
    assert run(exported).nothing_to_do, "it is in nobody's way"

    exported.configure(FORMATS, STRICTER)
    outcome = run(exported)
    (fault,) = outcome.faults
    assert f"{table}: was changed since BADC wrote it; nothing is exported. Move it" in fault
    assert f"badc export raven {exported.root} --overwrite" in fault
    assert fault.startswith("failed  export_raven  ")
    status = run_typed(app, "status", exported.root, code=1)
    assert fault in " ".join(status.stderr.split("\n"))
    now = {one.name: one.read_bytes() for one in others.iterdir()}
    assert now == before | {table.name: corrected}
    assert (outcome.n_finished, exported.n_materialized("export_occupancy")) == (3, 2)

    table.rename(exported.root / "corrected.txt")
    assert run(exported).faults == ()
    assert table.exists()
    run_typed(app, "status", exported.root)


def test_a_change_in_an_export_made_by_hand_is_named_and_is_no_damage(exported, app):
    run_typed(app, "export", "audacity", exported.root)
    table = next(exported.dataset.export("audacity").glob("*.txt"))
    table.write_bytes(table.read_bytes() + b"1\t2\ta bird\n")
    said = run_typed(app, "verify", exported.root).stderr
    assert f"{exported.dataset.below(table)}: was changed since" in said


def test_the_sensor_requests_exports_with_the_corpus_or_alone(exported):
    now_s = [1_700_000_000.0]

    def tick(cursor, after_s):
        now_s[0] += after_s
        result = evaluate(
            exported.instance, exported.connection, exported.dataset, cursor, lambda: now_s[0]
        )
        requests = [
            [key.path[-1] for key in one.asset_selection] for one in result.run_requests or ()
        ]
        return requests, result.cursor

    assert tick(None, 0)[0] == []
    table_of(exported).parent.rename(exported.root / "elsewhere")
    requests, cursor = tick(None, 1000)
    assert requests == []
    requests, cursor = tick(cursor, 130)
    assert requests == [["export_raven"]]
    assert tick(cursor, 30)[0] == [], "once"
    exported.dataset.corpus.fingerprints.unlink()
    exported.configure(FORMATS + "[report]\ntop_labels = 3\n")
    exported.run_all("report_bundle")
    _, cursor = tick(None, 1000)
    (request,), _ = tick(cursor, 130)
    assert request == ["corpus_detections", "corpus_report", "export_raven", "export_occupancy"]


def test_a_clone_in_another_home_has_nothing_to_export(exported, in_fresh_home, tmp_path):
    root = tmp_path / "elsewhere" / "clone"
    shutil.copytree(exported.root, root, ignore=shutil.ignore_patterns(".badc"))
    clone = in_fresh_home(root)
    assert run(clone).nothing_to_do
    assert clone.latest("export_raven").metadata["taken_over"]


def test_an_export_is_committed_with_the_command_that_makes_it_again(exported):
    run_in(exported.root, "datalad", "create", "--force", "-D", "Field recordings")
    run_in(exported.root, "datalad", "save", "-m", "Add all")
    shutil.rmtree(exported.dataset.export("raven"))
    assert run(exported).faults == ()
    message = run_in(exported.root, "git", "log", "-1", "--format=%B", "--", "artifacts/exports")
    assert message.startswith("[DATALAD RUNCMD] export_raven: all recordings")
    assert run_in(exported.root, "git", "status", "--porcelain") == ""
    head = run_in(exported.root, "git", "rev-parse", "HEAD").strip()
    commit = exported.latest("export_raven").metadata["commit"].value
    assert commit == head
    run_badc("redo", ".", "export_raven", folder=exported.root)
    assert run_in(exported.root, "git", "status", "--porcelain") == ""
