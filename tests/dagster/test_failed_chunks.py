"""Chunks that fail inside readable recordings: what stands, what is said, what is tried again."""

import sys
from pathlib import Path

import pytest

from badc_core.detections.store import read_effort
from badc_core.provenance.fingerprints import Fingerprints
from badc_core.telemetry.log import read_events
from badc_dagster.runs import Project

_PROGRAM = """
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
chunk = Path(sys.argv[sys.argv.index("--input") + 1])
with open(here / "asked", "a") as asked:
    asked.write(chunk.stem + "\\n")
if chunk.stem in (here / "poisoned").read_text().split():
    sys.exit("this chunk is poison")
found = [{"timestamp_ms": 100, "end_ms": 900, "label": "Res", "confidence": 0.9}]
Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps({"detections": found}))
"""


@pytest.fixture
def poison(graph, tmp_path: Path):
    """Makes a program the detector, which refuses the chunks it is told to refuse."""
    program = tmp_path / "program" / "detector.py"
    program.parent.mkdir()
    program.write_text(_PROGRAM)
    (program.parent / "poisoned").write_text("")
    (program.parent / "asked").write_text("")

    def choose(*chunk_ids: str, tolerated: float = 0.0) -> None:
        (program.parent / "poisoned").write_text("\n".join(chunk_ids))
        graph.configure(
            "[chunks]\nduration_s = 3.0\nmin_chunk_s = 1.0\n"
            f"[inference]\nbackoff_s = 0.01\nmax_failed_fraction = {tolerated}\n",
            f"[detector]\nname = 'command'\ncommand = '{sys.executable} {program}'\n",
        )

    def asked() -> list[str]:
        path = program.parent / "asked"
        lines = path.read_text().split()
        path.write_text("")
        return lines

    choose.asked = asked
    graph.add("S1/rec_2.wav").unlink()
    graph.add("S1/rec_2.mp3", "CommonYellowthroat.mp3")
    return choose


def reopened(graph):
    return Project.open(graph.root)


def test_a_failed_chunk_leaves_a_usable_result_that_stays_due_until_it_is_repaired(
    graph, poison
) -> None:
    poison("rec_2_chunk_0_3000")
    with reopened(graph) as project:
        project.scan()
        outcome = project.bring_up_to_date()
        n_chunks = len(poison.asked()) - 2
        assert (outcome.n_finished, outcome.n_incomplete, outcome.failures) == (2, 1, ())
        (told, *checks) = outcome.faults
        assert told.startswith(f"1 of {n_chunks} chunks failed, more than")
        assert "rec_2_chunk_0_3000: " in told
        assert "this chunk is poison" in told
        assert any("no_failed_chunks" in one for one in checks)
        assert graph.due() == {"detections": ["rec_2"]}
        assert graph.n_materialized("report_bundle") == 3
        row = read_effort(graph.dataset.effort("rec_2")).to_pylist()[0]
        assert (row["status"], row["effort_s"]) == ("error", 0.0)
        before = graph.latest("detections", "rec_2").metadata
        assert (before["chunks_failed"].value, before["retries"].value) == (1, 2)

    with reopened(graph) as project:
        again = project.bring_up_to_date()
        assert set(poison.asked()) == {"rec_2_chunk_0_3000"}
        assert again.faults
        assert graph.n_materialized("report_bundle") == 3

    assert graph.dataset.inference.journal("rec_2").exists()
    poison()
    with reopened(graph) as project:
        repaired = project.bring_up_to_date()
    assert poison.asked() == ["rec_2_chunk_0_3000"]
    assert (repaired.n_finished, repaired.faults) == (3, ())
    assert graph.due() == {}
    made = graph.latest("detections", "rec_2").metadata
    assert made["chunks_failed"].value == 0
    assert made["chunks_resumed"].value == made["chunks"].value - 1
    assert graph.n_materialized("report_bundle") == 4
    assert not graph.dataset.inference.journal("rec_2").exists()


def test_failed_chunks_within_the_tolerated_fraction_are_final(graph, poison) -> None:
    poison("rec_2_chunk_0_3000", tolerated=0.9)
    with reopened(graph) as project:
        project.scan()
        outcome = project.bring_up_to_date()
        assert not any("chunks failed, more than" in one for one in outcome.faults)
        assert outcome.n_finished == 3
        assert graph.due() == {}
        poison.asked()
        project.bring_up_to_date()
        assert poison.asked() == []


def test_an_incomplete_output_has_a_fingerprint_of_its_own(graph) -> None:
    graph.scan()
    fingerprints = Fingerprints(graph.dataset)
    one = fingerprints.incomplete("abc", ["a", "b"])
    assert one == fingerprints.incomplete("abc", ["b", "a"])
    assert one != fingerprints.incomplete("abc", ["a"])
    assert one != "abc"


def test_the_log_names_command_exit_code_and_reason_of_every_attempt(graph, poison) -> None:
    poison("rec_2_chunk_0_3000")
    with reopened(graph) as project:
        project.scan()
        project.bring_up_to_date()
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
        *(f"artifacts/aggregate/rec_{number}.parquet" for number in (1, 2, 3)),
    }
    assert log.with_name(f"{log.name}.summary.json.workers.csv").exists()
