"""What every registered detector keeps, whatever it is made of.

Three promises: what all keep; what those keep that cut a recording into windows of a grid, whose
results cannot depend on how it is cut into chunks; and what a program given chunk files keeps.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import NO_CONTEXT, Detector, DetectorReport, RecordingContext
from badc_core.detectors.registry import identify_detector, list_detectors, load_detector
from badc_core.errors import ConfigInvalid
from badc_core.settings import ChunkSettings

ON_THE_GRID = ("band_energy", "birdnet", "onnx", "python")
"""Windows at multiples of a hop from the recording's start, and a rule or weights that mean it."""

PROGRAMS = ("command", "hawkears1")
"""Given a file for every chunk."""

UNTRAINED = ("hawkears",)
"""On the grid too, but with random weights here: what they find means nothing."""

SILENT = ("stub",)
"""No model: finds nothing in anything."""

ALL = (*ON_THE_GRID, *PROGRAMS, *UNTRAINED, *SILENT)
TRAINED = (*ON_THE_GRID, *PROGRAMS)

MIN_SCORE = 0.05
"""Low, since the one contract must have something to find for rule and model alike."""

ITHACA = RecordingContext(42.45, -76.5, "2022-06-15")

every_detector = pytest.mark.parametrize("name", ALL)
every_trained_detector = pytest.mark.parametrize("name", TRAINED)
every_grid_detector = pytest.mark.parametrize("name", ON_THE_GRID)
every_program = pytest.mark.parametrize("name", PROGRAMS)


@pytest.fixture(scope="session")
def soundscape(soundscape: Path) -> Path:
    """Returns the last 13.3 s of the soundscape, in which each detector finds enough."""
    samples, rate_hz = sf.read(soundscape, dtype="float32")
    path = soundscape.with_name("end of soundscape.wav")
    sf.write(path, samples[12 * rate_hz :], rate_hz, subtype="FLOAT")
    return path


@pytest.fixture(scope="session", params=[32_000, 44_100])
def resampled(soundscape: Path, request) -> Path:
    """Returns the soundscape as a recorder of another rate would have written it."""
    samples, rate_hz = sf.read(soundscape, dtype="float32")
    n_samples = round(len(samples) * request.param / rate_hz)
    spectrum = np.fft.rfft(samples)[: n_samples // 2 + 1]
    slower = np.fft.irfft(spectrum, n_samples) * n_samples / len(samples)
    path = soundscape.with_name(f"at{request.param}.wav")
    sf.write(path, slower, request.param, subtype="FLOAT")
    return path


@pytest.fixture
def detector(load, name: str) -> Detector:
    return load(name, min_score=MIN_SCORE)


def test_this_suite_forgets_no_detector() -> None:
    assert set(list_detectors()) == set(ALL)


@every_detector
def test_identity_is_that_of_the_loaded_detector(detector: Detector, needed, name: str) -> None:
    identity = identify_detector(DetectorSettings(name=name, min_score=MIN_SCORE, **needed(name)))
    assert identity == detector.identity
    assert identity.name == name
    assert identity.version
    assert identity.window_s >= 0
    assert identity.model_sha256 is None or len(identity.model_sha256) == 64


@pytest.mark.parametrize("names", [(*TRAINED, *SILENT), UNTRAINED])
def test_asking_who_they_are_loads_no_model(needed, names: tuple[str, ...]) -> None:
    program = (
        "import json, sys\n"
        "from badc_core.detectors.registry import identify_detector\n"
        "from badc_core.detector_settings import DetectorSettings\n"
        "heavy = {'ai_edge_litert', 'scipy', 'tensorflow', 'torch', 'birdnetlib', 'hawkears'}\n"
        "for settings in sys.argv[1:]:\n"
        "    name = identify_detector(DetectorSettings.model_validate_json(settings)).name\n"
        "    print(name, *sorted(heavy & set(sys.modules)))\n"
    )
    settings = [json.dumps({"name": name, **needed(name)}) for name in names]
    told = subprocess.run(
        [sys.executable, "-c", program, *settings], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [*names]


@every_detector
def test_each_window_is_answered_by_itself_and_again_the_same(
    detector: Detector, detect, soundscape: Path
) -> None:
    assert detector.batch_windows >= 1
    found = []
    with AudioFile(soundscape) as audio:
        (chunk,) = plan_chunks("rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings())
        for batch in detector.batches(audio, chunk, NO_CONTEXT):
            answers = detector.detect(batch)
            assert len(answers) == len(batch) >= 1
            found += [one for some in answers for one in some]
    assert detect(detector, soundscape) == found


@every_detector
def test_detections_lie_where_their_chunk_is_the_first_to_hold_them(
    detector: Detector, detect_chunk, soundscape: Path
) -> None:
    chunks = ChunkSettings(duration_s=9.5, overlap_s=1.2345)
    with AudioFile(soundscape) as audio:
        for chunk in plan_chunks("rec", audio.n_samples, audio.sample_rate_hz, chunks):
            found = detect_chunk(detector, audio, chunk)
            for one in found:
                assert chunk.start_sample + chunk.overlap_samples <= one.start_sample
                assert one.start_sample < chunk.end_sample
                assert one.start_sample < one.end_sample <= audio.n_samples
                assert MIN_SCORE <= one.confidence <= 1
                assert one.label.name
            starts = [one.start_sample for one in found]
            assert starts == sorted(starts)


@every_detector
def test_nothing_below_the_minimum_score_is_returned(
    load, detect, name: str, soundscape: Path
) -> None:
    found = detect(load(name, min_score=0.2), soundscape)
    assert all(one.confidence >= 0.2 for one in found)
    assert bool(found) == (name not in SILENT)


@every_detector
def test_a_known_place_marks_detections_and_removes_none(
    detector: Detector, detect, soundscape: Path
) -> None:
    anywhere = detect(detector, soundscape)
    there = detect(detector, soundscape, ITHACA)
    assert {one.is_expected for one in anywhere} <= {None}
    assert {one.occurrence for one in anywhere} <= {None}
    assert sorted(_unmarked(one) for one in there) == sorted(_unmarked(one) for one in anywhere)
    for one in there:
        assert one.is_expected in {None, True, False}
        assert one.occurrence is None or 0 <= one.occurrence <= 1


@every_detector
def test_a_recording_shorter_than_a_window_does_no_harm(
    detector: Detector, detect, field_audio: Path
) -> None:
    for one in detect(detector, field_audio / "veryshort.wav"):
        assert 0 <= one.start_sample < one.end_sample <= 6266


@every_detector
def test_a_stereo_recording_is_heard_as_the_mean_of_its_channels(
    detector: Detector, detect, soundscape: Path, tmp_path: Path
) -> None:
    samples, rate_hz = sf.read(soundscape, dtype="float32")
    noise = np.random.default_rng(1).integers(-64, 65, len(samples)).astype(np.float32) / 4096
    # Whole multiples of 2^-16, so that adding and taking away the noise is exact.
    exact = np.round(samples * 2**14) / 2**16
    sf.write(tmp_path / "mono.wav", exact, rate_hz, subtype="FLOAT")
    both = np.stack([exact + noise, exact - noise], axis=1)
    sf.write(tmp_path / "stereo.wav", both, rate_hz, subtype="FLOAT")
    mono = detect(detector, tmp_path / "mono.wav")
    assert detect(detector, tmp_path / "stereo.wav") == mono


@every_detector
def test_it_leaves_nothing_in_scratch_and_may_be_closed_twice(
    needed, detector: Detector, detect_chunk, soundscape: Path, scratch: Path
) -> None:
    name = detector.identity.name
    one_more = load_detector(DetectorSettings(name=name, **needed(name)))
    with AudioFile(soundscape) as audio:
        for chunk in plan_chunks(
            "rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings(duration_s=9)
        ):
            detect_chunk(one_more, audio, chunk)
            assert isinstance(one_more.report(), DetectorReport | None)
    one_more.close()
    one_more.close()
    assert list(scratch.iterdir()) == []


@every_trained_detector
def test_birds_are_found(detector: Detector, detect, soundscape: Path) -> None:
    found = detect(detector, soundscape)
    assert len(found) >= 5
    assert len({one.label for one in found}) >= 2
    window = round(detector.identity.window_s * 48_000) or sf.info(soundscape).frames
    assert max(one.end_sample - one.start_sample for one in found) <= window


@every_trained_detector
@pytest.mark.parametrize("rate_hz", [8000, 96_000])
def test_nothing_is_found_in_digital_silence(
    detector: Detector, detect, tmp_path: Path, rate_hz: int
) -> None:
    sf.write(tmp_path / "silence.wav", np.zeros(7 * rate_hz), rate_hz)
    assert detect(detector, tmp_path / "silence.wav") == []


@every_trained_detector
def test_nothing_is_found_in_recorded_silence(
    detector: Detector, detect, field_audio: Path
) -> None:
    assert detect(detector, field_audio / "silence_10s.mp3") == []


@every_program
def test_a_program_tells_how_its_run_went(detector: Detector, detect_chunk, soundscape) -> None:
    with AudioFile(soundscape) as audio:
        chunk, *_ = plan_chunks("rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings())
        detect_chunk(detector, audio, chunk)
    report = detector.report()
    assert report.returncode == 0
    assert "--input" in report.command
    assert any(word.endswith(f"{chunk.chunk_id}.wav") for word in report.command)
    assert report.stdout + report.stderr


@every_grid_detector
def test_a_species_that_sings_close_by_is_found_in_an_mp3(
    detector: Detector, detect, field_audio: Path
) -> None:
    found = detect(detector, field_audio / "CommonYellowthroat.mp3")
    assert max(one.confidence for one in found) > 0.9
    if detector.identity.name == "birdnet":
        assert {one.label.scientific_name for one in found} == {"Geothlypis trichas"}


@every_grid_detector
def test_a_higher_minimum_keeps_the_same_detections_but_fewer(
    load, detect, name: str, detector: Detector, soundscape: Path
) -> None:
    all_found = detect(detector, soundscape)
    strong = [one for one in all_found if one.confidence >= 0.2]
    assert 0 < len(strong) < len(all_found)
    assert detect(load(name, min_score=0.2), soundscape) == strong


@every_grid_detector
def test_a_recording_shorter_than_a_window_is_analysed_as_far_as_it_goes(
    load, detect, name: str, field_audio: Path
) -> None:
    path = field_audio / "veryshort.wav"
    with AudioFile(path) as audio:
        assert audio.n_samples == 6266
    everything = detect(load(name, min_score=0.0), path)
    assert {(one.start_sample, one.end_sample) for one in everything} == {(0, 6266)}


@every_grid_detector
def test_one_sample_over_a_window_makes_no_detection_without_length(
    load, detect, name: str, detector: Detector, tmp_path: Path
) -> None:
    path = tmp_path / "one_over.wav"
    window = round(detector.identity.window_s * 48_000)
    sf.write(path, np.random.default_rng(1).normal(0, 0.1, window + 1), 48_000)
    found = detect(load(name, min_score=0.0), path)
    assert {(one.start_sample, one.end_sample) for one in found} == {(0, window)}


@every_grid_detector
@pytest.mark.parametrize("duration_s", [3.0, 7.0])
def test_results_do_not_depend_on_how_a_recording_is_cut(
    detector: Detector, detect, soundscape: Path, duration_s: float
) -> None:
    whole = detect(detector, soundscape)
    assert whole
    assert detect(detector, soundscape, duration_s=duration_s) == whole


@every_grid_detector
def test_results_do_not_depend_on_cuts_where_windows_overlap_across_them(
    load, detect, name: str, soundscape: Path
) -> None:
    overlapping = load(name, min_score=MIN_SCORE, window_overlap_s=1.25)
    whole = detect(overlapping, soundscape)
    assert len({one.start_sample for one in whole} - {144_000 * i for i in range(20)}) > 3
    assert detect(overlapping, soundscape, duration_s=4.0) == whole


@every_grid_detector
@pytest.mark.parametrize(("duration_s", "overlap_s"), [(9.5, 1.2345), (5.0, 4.5)])
def test_overlapping_chunks_detect_nothing_twice_and_nothing_else(
    detector: Detector, detect, soundscape: Path, duration_s: float, overlap_s: float
) -> None:
    whole = detect(detector, soundscape)
    cut = detect(detector, soundscape, duration_s=duration_s, overlap_s=overlap_s)
    assert cut == whole


@every_grid_detector
def test_other_sample_rates_give_nearly_the_same(
    detector: Detector, detect, soundscape: Path, resampled: Path
) -> None:
    rate_hz = sf.info(resampled).samplerate
    expected = {
        (round(one.start_sample / 48_000, 3), one.label.name): one.confidence
        for one in detect(detector, soundscape)
    }
    found = {
        (round(one.start_sample / rate_hz, 3), one.label.name): one.confidence
        for one in detect(detector, resampled)
    }
    strongest = sorted(expected, key=expected.__getitem__)[-3:]
    assert len(strongest) == 3
    for key in strongest:
        assert found.get(key) == pytest.approx(expected[key], abs=0.15)


@every_grid_detector
def test_results_do_not_depend_on_cuts_where_windows_are_resampled(
    detector: Detector, detect, resampled: Path
) -> None:
    whole = detect(detector, resampled)
    assert whole
    assert detect(detector, resampled, duration_s=3.0) == whole
    assert detect(detector, resampled, duration_s=7.0, overlap_s=1.2345) == whole


@pytest.mark.parametrize("name", [*ON_THE_GRID, "hawkears1"])
@pytest.mark.parametrize("overlap_s", [3.0, 3.5, 60.0])
def test_windows_that_overlap_entirely_are_refused(
    needed, detector: Detector, name: str, overlap_s: float
) -> None:
    settings = DetectorSettings(name=name, window_overlap_s=overlap_s, **needed(name))
    for ask in (identify_detector, load_detector):
        with pytest.raises(ConfigInvalid, match=f"window_overlap_s is {overlap_s:g}.*less than"):
            ask(settings)


def test_an_unknown_detector_is_answered_with_the_names_there_are() -> None:
    settings = DetectorSettings(name="birdnett")
    for ask in (identify_detector, load_detector):
        with pytest.raises(ConfigInvalid, match=r"'birdnett'.*band_energy, birdnet"):
            ask(settings)


@pytest.mark.parametrize("table", ["include", "exclude", "thresholds"])
def test_a_label_that_a_detector_does_not_have_is_refused_with_the_nearest(table: str) -> None:
    names = {"Black-caped Chickadee": 0.5} if table == "thresholds" else ["Black-caped Chickadee"]
    settings = DetectorSettings(name="birdnet", **{table: names})
    with pytest.raises(ConfigInvalid, match=rf"detector.{table}.*Black-capped Chickadee"):
        identify_detector(settings)
    good = {"poecile atricapillus": 0.5} if table == "thresholds" else ["poecile atricapillus"]
    assert identify_detector(DetectorSettings(name="birdnet", **{table: good})).name == "birdnet"


def _unmarked(one) -> tuple[int, int, str, float]:
    return (one.start_sample, one.end_sample, one.label.name, one.confidence)
