"""Chunks that fail inside readable recordings: what stands, what is said, what is tried again."""

import sys
from pathlib import Path

import dagster as dg
import pytest
from support.telemetry import read_events

from badc_core.chunks.manifest import read_manifest
from badc_core.chunks.plan import Chunk
from badc_core.detections.store import read_effort
from badc_core.recordings.recording import read_recording
from badc_core.stages.fingerprints import mark_incomplete
from badc_core.stages.work import Work
from badc_core.telemetry.summary import Summary
from badc_dagster.runs import Project
from badc_dagster.step_checks import _check_retries

IDS = ("rec_1", "rec_2", "rec_3")

_PROGRAM = """
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
chunk = Path(sys.argv[sys.argv.index("--input") + 1])
with open(here / "asked", "a") as asked:
    asked.write(chunk.stem + "\\n")
if chunk.stem in (here / "poisoned").read_text().split():
    sys.exit("this chunk is poison")
if chunk.stem in (here / "once").read_text().split():
    (here / "once").write_text("")
    sys.exit("this once")
found = [{"timestamp_ms": 100, "end_ms": 900, "label": "Res", "confidence": 0.9}]
Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps({"detections": found}))
"""


CHUNKS = "[chunks]\nduration_s = {0}\nmin_chunk_s = {1}\n"


def cut_anew(graph) -> None:
    graph.add("S1/rec_2.wav").unlink()
    graph.add("S1/rec_2.mp3", "CommonYellowthroat.mp3")
    graph.configure(CHUNKS.format(3.0, 1.0))
    graph.run_all("recording", "chunk_manifest")


@pytest.fixture(scope="session")
def cut_in_several(build_graph) -> Path:
    """Returns a folder with recordings that are cut, the second of them into several chunks."""
    return build_graph("cut_in_several", cut_anew)


@pytest.fixture
def graph(cut_in_several, copy_graph):
    return copy_graph(cut_in_several)


@pytest.fixture
def poison(graph, tmp_path: Path):
    """Makes a program the detector, which refuses the chunks it is told to refuse."""
    program = tmp_path / "program" / "detector.py"
    program.parent.mkdir()
    program.write_text(_PROGRAM)
    (program.parent / "asked").write_text("")

    def choose(
        *chunk_ids: str,
        tolerated: float = 0.0,
        budget: float = 0.0,
        once: str = "",
        chunk_s: float = 3.0,
    ) -> None:
        (program.parent / "poisoned").write_text("\n".join(chunk_ids))
        (program.parent / "once").write_text(once)
        graph.configure(
            f"{CHUNKS.format(chunk_s, chunk_s / 3)}"
            f"[inference]\nbackoff_s = 0.01\nmax_failed_fraction = {tolerated}\n"
            f"retry_budget = {budget}\n",
            f"[detector]\nname = 'command'\ncommand = '{sys.executable} {program}'\n",
        )

    def asked() -> list[str]:
        path = program.parent / "asked"
        lines = path.read_text().split()
        path.write_text("")
        return lines

    choose.asked = asked
    return choose


def bring_up_to_date(graph):
    with Project.open(graph.root) as project:
        project.scan()
        return project.bring_up_to_date()


def test_a_failed_chunk_leaves_a_usable_result_that_stays_due_until_it_is_repaired(
    graph, poison
) -> None:
    poison("rec_2_chunk_0_3000")
    outcome = bring_up_to_date(graph)
    n_chunks = len(poison.asked()) - 2
    assert (outcome.n_finished, outcome.n_incomplete, outcome.failures) == (2, 1, ())
    (told, *checks) = outcome.faults
    assert told.startswith(f"1 of {n_chunks} chunks failed, more than")
    assert "rec_2_chunk_0_3000: " in told
    assert "this chunk is poison" in told
    assert any("no_failed_chunks" in one for one in checks)
    assert not any("chunks_complete" in one for one in checks), "the step said it already"
    (warning,) = outcome.warnings
    assert warning.startswith("check retry_budget failed. What it checks: No more of")
    assert "rec_2_chunk_0_3000 on cpu-" in warning
    assert graph.due() == {"raw_detections": ["rec_2"]}
    assert graph.n_materialized("report_bundle") == 3
    row = read_effort(graph.dataset.effort("rec_2")).to_pylist()[0]
    assert (row["status"], row["effort_s"]) == ("error", 0.0)
    before = graph.latest("raw_detections", "rec_2").metadata
    assert (before["chunks_failed"].value, before["retries"].value) == (1, 2)

    again = bring_up_to_date(graph)
    assert set(poison.asked()) == {"rec_2_chunk_0_3000"}
    assert again.faults
    assert graph.n_materialized("report_bundle") == 3

    assert graph.dataset.raw_detections("rec_2").exists()
    poison()
    repaired = bring_up_to_date(graph)
    assert poison.asked() == ["rec_2_chunk_0_3000"]
    assert (repaired.n_finished, repaired.faults) == (3, ())
    assert graph.due() == {}
    made = graph.latest("raw_detections", "rec_2").metadata
    assert made["chunks_failed"].value == 0
    assert made["chunks_resumed"].value == made["chunks"].value - 1
    assert graph.n_materialized("report_bundle") == 4
    assert not Work(graph.dataset.work_folder).journal("rec_2").exists()


def test_an_incomplete_output_has_a_fingerprint_of_its_own() -> None:
    one = mark_incomplete("abc@0.1", ["a", "b"])
    assert one == mark_incomplete("abc@0.1", ["b", "a"])
    assert one != mark_incomplete("abc@0.1", ["a"])
    assert one != "abc@0.1"


def checks(result) -> dict[str, dg.AssetCheckEvaluation]:
    """Returns what a run's checks of detections found; each is evaluated once, whatever happens."""
    found = result.get_asset_check_evaluations()
    assert len(found) == len({one.check_name for one in found}) == 2
    return {one.check_name: one for one in found}


def chunks_of(graph, recording_id: str) -> tuple[Chunk, ...]:
    recording = read_recording(graph.dataset.recording(recording_id))
    return read_manifest(graph.dataset.manifest(recording_id), recording).chunks


def detect(graph, *ids: str):
    """Returns the result of the detector's step."""
    return graph.run_range("raw_detections", *(ids or IDS))


def require_logged_attempts(graph) -> None:
    """Returns if the log names command, exit code and reason of every attempt at the chunk."""
    (log,) = (graph.root / "artifacts" / "telemetry" / "infer").glob("*.jsonl")
    ended = [
        event
        for event in read_events(log)
        if event["chunk_id"] == "rec_2_chunk_0_3000" and event["status"] != "start"
    ]
    assert [event["attempt"] for event in ended] == [1, 2, 3]
    for event in ended:
        assert event["details"]["returncode"] == 1
        assert event["details"]["command"][:1] == [sys.executable]
        assert "this chunk is poison" in event["details"]["stderr"]
        assert "exit code 1" in event["error"]
    assert log.with_name(f"{log.name}.summary.json").exists()
    logged = [
        entry.user_message
        for run in graph.instance.get_runs()
        for entry in graph.instance.all_logs(run.run_id)
    ]
    (told,) = [one for one in logged if one.startswith("chunks that gave trouble")]
    assert "rec_2_chunk_0_3000" in told
    assert any(one.startswith("worker cpu-0 is ready") for one in logged)
    assert {event["details"]["output"] for event in read_events(log)} == {
        None,
        *(f"artifacts/raw_detections/{one}.parquet" for one in IDS),
    }
    assert log.with_name(f"{log.name}.summary.json.workers.csv").exists()


def test_a_recording_that_lacks_chunks_fails_its_check_until_it_is_repaired(graph, poison) -> None:
    poison("rec_2_chunk_0_3000")
    result = detect(graph)
    assert not result.success
    complete = checks(result)["chunks_complete"]
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert complete.metadata["examples"].value == "rec_2"
    require_logged_attempts(graph)
    # A step that has nothing to do with it does not make the recording whole.
    assert not checks(detect(graph, "rec_1"))["chunks_complete"].passed
    poison()
    repaired = checks(detect(graph, "rec_2"))
    assert repaired["chunks_complete"].passed
    n_chunks = repaired["retry_budget"].metadata["chunks"].value
    assert n_chunks == len(chunks_of(graph, "rec_2")) > 1, "those before count too"


def test_a_step_without_trouble_passes_its_checks_once_for_all_its_recordings(
    graph, poison
) -> None:
    poison()
    result = detect(graph)
    assert result.success
    for check in checks(result).values():
        assert check.passed
        assert check.metadata["examples"].value == "-"
        assert not check.blocking
    assert checks(result)["retry_budget"].metadata["chunks"].value == len(poison.asked())


def test_a_chunk_that_was_tried_again_is_beyond_a_budget_of_none(graph, poison) -> None:
    poison(once="rec_2_chunk_0_3000")
    result = detect(graph)
    assert result.success
    found = checks(result)
    assert found["chunks_complete"].passed
    retries = found["retry_budget"]
    assert (retries.passed, retries.severity) == (False, dg.AssetCheckSeverity.WARN)
    told = retries.metadata
    assert (told["violations"].value, told["retries"].value) == (1, 1)
    assert told["examples"].value.startswith("rec_2_chunk_0_3000 on cpu-")
    assert "success after 1 retry, last error: " in told["examples"].value
    assert "this once" in told["examples"].value


def test_failed_chunks_within_the_tolerated_fraction_and_the_budget_are_final(
    graph, poison
) -> None:
    poison("rec_2_chunk_0_3000", tolerated=0.9, budget=0.5)
    result = detect(graph)
    assert result.success
    found = checks(result)
    assert found["chunks_complete"].passed
    assert found["retry_budget"].passed
    assert found["retry_budget"].metadata["violations"].value == 1
    assert graph.due() == {"detections": list(IDS)}


def test_as_many_retries_as_the_budget_says_pass_whatever_floats_make_of_it(tmp_path) -> None:
    summary = Summary(tmp_path / "run.jsonl")
    for number in range(100):
        summary.resumed(f"c{number}", "rec_1", attempts=2)
    summary._troubled |= {f"c{number}" for number in range(29)}
    assert _check_retries(summary, 0.29).passed
    assert not _check_retries(summary, 0.28).passed


def test_no_more_than_five_chunks_are_named_the_others_counted(graph, poison) -> None:
    poison(*[f"rec_1_chunk_{n * 400}_{(n + 1) * 400}" for n in range(7)], chunk_s=0.4)
    assert graph.run_range("chunk_manifest", "rec_1").success
    retries = checks(detect(graph, "rec_1"))["retry_budget"]
    named = retries.metadata["examples"].value.split("; ")
    n_failed = retries.metadata["violations"].value
    assert n_failed == 7
    assert len(named) == 6
    assert all("failure after 2 retries" in one for one in named[:5])
    assert named[5] == "and 2 more"


def test_a_recording_without_any_chunk_fails_the_check_too(graph, poison) -> None:
    poison(*(chunk.chunk_id for chunk in chunks_of(graph, "rec_2")), tolerated=1.0)
    complete = checks(detect(graph))["chunks_complete"]
    assert (complete.passed, complete.metadata["examples"].value) == (False, "rec_2")
    assert not checks(detect(graph, "rec_1"))["chunks_complete"].passed
    poison(tolerated=1.0)
    assert checks(detect(graph, "rec_2"))["chunks_complete"].passed


def test_a_recording_that_was_pruned_is_no_longer_missed(graph, poison) -> None:
    poison("rec_2_chunk_0_3000")
    assert not checks(detect(graph))["chunks_complete"].passed
    (graph.root / "audio" / "S1" / "rec_2.mp3").unlink()
    with Project.open(graph.root) as project:
        project.scan()
        assert project.prune() == ("rec_2",)
    assert checks(detect(graph, "rec_1"))["chunks_complete"].passed
