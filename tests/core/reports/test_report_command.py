"""`badc report`: what it shows, and that the commands it advises can be typed."""

import json
import shlex

import pytest
from support.commands import RecordedOutput, run_typed
from typer import Typer

from badc_core.cli.report import report, show_report
from badc_core.corpus.building import build_corpus
from badc_core.errors import DatasetInvalid, RecordingUnknown

FOUND = [(0.0, 3.0, "Jay", "Cyanocitta cristata", 0.9), (3.0, 6.0, "Rain", None, 0.5)]


def shown(dataset, recording_id, limit):
    out = RecordedOutput()
    show_report(dataset, recording_id, limit, out)
    return out.text


def app():
    app = Typer()
    app.command()(report)
    return app


def command_in(text, name):
    """Returns a command in a text as a shell would split it."""
    (line,) = [line for line in text.splitlines() if f"badc {name}" in line]
    return shlex.split(line[line.index("badc") :])


@pytest.mark.parametrize("recording_id", [None, "a"])
def test_the_command_for_more_rows_is_complete(workbench, recording_id):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    text = shown(workbench.dataset, recording_id, 1)
    assert "Jay" in text
    assert "Rain" not in text
    only = ["--recording", recording_id] if recording_id else []
    expected = ["badc", "report", str(workbench.dataset.root), *only, "--limit", "2"]
    assert command_in(text, "report") == expected
    assert "Rain" in shown(workbench.dataset, recording_id, 2)


def test_without_a_corpus_the_command_that_makes_one_is_given(workbench):
    with pytest.raises(DatasetInvalid) as caught:
        run_typed(app(), workbench.dataset.root)
    assert command_in(caught.value.remedy, "run") == ["badc", "run", str(workbench.dataset.root)]


def test_a_recording_without_result_leads_to_the_status(workbench):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    with pytest.raises(RecordingUnknown) as caught:
        shown(workbench.dataset, "b", 1)
    assert command_in(caught.value.remedy, "status") == [
        "badc", "status", str(workbench.dataset.root)
    ]  # fmt: skip


def test_the_report_as_json_has_every_species_and_the_page(workbench):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    result = json.loads(run_typed(app(), workbench.dataset.root, "--json", "--limit", 1).stdout)
    assert [one["label"] for one in result["species"]] == ["Jay", "Rain"]
    assert result["species"][0]["best_score"] == pytest.approx(0.9)
    assert result["recordings"] == 1
    assert result["report"] == str(workbench.dataset.corpus.html)


def test_a_quiet_report_prints_nothing(workbench):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    assert run_typed(app(), workbench.dataset.root, "--quiet").output == ""
