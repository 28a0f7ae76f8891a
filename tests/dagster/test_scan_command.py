"""`badc scan`: what it says."""

import json
import os

import pytest
from support.commands import run_badc, run_typed
from support.sounds import write_tone

from badc_core.cli.app import build_app
from badc_core.errors import ConfigInvalid, ContentMissing, DatasetInvalid
from badc_core.recordings.registry import read_registry


@pytest.fixture
def unnameable(graph, lacking):
    """Adds a file whose name is not UTF-8 and returns that name, escaped."""
    try:
        with open(os.fsencode(graph.root) + b"/audio/S1/b\xe9b\xe9.wav", "wb"):  # noqa: PTH123
            pass
    except OSError:
        lacking("a file system that takes names that are not UTF-8")
    return "audio/S1/b\\xe9b\\xe9.wav"


def test_a_scan_counts_what_it_found(graph):
    done = run_typed(build_app(), "scan", graph.root)
    counts = f"3 recordings in {graph.root}: 3 new, 0 changed, 0 missing\n"
    assert done.stdout.splitlines(keepends=True)[-1] == counts
    result = json.loads(run_typed(build_app(), "scan", graph.root, "--json").stdout)
    assert (result["recordings"], result["new"]) == (3, [])


def test_a_name_that_cannot_be_written_down_stops_no_scan_and_is_shown(graph, unnameable):
    done = run_typed(build_app(), "scan", graph.root)
    assert unnameable in done.stderr
    assert "rename it" in done.stderr
    assert done.stdout.endswith("3 new, 0 changed, 0 missing, 1 left out\n")
    assert graph.instance.get_dynamic_partitions("recordings") == ["rec_1", "rec_2", "rec_3"]


def test_a_scan_tells_how_paths_are_read_and_what_is_doubtful(graph):
    (graph.root / "deployments.csv").write_text("location,habitat\ns1,aspen\n")
    done = run_typed(build_app(), "scan", graph.root)
    assert "3 x station from the folder, no start in the name, such as audio/S1/" in done.stdout
    assert "s1: in the table of deployments, but no recording is from there" in done.stderr


def test_a_table_of_deployments_that_a_run_refuses_is_refused_by_a_scan(graph):
    (graph.root / "deployments.csv").write_text("station;lat\nS1;53\n")
    with pytest.raises(ConfigInvalid, match="semicolons"):
        run_typed(build_app(), "scan", graph.root)


def test_one_recording_is_explained_with_the_source_of_every_fact(graph):
    path = next((graph.root / "audio/S1").glob("*.wav")).relative_to(graph.root)
    done = run_typed(build_app(), "scan", graph.root, "--explain", path)
    assert "location  S1  (path)" in done.stdout
    assert "warning  Neither header nor file name says when" in done.stdout
    with pytest.raises(ContentMissing, match="no such file in the dataset"):
        run_typed(build_app(), "scan", graph.root, "--explain", "absent.wav")


def test_a_missing_file_is_told_with_its_remedy(graph):
    run_typed(build_app(), "scan", graph.root)
    next((graph.root / "audio").rglob("*.wav")).unlink()
    done = run_typed(build_app(), "scan", graph.root)
    assert "1 recording missing" in done.stderr.replace("\n", " ")
    assert "badc scan --prune" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("place", "typed", "made"),
    [
        (".", "card", "card-dataset"),
        (".", "card/DATA", "DATA-dataset"),
        (".", "card/DATA/b.WAV", "b-dataset"),
        ("card/DATA", ".", "card/DATA-dataset"),
    ],
)
def test_of_recordings_without_a_dataset_one_is_made_once_and_read(
    home, tmp_path, monkeypatch, place, typed, made
):
    app, card = build_app(), tmp_path / "card"
    write_tone(card / "DATA" / "b.wav", 2.0).rename(card / "DATA" / "b.WAV")
    monkeypatch.chdir(tmp_path / place)
    with pytest.raises(DatasetInvalid) as told:
        run_typed(app, "report", typed)
    assert told.value.remedy == f"Run: badc run {typed}"
    assert not (tmp_path / made).exists()
    for is_new in (True, False):
        done = run_typed(app, "scan", typed)
        assert ("results go to a new one" in done.stderr) is is_new
    assert len(read_registry(tmp_path / made / "recordings.csv")) == 1
    with pytest.raises(DatasetInvalid, match="no corpus yet"):
        run_typed(app, "report", typed)
    assert place != "." or {one.name for one in card.rglob("*")} == {"DATA", "b.WAV"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "card", "--min-score", 2), 2),
        (("pipeline", "run", "card", "--set", "detector.min_score=2"), 2),
        (("scan", "card", "--explain", "card/b.wav"), 1),
    ],
)
def test_where_a_command_is_refused_or_only_tells_no_dataset_is_made(home, tmp_path, words, code):
    write_tone(tmp_path / "card" / "b.wav", 2.0)
    done = run_badc(*words, folder=tmp_path, code=code)
    assert ("holds recordings, but is no dataset yet. Run: badc run card" in done.stderr) == (
        code == 1
    )
    assert not (tmp_path / "card-dataset").exists()
