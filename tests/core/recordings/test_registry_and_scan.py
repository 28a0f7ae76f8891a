import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.forbidden import forbidden

from badc_core.audio.containers import require_content
from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, RecordingUnknown, UnreadableRecording
from badc_core.hashing import fingerprint_file, sha256_file
from badc_core.recordings.registry import forget_missing, read_registry, register_recordings
from badc_core.recordings.scan import find_audio, list_folders


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    (tmp_path / "audio").mkdir()
    return Dataset.open(tmp_path)


def put(dataset: Dataset, path: str, content: bytes = b"sound") -> Path:
    file = dataset.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def paths(dataset: Dataset) -> list[str]:
    return [audio.path for audio in find_audio(dataset)]


def test_audio_is_found_in_any_case_and_order_is_by_path(dataset: Dataset) -> None:
    for name in ("b/x.WAV", "a/y.flac", "a/z.Mp3", "notes.txt", "x.wav.part", "x.tmp"):
        put(dataset, f"audio/{name}")
    assert paths(dataset) == ["audio/a/y.flac", "audio/a/z.Mp3", "audio/b/x.WAV"]


def test_hidden_files_and_folders_are_passed_over(dataset: Dataset) -> None:
    for name in (".git/annex/a.wav", ".datalad/b.wav", "._c.wav", ".hidden/d.wav"):
        put(dataset, f"audio/{name}")
    assert paths(dataset) == []


def test_names_are_kept_letter_by_letter(dataset: Dataset) -> None:
    names = ["audio/Sambaa K'e/dawn chorus.wav", "audio/été/Düne,1.wav", "audio/e\u0301.wav"]
    for name in names:
        put(dataset, name)
    assert paths(dataset) == sorted(names)


@pytest.fixture
def unnameable(dataset: Dataset, lacking) -> list[str]:
    """Returns, escaped, what has names that are not UTF-8 in a dataset with one good file too."""
    put(dataset, "audio/été/good.wav")
    audio = os.fsencode(dataset.root / "audio")
    try:
        os.mkdir(audio + b"/\xc9tang")  # noqa: PTH102
        for name in (
            b"\xc9tang/a.wav",
            b"\xc9tang/b.wav",
            b"\xc3\xa9t\xc3\xa9/\xff.wav",
            b"\xff.txt",
        ):
            with open(audio + b"/" + name, "wb"):  # noqa: PTH123
                pass
    except OSError:
        lacking("a file system that takes names that are not UTF-8")
    return ["audio/\\xc9tang", "audio/été/\\xff.wav"]


def test_a_name_that_is_not_utf_8_is_passed_over_and_told(
    dataset: Dataset, unnameable: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert paths(dataset) == ["audio/été/good.wav"]
    assert f"{unnameable[0]} (2 in all;" in caplog.text
    assert sorted(list_folders(dataset).unnameable) == unnameable
    assert register_recordings(dataset).registry.ids == ("good",)


def test_where_all_names_are_utf_8_nothing_is_told(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    put(dataset, "audio/été/good.wav")
    assert paths(dataset) == ["audio/été/good.wav"]
    assert list_folders(dataset).unnameable == set()
    assert caplog.text == ""


def test_a_link_to_an_annexed_file_keeps_its_own_name(dataset: Dataset) -> None:
    put(dataset, ".git/annex/objects/MD5E-s5--abc.wav")
    (dataset.root / "audio" / "here.wav").symlink_to("../.git/annex/objects/MD5E-s5--abc.wav")
    (dataset.root / "audio" / "gone.wav").symlink_to("../.git/annex/objects/MD5E-s5--xyz.wav")
    gone, here = find_audio(dataset)
    assert (gone.path, gone.size_bytes, gone.modified_ns) == ("audio/gone.wav", None, None)
    assert (here.path, here.size_bytes) == ("audio/here.wav", 5)


def test_linked_folders_are_followed_once_and_loops_end(dataset: Dataset, tmp_path: Path) -> None:
    put(dataset, "elsewhere/a.wav")
    put(dataset, "audio/real/b.wav")
    for name, target in (("far", "../elsewhere"), ("loop", "."), ("again", "real")):
        (dataset.root / "audio" / name).symlink_to(target)
    assert paths(dataset) == ["audio/far/a.wav", "audio/real/b.wav"]


def test_a_folder_named_like_a_recording_is_no_recording(dataset: Dataset) -> None:
    put(dataset, "audio/x.wav/y.wav")
    assert paths(dataset) == ["audio/x.wav/y.wav"]


def test_a_scan_names_every_file_and_a_second_one_nothing(dataset: Dataset) -> None:
    put(dataset, "audio/S1/a.wav")
    put(dataset, "audio/S2/a.wav")
    first, second = register_recordings(dataset), register_recordings(dataset)
    assert first.added == ("S1__a", "S2__a")
    assert (second.added, second.changed, second.missing, second.total) == ((), (), (), 2)
    assert read_registry(dataset.registry).by_id == first.registry.by_id


def test_an_unchanged_registry_is_not_rewritten(dataset: Dataset) -> None:
    put(dataset, "audio/a.wav")
    register_recordings(dataset)
    before = dataset.registry.stat()
    register_recordings(dataset)
    assert dataset.registry.stat().st_ino == before.st_ino


def test_awkward_paths_survive_the_table(dataset: Dataset) -> None:
    name = 'audio/Owl, Great "Horned"/K\'e ü.wav'
    put(dataset, name)
    (recording,) = register_recordings(dataset).registry
    assert recording.path == name
    assert read_registry(dataset.registry).by_path[name] == recording


def test_a_changed_file_is_reported_and_a_touched_one_is_not(dataset: Dataset) -> None:
    changed, touched = put(dataset, "audio/a.wav"), put(dataset, "audio/b.wav")
    register_recordings(dataset)
    changed.write_bytes(b"other sound")
    os.utime(touched, ns=(1, 1))
    outcome = register_recordings(dataset)
    assert outcome.changed == ("a",)


def test_a_touched_file_is_read_once_more_and_leaves_the_table_as_it_is(
    dataset: Dataset, monkeypatch
) -> None:
    """In clones the same contents have other times; the table must not differ between them."""
    touched, other = put(dataset, "audio/a.wav"), put(dataset, "audio/b.wav")
    register_recordings(dataset)
    table = dataset.registry.read_bytes()
    looked_at: list[str] = []

    def fingerprint(path: Path, kind: str) -> str:
        looked_at.append(path.name)
        return fingerprint_file(path, kind)

    monkeypatch.setattr("badc_core.recordings.registry.fingerprint_file", fingerprint)
    for time_ns in (1, 2):
        os.utime(touched, ns=(time_ns, time_ns))
        for _ in range(3):
            assert register_recordings(dataset).changed == ()
    assert looked_at == ["a.wav", "a.wav"]
    other.write_bytes(b"other sound")
    assert register_recordings(dataset).changed == ("b",)
    assert register_recordings(dataset).changed == ()
    assert looked_at == ["a.wav", "a.wav", "b.wav"]
    touched.write_bytes(b"other sound, too")
    assert register_recordings(dataset).changed == ("a",)
    assert dataset.registry.read_bytes() != table


def test_a_missing_file_keeps_its_row_and_name(dataset: Dataset) -> None:
    file = put(dataset, "audio/S1/a.wav")
    register_recordings(dataset)
    file.unlink()
    put(dataset, "audio/S2/a.wav", b"other sound")
    outcome = register_recordings(dataset)
    assert (outcome.missing, outcome.added, outcome.total) == (("a",), ("S2__a",), 2)


def test_content_that_was_dropped_is_neither_missing_nor_changed(dataset: Dataset) -> None:
    file = put(dataset, "audio/a.wav")
    known = register_recordings(dataset).registry.require("a")
    file.unlink()
    file.symlink_to("../.git/annex/objects/gone.wav")
    outcome = register_recordings(dataset)
    assert (outcome.missing, outcome.changed) == ((), ())
    assert outcome.registry.require("a") == known


def test_an_unknown_recording_is_met_with_similar_names(dataset: Dataset) -> None:
    put(dataset, "audio/20230501_050000.wav")
    registry = register_recordings(dataset).registry
    with pytest.raises(RecordingUnknown, match="20230501_050000"):
        registry.require("20230501_05000")


def test_a_recording_is_found_by_its_path_and_half_a_name_by_its_beginning(
    dataset: Dataset,
) -> None:
    for minute in range(8):
        put(dataset, f"audio/A/20230501_050{minute}00.wav")
    registry = register_recordings(dataset).registry
    for path in ("audio/A/20230501_050300.wav", "A/20230501_050300.wav", "20230501_050300.wav"):
        assert registry.require(path).recording_id == "20230501_050300"
    first = "20230501_050000, 20230501_050100, 20230501_050200"
    with pytest.raises(RecordingUnknown, match=first):
        registry.require("20230501_050")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("recording,path\n", 1),
        ("recording_id,path,size_bytes,modified_ns,fingerprint\na,audio/a.wav,x,1,f\n", 2),
        ("recording_id,path,size_bytes,modified_ns,fingerprint\n<<<<<<< HEAD\n", 2),
        (
            "recording_id,path,size_bytes,modified_ns,fingerprint\n,,,,\n",
            2,
        ),
    ],
)
def test_a_malformed_registry_is_refused_by_line(dataset: Dataset, text: str, line: int) -> None:
    dataset.registry.write_text(text)
    with pytest.raises(DatasetInvalid, match=f"line {line}"):
        register_recordings(dataset)
    assert dataset.registry.read_text() == text


def test_processes_that_register_at_once_lose_nothing(dataset: Dataset) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from badc_core.datasets.dataset import Dataset\n"
        "from badc_core.recordings.registry import register_recordings\n"
        "from badc_core.recordings.scan import FoundAudio\n"
        "dataset, me = Dataset.open(Path(sys.argv[1])), sys.argv[2]\n"
        "for turn in range(15):\n"
        "    path = f'audio/{me}/{turn}.wav'\n"
        "    (dataset.root / path).write_bytes(b'sound')\n"
        "    register_recordings(dataset, [FoundAudio(path, 5, 1)])\n"
    )
    names = ["p1", "p2", "p3"]
    for name in names:
        (dataset.root / "audio" / name).mkdir()
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(dataset.root), name]) for name in names
    ]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    registry = read_registry(dataset.registry)
    assert set(registry.by_path) == {f"audio/{n}/{turn}.wav" for n in names for turn in range(15)}
    assert len(registry.ids) == 45


def test_the_two_kinds_of_fingerprint_differ_and_notice_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(bytes(3 << 20))
    sampled, full = fingerprint_file(file, "sampled"), fingerprint_file(file, "full")
    assert len({sampled, full, sha256_file(file)}) == 3
    with file.open("r+b") as opened:
        opened.seek(1_500_000)
        opened.write(b"x")
    assert fingerprint_file(file, "sampled") == sampled
    assert fingerprint_file(file, "full") != full
    with file.open("ab") as opened:
        opened.write(b"x")
    assert fingerprint_file(file, "sampled") != sampled


@pytest.mark.parametrize("n_thousand", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_thousands_of_files_are_found_quickly(dataset: Dataset, n_thousand: int) -> None:
    for folder in range(n_thousand):
        place = dataset.root / "audio" / f"S{folder}"
        place.mkdir()
        for number in range(1000):
            (place / f"{number}.wav").touch()
    start_s = time.process_time()
    assert len(find_audio(dataset)) == 1000 * n_thousand
    assert time.process_time() - start_s < 0.25 * n_thousand


def test_what_is_no_regular_file_neither_hangs_nor_ends_a_scan(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    put(dataset, "audio/good.wav")
    audio = dataset.root / "audio"
    os.mkfifo(audio / "pipe.wav")
    (audio / "loop.wav").symlink_to("loop.wav")
    (audio / "loop").symlink_to("loop")
    (audio / "broken.wav").symlink_to("nowhere.wav")
    (audio / "device.wav").symlink_to("/dev/zero")
    outcome = register_recordings(dataset)
    assert outcome.registry.ids == ("good",)
    for name in ("pipe.wav", "loop.wav", "broken.wav", "device.wav"):
        assert f"audio/{name}" in caplog.text


def test_a_pipe_is_no_recording_to_read(dataset: Dataset) -> None:
    os.mkfifo(dataset.root / "pipe.wav")
    with pytest.raises(UnreadableRecording, match="not a regular file"):
        require_content(dataset.root / "pipe.wav")


@pytest.mark.parametrize(
    "folder",
    [
        "$RECYCLE.BIN",
        "#recycle",
        "@eaDir",
        "@Recycle",
        "RECYCLER",
        ".Trashes",
        ".Trash-1000",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
        "FOUND.000",
    ],
)
def test_bins_and_folders_of_systems_are_not_searched(dataset: Dataset, folder: str) -> None:
    put(dataset, f"audio/{folder}/x.wav")
    put(dataset, f"audio/S1/{folder}/deep/x.wav")
    assert paths(dataset) == []


def test_a_folder_that_cannot_be_listed_is_told_and_its_recordings_are_kept(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    put(dataset, "audio/S 1/a.wav")
    gone = put(dataset, "audio/S2/b.wav")
    register_recordings(dataset)
    gone.unlink()
    with forbidden(dataset.root / "audio" / "S 1"):
        assert paths(dataset) == []
        assert f"chmod u+rx '{dataset.root / 'audio' / 'S 1'}'" in caplog.text
        assert forget_missing(dataset) == ("b",)


def test_files_of_other_endings_are_counted_and_sidecars_are_not(dataset: Dataset) -> None:
    for name in ("a.dsf", "b.DSF", "c.wac", "d.w4v", "log.txt", "a.csv", "README", ".x.dsf"):
        put(dataset, f"audio/{name}")
    listing = list_folders(dataset)
    assert listing.explain_passed_over() == (
        "Passed over: 2 .dsf (convert to WAV or FLAC), 1 .w4v (convert to WAV with Kaleidoscope), "
        "1 .wac (convert to WAV with Kaleidoscope or wac2wav)"
    )


@pytest.mark.parametrize(
    ("ending", "form", "subtype"),
    [
        ("wave", "WAV", "PCM_16"),
        ("bwf", "WAV", "PCM_24"),
        ("rf64", "RF64", "PCM_16"),
        ("w64", "W64", "PCM_16"),
        ("aifc", "AIFF", "PCM_16"),
        ("au", "AU", "PCM_16"),
        ("caf", "CAF", "PCM_16"),
        ("oga", "OGG", "VORBIS"),
        ("opus", "OGG", "OPUS"),
    ],
)
def test_whatever_libsndfile_reads_is_a_recording(
    dataset: Dataset, ending: str, form: str, subtype: str
) -> None:
    file = dataset.root / "audio" / f"x.{ending}"
    soundfile.write(file, np.zeros(4800), 48_000, format=form, subtype=subtype)
    assert paths(dataset) == [f"audio/x.{ending}"]
    with AudioFile(file) as audio:
        assert audio.n_samples == 4800
