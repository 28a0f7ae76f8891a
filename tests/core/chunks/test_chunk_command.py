"""`badc chunk` as it is typed."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.archives import make_archive, run_in
from support.commands import run_typed
from support.tables import rows_of

from badc_core.annexed_files import lacks_content
from badc_core.cli.chunk import chunk
from badc_core.errors import ConfigInvalid, ContentMissing

RATE_HZ = 8000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, with a recording in it whose name begins with a dash."""
    here = tmp_path / "l'été [1]"
    here.mkdir()
    monkeypatch.chdir(here)
    sf.write("rec.flac", np.random.default_rng(2).normal(0, 0.1, RATE_HZ * 25), RATE_HZ)
    sf.write("-n rec.wav", np.random.default_rng(2).normal(0, 0.1, RATE_HZ * 25), RATE_HZ)
    return here


def typed(*words: str, code: int = 0) -> str:
    return run_typed(chunk, *words, code=code).output


def ids_in(manifest: str) -> list[str]:
    return [row["chunk_id"] for row in rows_of(Path(manifest))]


def test_split_lists_real_chunks_and_writes_nothing(folder: Path) -> None:
    before = set(folder.iterdir())
    text = typed("split", "rec.flac", "--chunk-duration", "10", "--overlap", "2")
    assert "rec_chunk_8000_18000" in text
    assert "rec_chunk_16000_25000" in text
    assert "128000" in text
    assert text.count("rec_chunk_") == 3
    assert set(folder.iterdir()) == before


def test_split_cuts_minutes_unless_told_otherwise(folder: Path) -> None:
    assert "rec_chunk_0_25000" in typed("split", "rec.flac")


def test_manifest_split_and_run_agree_on_every_chunk(folder: Path) -> None:
    options = ("rec.flac", "--chunk-duration", "7", "--overlap", "1.5")
    typed("manifest", *options)
    typed("run", *options, "--manifest", "real.csv")
    typed("run", *options, "--manifest", "dry.csv", "--dry-run")
    shown = [word for word in typed("split", *options).split() if word.startswith("rec_chunk_")]
    assert ids_in("chunk_manifest.csv") == ids_in("real.csv") == ids_in("dry.csv") == shown


def test_run_writes_below_the_current_folder_and_says_where(folder: Path) -> None:
    text = typed("run", "rec.flac", "--chunk-duration", "10")
    made = folder / "artifacts" / "chunks" / "rec"
    assert "3 chunks written, 0 were there" in text
    assert str(made) in text
    assert sorted(path.name for path in made.glob("*.wav")) == [
        "rec_chunk_0_10000.wav", "rec_chunk_10000_20000.wav", "rec_chunk_20000_25000.wav"
    ]  # fmt: skip
    assert "0 chunks written, 3 were there" in typed("run", "rec.flac", "--chunk-duration", "10")
    again = typed("run", "rec.flac", "--chunk-duration", "10", "--include-existing")
    assert "3 chunks written" in again
    assert "3 of other settings removed" in typed("run", "rec.flac", "--chunk-duration", "6")


def test_run_must_be_told_how_long_a_chunk_is(folder: Path) -> None:
    assert "--chunk-duration" in typed("run", "rec.flac", code=2)


def test_a_dry_run_leaves_no_trace(folder: Path) -> None:
    before = set(folder.iterdir())
    assert "rec_chunk_0_10000" in typed("run", "rec.flac", "--chunk-duration", "10", "--dry-run")
    assert set(folder.iterdir()) == before


def test_a_name_that_begins_with_a_dash_can_be_given(folder: Path) -> None:
    text = typed("run", "--chunk-duration", "10", "--output-dir", "out", "--", "-n rec.wav")
    assert "3 chunks written" in text
    assert len(list((folder / "out").glob("*/*.wav"))) == 3


def test_validate_says_that_all_is_well_or_what_is_wrong(folder: Path) -> None:
    typed("run", "rec.flac", "--chunk-duration", "10")
    manifest = "artifacts/chunks/rec/rec.csv"
    assert "everything is as it says" in typed("validate", manifest, "--hash")
    (folder / "artifacts/chunks/rec/rec_chunk_10000_20000.wav").unlink()
    text = typed("validate", manifest, code=1)
    assert "1 problem" in text
    assert "1 problems" not in text
    assert "rec_chunk_10000_20000" in text
    assert "the file is gone" in text
    assert str(folder) in text
    assert "1 chunk written, 2 were there" in typed("run", "rec.flac", "--chunk-duration", "10")
    assert "everything" in typed("validate", manifest, "--hash")


def test_hashed_manifests_hold_for_the_samples(folder: Path) -> None:
    typed("manifest", "rec.flac", "--chunk-duration", "10", "--hash-chunks", "--output", "h.csv")
    assert "decoded samples" in Path("h.csv").read_text()
    assert "everything" in typed("validate", "h.csv", "--hash")


def test_probe_says_how_long_and_where_its_log_is(folder: Path) -> None:
    text = typed("probe", "rec.flac", "--detector", "band_energy", "--no-measure")
    assert "Longest chunk: 25.00 s" in text
    assert "without --no-measure the detector is run" in text
    (log,) = (folder / "artifacts" / "telemetry" / "chunk_probe").glob("rec_*.jsonl")
    assert str(log) in text


def test_probe_measures_with_every_option(folder: Path) -> None:
    options = "--initial-duration 5 --max-duration 9 --tolerance 1 --log log.jsonl"
    text = typed("probe", "rec.flac", *options.split(), "--measure", "--detector", "band_energy")
    assert "it needed" in text
    assert "Longest chunk: 9.00 s" in text
    assert len(Path("log.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("split", "typo.flac"), ContentMissing),
        (("split", "."), ConfigInvalid),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, words: tuple[str, ...], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        typed(*words)
    assert "\n" not in str(caught.value)


def test_what_can_never_be_typed_so_is_refused_by_the_options_names(folder: Path) -> None:
    refused = run_typed(chunk, "split", "rec.flac", "--overlap", "60", code=2).stderr
    assert "--overlap must be smaller than --chunk-duration" in refused
    refused = run_typed(chunk, "manifest", "rec.flac", "--chunk-duration", "nan", code=2).stderr
    assert "--chunk-duration: must be a finite number, not nan" in refused
    assert not list(folder.glob("*.csv"))


@pytest.mark.parametrize("command", ["split", "manifest", "run", "probe"])
def test_a_mistyped_name_and_a_folder_are_called_what_they_are(folder: Path, command: str) -> None:
    options = ("--chunk-duration", "10") if command == "run" else ()
    with pytest.raises(ContentMissing, match=r"there is no such file\. Give an audio file"):
        typed(command, "typo.flac", *options)
    with pytest.raises(ConfigInvalid, match=r"is a folder\. Give an audio file"):
        typed(command, str(folder), *options)


def test_one_chunk_is_not_chunks(folder: Path) -> None:
    assert "1 chunk in" in typed("split", "rec.flac")
    assert "1 chunk of rec" in typed("manifest", "rec.flac")
    assert "1 chunk written, 0 were" in typed("run", "rec.flac", "--chunk-duration", "60")
    assert "0 chunks written, 1 was" in typed("run", "rec.flac", "--chunk-duration", "60")


def test_the_help_says_how_to_give_a_name_that_begins_with_a_dash(folder: Path) -> None:
    assert "behind --" in " ".join(typed("split", "--help").replace("│", " ").split())


def test_every_command_fetches_the_sound_that_it_reads_or_says_how(tmp_path, monkeypatch) -> None:
    sound = np.random.default_rng(2).normal(0, 0.1, RATE_HZ * 4)
    sf.write(tmp_path / "a.wav", sound, RATE_HZ)
    make_archive(tmp_path, [("audio/a.wav", (tmp_path / "a.wav").read_bytes())])
    archive = tmp_path / "archive"
    monkeypatch.chdir(archive)
    audio = archive / "audio" / "a.wav"
    words = ("manifest", "audio/a.wav", "--output", "ranges.csv")
    commands = (words, ("validate", "ranges.csv"), ("probe", "audio/a.wav", "--no-measure"))
    for words in commands:
        typed(*words)
        assert not lacks_content(audio), words
        run_in(archive, "git", "annex", "drop", "--quiet", "audio/a.wav")
    (tmp_path / "store").rename(tmp_path / "unplugged")
    assert f"Run: datalad get {audio}" in typed(*commands[1], code=1)
    with pytest.raises(ContentMissing, match=r"could not be .* Run: datalad get .*a\.wav"):
        typed(*commands[2])
