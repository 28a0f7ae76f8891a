"""HawkEars 1, with a stand-in for its analyze.py that has its flags, files and ways to fail."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.hawkears.hawkears1 import HawkEars1, build_place_arguments, identify, load
from badc_core.detectors.interface import NO_CONTEXT, Detection, Label, RecordingContext
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing, OutOfMemory
from badc_core.settings import ChunkSettings

HEADER = "filename,start_time,end_time,class_name,class_code,score"
TORONTO = RecordingContext(43.65, -79.38, "2024-06-01")


def settings_of(runtime: Path, **settings) -> DetectorSettings:
    return DetectorSettings(name="hawkears1", runtime=str(runtime), **settings)


@pytest.fixture
def run(soundscape: Path, scratch: Path) -> Callable[..., list[Detection]]:
    """Returns what runs HawkEars over the soundscape as one chunk."""

    def start(
        detector: HawkEars1, recording_context: RecordingContext = NO_CONTEXT
    ) -> list[Detection]:
        with AudioFile(soundscape) as audio:
            (chunk,) = plan_chunks("rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings())
            try:
                ((found,),) = (
                    detector.detect(one)
                    for one in detector.batches(audio, chunk, recording_context)
                )
            finally:
                assert list(scratch.iterdir()) == []
        return found

    return start


@pytest.fixture
def run_writing(make_hawkears1, run) -> Callable[..., list[Detection]]:
    """Returns what runs a checkout whose analyze.py only writes what it is told."""

    def start(labels: str | None, rarities: str | None = None, log: str = "") -> list[Detection]:
        checkout = make_hawkears1()
        (checkout / "analyze.py").write_text(
            "import pathlib, sys\n"
            "output = pathlib.Path(sys.argv[sys.argv.index('--output') + 1])\n"
            f"tables = {{'labels': {labels!r}, 'rarities': {rarities!r}}}\n"
            "for name, text in tables.items():\n"
            "    if text is not None:\n"
            "        (output / f'HawkEars_{name}.csv').write_text(text, encoding='utf-8')\n"
            f"print({log!r}, file=sys.stderr)\n"
        )
        return run(load(settings_of(checkout, min_score=0.25)))

    return start


def test_its_windows_come_back_as_detections(run, hawkears1: Path) -> None:
    found = run(load(settings_of(hawkears1, min_score=0.1, window_overlap_s=1.0)))
    assert len(found) >= 5
    for one in found:
        assert one.start_sample % 96_000 == 0
        assert one.end_sample == min(one.start_sample + 144_000, 1_214_400)
        assert one.label.code in {"MODO", "NOFL", "COYE", "GCKI"}
        assert 0.1 <= one.confidence <= 1
        assert (one.is_expected, one.occurrence) == (None, None)
    assert Label("Common Yellowthroat", "COYE") in {one.label for one in found}


def test_it_is_called_with_long_flags_in_its_own_folder_by_its_own_python(
    run, hawkears1: Path
) -> None:
    hawkears = {"arguments": ["--band", "0", "--threads", "1"], "region": "CA-ON"}
    detector = load(settings_of(hawkears1, min_score=0.7, hawkears=hawkears))
    run(detector)
    command = detector.report().command
    assert command[:2] == (str(hawkears1 / ".venv/bin/python"), str(hawkears1 / "analyze.py"))
    assert command[2] == "--input"
    assert command[4] == "--output"
    assert command[6:] == (
        *("--rtype", "csv", "--merge", "0", "--min_score", "0.7"),
        *("--region", "CA-ON", "--band", "0", "--threads", "1"),
    )
    assert detector.report().returncode == 0
    assert "Analyzing" in detector.report().stderr


@pytest.mark.parametrize(
    ("recording_context", "hawkears", "expected"),
    [
        (NO_CONTEXT, {}, []),
        (NO_CONTEXT, {"region": "CA-AB"}, ["--region", "CA-AB"]),
        (
            RecordingContext(date="2024-06-01"),
            {"region": "CA-AB"},
            ["--region", "CA-AB", "--date", "20240601"],
        ),
        (RecordingContext(date="2024-06-01"), {}, []),
        (
            TORONTO,
            {"region": "CA-AB"},
            ["--lat", "43.650000", "--lon", "-79.380000", "--date", "20240601"],
        ),
        (RecordingContext(1e-7, -1e-7), {}, ["--lat", "0.000000", "--lon", "-0.000000"]),
        (TORONTO, {"region": "CA-AB", "use_occurrence": False}, []),
    ],
)
def test_a_recordings_own_place_goes_before_the_region(
    recording_context: RecordingContext, hawkears: dict, expected: list[str]
) -> None:
    assert build_place_arguments(DetectorSettings(hawkears=hawkears), recording_context) == expected


def test_at_a_known_place_species_are_marked_and_rarities_come_back(run, make_hawkears1) -> None:
    detector = load(settings_of(make_hawkears1(), min_score=0.1))
    anywhere, there = run(detector), run(detector, TORONTO)
    assert [_unmarked(one) for one in there] == [_unmarked(one) for one in anywhere]
    rare = {one.label.code for one in there if one.is_expected is False}
    expected = {one.label.code for one in there if one.is_expected is True}
    assert rare == {"NOFL"}
    assert expected
    assert rare | expected == {one.label.code for one in there}


def test_an_unknown_region_is_a_failure_though_the_exit_code_is_0(run, hawkears1: Path) -> None:
    detector = load(settings_of(hawkears1, hawkears={"region": "XX-ZZ"}))
    with pytest.raises(
        DetectorFailed,
        match=r"wrote no HawkEars_labels\.csv: Error: region 'XX-ZZ' not found.*use_occurrence",
    ):
        run(detector)
    assert detector.report().returncode == 0


def test_a_place_outside_its_data_is_a_failure(run, hawkears1: Path) -> None:
    with pytest.raises(DetectorFailed, match="no county found"):
        run(load(settings_of(hawkears1)), RecordingContext(-33.9, 151.2))


def test_networks_that_went_missing_are_a_failure(run, make_hawkears1) -> None:
    checkout = make_hawkears1()
    detector = load(settings_of(checkout))
    for network in (checkout / "data/ckpt").iterdir():
        network.unlink()
    with pytest.raises(DetectorFailed, match=r"wrote no .*: Error: no checkpoints found"):
        run(detector)


def test_a_file_it_cannot_read_is_a_failure(
    hawkears1: Path, soundscape: Path, scratch: Path
) -> None:
    detector = load(settings_of(hawkears1))
    with AudioFile(soundscape) as audio:
        chunk = Chunk("rec", 0, 96_000, 0, audio.sample_rate_hz)
        (batch,) = detector.batches(audio, chunk, NO_CONTEXT)
    batch.path.write_bytes(b"rubbish")
    with pytest.raises(DetectorFailed, match=r"wrote no .*ffmpeg error"):
        detector.detect(batch)
    assert list(scratch.iterdir()) == []


def test_a_table_without_rows_means_nothing_was_found(run_writing) -> None:
    assert run_writing(f"{HEADER}\n", log="Analyzing\nElapsed time = 00:00:03") == []


@pytest.mark.parametrize(
    "log",
    [
        "ffmpeg error (see stderr output for detail)",
        "Caught exception in audio load",
        "Traceback (most recent call last):\n  File x\nRuntimeError: no kernel image",
    ],
)
def test_a_table_without_rows_is_a_failure_where_the_log_tells_of_one(
    run_writing, log: str
) -> None:
    with pytest.raises(DetectorFailed, match="found nothing and its log reports an error"):
        run_writing(f"{HEADER}\n", log=log)


def test_a_lack_of_memory_is_told_apart(run_writing) -> None:
    with pytest.raises(OutOfMemory, match="CUDA out of memory"):
        run_writing(None, log="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")


def test_rows_become_detections_by_start_then_label(run_writing) -> None:
    labels = (
        "rec.wav,3.000,6.000,Ovenbird,OVEN,0.912\n"
        "rec.wav,24.000,27.000,Wren,WREN,0.250\n"
        "rec.wav,6.000,9.000,Wren,WREN,0.249\n"
    )
    rare = "rec.wav,3.000,6.000,Kagu,,0.5\n"
    found = run_writing(f"{HEADER}\n{labels}", f"{HEADER}\n{rare}")
    assert found == [
        Detection(144_000, 288_000, Label("Kagu"), 0.5, is_expected=False),
        Detection(144_000, 288_000, Label("Ovenbird", "OVEN"), 0.912),
        Detection(1_152_000, 1_214_400, Label("Wren", "WREN"), 0.25),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it has no column filename, start_time, end_time"),
        ("filename,start,end_time,class_name,class_code,score\n", "it has no column start_time"),
        (
            f"{HEADER}\nrec.wav,x,3.0,Wren,WREN,0.5\n",
            "line 2: start_time: must be a number, not 'x'",
        ),
        (f"{HEADER}\nrec.wav,0.0\n", "line 2: end_time: must be a number, not ''"),
        (f"{HEADER}\nrec.wav,40.0,43.0,Wren,WREN,0.5\n", "line 2: a detection outside the chunk"),
        (f"{HEADER}\nrec.wav,3.0,nan,Wren,WREN,0.5\n", "line 2: end_time: must be a finite number"),
        (
            f"{HEADER}\nrec.wav,0.0,3.0,Wren,WREN,1.5\n",
            "score: must be less than or equal to 1, no",
        ),
        (f"{HEADER}\nrec.wav,0.0,3.0,,WREN,0.5\n", "class_name: must have at least 1 character"),
        (f'{HEADER}\nrec.wav,0.0,3.0,"Wren,WREN,0.5\n', "not a CSV table"),
    ],
)
def test_another_table_is_refused(run_writing, text: str, complaint: str) -> None:
    with pytest.raises(DetectorFailed, match=rf"HawkEars_labels\.csv: .*{complaint}"):
        run_writing(text)


def test_an_exit_code_is_told(run, make_hawkears1) -> None:
    checkout = make_hawkears1()
    (checkout / "analyze.py").write_text("import sys\nsys.exit('no such device')\n")
    with pytest.raises(DetectorFailed, match="HawkEars ended with exit code 1: no such device"):
        run(load(settings_of(checkout)))


def test_a_missing_checkout_is_named_with_what_to_set(make_hawkears1, tmp_path: Path) -> None:
    without_networks = make_hawkears1()
    for network in (without_networks / "data/ckpt").iterdir():
        network.unlink()
    cases = {"": "runtime is not set", str(tmp_path): "no analyze.py", "~/nowhere": "no analyze.py"}
    cases[str(without_networks)] = "no networks"
    for runtime, complaint in cases.items():
        for ask in (identify, load):
            with pytest.raises(DetectorMissing, match=rf"{complaint}.*Set detector\.runtime"):
                ask(DetectorSettings(name="hawkears1", runtime=runtime))
    with pytest.raises(ConfigInvalid, match="relative"):
        identify(DetectorSettings(name="hawkears1", runtime="HawkEars"))


def test_a_network_that_was_not_fetched_is_named(make_hawkears1) -> None:
    checkout = make_hawkears1()
    (checkout / "data/ckpt/net0.ckpt").unlink()
    (checkout / "data/ckpt/net0.ckpt").symlink_to(".git/annex/objects/nothing")
    with pytest.raises(DetectorMissing, match=r"net0\.ckpt: the network's content is not here"):
        identify(settings_of(checkout))


def test_without_an_environment_the_python_on_the_search_path_is_used(
    make_hawkears1, run, tmp_path: Path, monkeypatch
) -> None:
    checkout = make_hawkears1()
    programs = tmp_path / "programs"
    programs.mkdir()
    (checkout / ".venv/bin/python").rename(programs / "python3")
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    detector = load(settings_of(checkout, min_score=0.1))
    assert run(detector)
    assert detector.report().command[0] == str(programs / "python3") != sys.executable
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DetectorMissing, match=r"neither .* nor a python3"):
        identify(settings_of(checkout))


def test_the_identity_follows_program_and_networks(make_hawkears1) -> None:
    checkout = make_hawkears1()
    first = identify(settings_of(checkout))
    assert identify(settings_of(checkout)) == first
    assert first.uses_gpu
    assert (first.window_s, first.licence) == (3.0, "MIT")
    (checkout / "data/ckpt/net1.ckpt").write_bytes(b"weights X")
    retrained = identify(settings_of(checkout))
    assert retrained.version == first.version
    assert retrained.model_sha256 != first.model_sha256
    (checkout / "analyze.py").write_text("pass\n")
    assert identify(settings_of(checkout)).version != first.version


def _unmarked(one: Detection) -> tuple[int, int, Label, float]:
    return (one.start_sample, one.end_sample, one.label, one.confidence)


def test_its_tables_are_kept_where_that_is_wanted(
    hawkears1: Path, soundscape: Path, scratch: Path, tmp_path: Path
) -> None:
    detector = load(settings_of(hawkears1))
    kept = tmp_path / "out" / "rec_hawkears"
    with AudioFile(soundscape) as audio:
        chunk = Chunk("rec", 0, 10 * audio.sample_rate_hz, 0, audio.sample_rate_hz)
        for batch in detector.batches(audio, chunk, NO_CONTEXT):
            detector.detect(batch.kept_in(kept))
    assert (kept / "HawkEars_labels.csv").read_text().startswith("filename,start_time,")
    assert not list(kept.rglob("*.wav"))
    assert list(scratch.iterdir()) == []
