"""Folders renamed and files lost after a run: what is done again, and what is counted."""

import json
import shutil

from support.commands import run_typed

from badc_core.cli.app import build_app
from badc_core.corpus.reading import open_corpus
from badc_core.errors import ContentMissing
from badc_core.recordings.failures import note_failure
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registry import read_registry, register_recordings
from badc_dagster.corpus_fingerprint import corpus_fingerprint


def corpus_of(graph):
    """Returns recording -> path and station in the corpus, and where it has detections."""
    with open_corpus(graph.dataset) as corpus:
        recordings = corpus.execute("SELECT recording_id, path, location FROM recordings")
        places = {one: (path, station) for one, path, station in recordings.fetchall()}
        detected = corpus.execute(
            "SELECT DISTINCT recording_id, location, source_path FROM real_detections"
        )
        return places, set(detected.fetchall())


def test_after_a_rename_no_detector_runs_again_and_every_sound_counts_once(finished):
    before = finished.dataset.raw_detections("rec_1").read_bytes()
    audio = finished.root / "audio"
    finished.add("S1/twin.wav", "aru_3.wav")
    finished.scan()
    keys = finished.instance.get_dynamic_partitions("recordings")
    (audio / "S1/rec_2.wav").unlink()
    (audio / "S1/rec_3.wav").unlink()
    # As after somebody tried it in the web interface.
    gone = ContentMissing("there is no such file", "audio/S1/rec_2.wav")
    note_failure(finished.dataset, "rec_2", "recording", gone)
    (audio / "S1").rename(audio / "445")
    (audio / "445/rec_1.wav").rename(audio / "445/20240501_050000.wav")

    done = run_typed(build_app(), "run", finished.root)
    assert "2 recordings renamed, such as audio/S1/rec_1.wav -> audio/445/2024" in done.stdout
    assert "2 of 4 recordings complete, 2 missing, 0 failed" in done.stdout
    told = done.stderr.replace("\n", " ")
    assert "2 recordings missing, such as rec_2" in told
    assert "station 445: only digits" in told  # as `badc scan` says

    assert finished.instance.get_dynamic_partitions("recordings") == keys
    assert finished.dataset.raw_detections("rec_1").read_bytes() == before
    raw = finished.latest("raw_detections", "rec_1").metadata
    assert raw["chunks_resumed"].value == raw["chunks"].value > 0
    found = finished.latest("recordings").metadata
    assert {
        one: found[one].value for one in ("renamed", "missing", "changed", "new_recordings")
    } == {
        "renamed": 2,
        "missing": 2,
        "changed": 0,
        "new_recordings": 0,
    }
    moved = "audio/445/20240501_050000.wav"
    places, detected = corpus_of(finished)
    # What is gone for good was analysed and counts; rec_3 is there under another name.
    assert places == {
        "rec_1": (moved, "445"),
        "rec_2": ("audio/S1/rec_2.wav", "S1"),
        "twin": ("audio/445/twin.wav", "445"),
    }
    assert detected <= {(one, station, path) for one, (path, station) in places.items()}
    assert ("rec_1", "445", moved) in detected
    described = read_recording(finished.dataset.recording("rec_1"))
    assert str(described.start_local) == "2024-05-01 05:00:00"
    assert moved in finished.dataset.manifest("rec_1").read_text()

    status = json.loads(run_typed(build_app(), "status", finished.root, "--json").stdout)
    assert (status["missing"], status["total"], status["failures"]) == (["rec_2", "rec_3"], 4, [])
    assert all(row["due"] == 0 for row in status["rows"])


def test_what_is_missing_is_never_due_and_a_copy_that_was_deleted_counts_no_more(finished):
    def fingerprint():
        registry = read_registry(finished.dataset.registry)
        inputs = finished.instance, finished.connection, finished.dataset, registry
        return corpus_fingerprint(*inputs)

    audio = finished.root / "audio"
    shutil.copy2(audio / "S1/rec_1.wav", audio / "copy.wav")
    registry = register_recordings(finished.dataset).registry
    assert registry.ids == ("copy", "rec_1", "rec_2", "rec_3")
    with_copy = fingerprint()
    (audio / "copy.wav").unlink()
    (audio / "S1/rec_3.wav").unlink()
    finished.configure("[chunks]\nduration_s = 2\n")
    assert fingerprint() != with_copy
    status = json.loads(run_typed(build_app(), "status", finished.root, "--json").stdout)
    assert status["missing"] == ["copy", "rec_3"]
    assert {row["stage"]: row["due"] for row in status["rows"]}["chunk_manifest"] == 2


def test_results_stay_where_the_content_is_elsewhere_when_they_are_due(finished):
    path = finished.root / "audio/S1/rec_1.wav"
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/KEY/KEY")
    finished.configure("[recordings]\ntimezone = '-07:00'\n")
    done = run_typed(build_app(), "run", finished.root, code=1)
    assert "2 of 3 recordings complete, 1 failed" in done.stdout
    assert "datalad get" in done.stderr
    places, detected = corpus_of(finished)
    assert set(places) == {"rec_1", "rec_2", "rec_3"}
    assert "rec_1" in {one for one, *_ in detected}
