"""The longest chunk: found by few tries, measured in real processes, and then remembered."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from support.telemetry import read_events

from badc_core.detector_settings import DetectorSettings
from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.errors import ConfigInvalid, DetectorFailed, UnreadableRecording
from badc_core.probing.measuring import Measured, measure_in_child, read_answer
from badc_core.probing.memory_limit import MemoryLimit, find_limit
from badc_core.probing.probe import ProbeRequest, estimate_mib, find_longest_fitting, probe

RATE_HZ = 16_000
NO_GPU = GpuInventory((), "none here")
FIELDS = [
    *("schema", "timestamp", "audio", "duration_s", "estimated_vram_mb", "fits", "reason"),
    *("gpu_index", "gpu_name", "memory_limit_mb"),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "Sambaa K'e.wav"
    sf.write(path, np.random.default_rng(5).normal(0, 0.1, (RATE_HZ * 60, 2)), RATE_HZ)
    return path


def ask(recording: Path, measure=None, **request: object):
    request = {"detector": "band_energy", "log": recording.parent / "log.jsonl", **request}
    return probe(recording, ProbeRequest(**request), measure, NO_GPU)


def needing(mib_per_s: float):
    def measure(duration_s: float) -> Measured:
        return Measured(is_ok=True, peak_rss_mib=mib_per_s * duration_s)

    return measure


def failing_above(longest_s: float, tried: list[float] | None = None):
    def measure(duration_s: float) -> Measured:
        if tried is not None:
            tried.append(duration_s)
        is_ok = duration_s <= longest_s
        return Measured(is_ok, 10.0, reason="" if is_ok else "out of memory: bad_alloc")

    return measure


@given(st.floats(0.1, 5000), st.floats(1, 4000), st.floats(0.5, 4000), st.floats(0.1, 60))
def test_the_answer_fits_and_is_within_the_tolerance_of_the_truth(truth, longest, initial, near):
    tried: list[float] = []

    def fits(duration_s: float) -> bool:
        tried.append(duration_s)
        return duration_s <= truth

    answer = find_longest_fitting(fits, min(initial, longest), longest, near)
    assert tried[0] == longest
    if truth >= longest:
        assert answer == longest
        assert len(tried) == 1
    elif answer is None:
        assert truth < near
    else:
        assert truth - near <= answer <= truth
    assert len(tried) == len(set(tried)) <= 3 + max(0, np.ceil(np.log2(longest / near)))


def test_the_longest_allowed_is_tried_first_and_is_the_answer_if_it_fits(recording: Path) -> None:
    outcome = ask(recording, needing(0.001))
    assert outcome.longest_s == 60.0
    assert [one.duration_s for one in outcome.attempts] == [60.0]


def test_running_out_of_memory_halves_the_way_down(recording: Path) -> None:
    outcome = ask(recording, failing_above(23.0), initial_s=10.0, tolerance_s=2.0)
    assert [one.duration_s for one in outcome.attempts] == [
        60,
        10,
        35,
        22.5,
        28.75,
        25.625,
        24.0625,
    ]
    assert outcome.longest_s == 22.5


def test_needing_more_than_the_limit_does_not_fit_either(recording: Path) -> None:
    limit_mib = find_limit(NO_GPU, None, uses_gpu=False).mib
    outcome = ask(recording, needing(limit_mib / 30), initial_s=10.0)
    assert outcome.longest_s is not None
    assert 24 <= outcome.longest_s <= 31
    assert "it needed" in outcome.attempts[0].reason


def test_nothing_fits_is_said_so(recording: Path) -> None:
    assert ask(recording, failing_above(0.0)).longest_s is None


def test_every_attempt_is_a_line_with_the_fields_of_the_format(recording: Path) -> None:
    outcome = ask(recording, failing_above(23.0))
    events = read_events(outcome.log)
    assert len(events) == len(outcome.attempts) > 3
    for event, attempt in zip(events, outcome.attempts, strict=True):
        assert list(event)[: len(FIELDS)] == FIELDS
        assert (event["duration_s"], event["fits"]) == (attempt.duration_s, attempt.fits)
        assert event["strategy"] == "measured"
        assert event["gpu_index"] is None
    assert events[0]["audio"] == str(recording)
    assert "bad_alloc" in events[0]["reason"]


def test_an_estimate_does_not_pretend_that_length_matters(recording: Path) -> None:
    outcome = ask(recording, is_measured=False)
    assert (outcome.longest_s, outcome.attempts[0].strategy) == (60.0, "memory_estimator_v2")
    assert "measure" in outcome.attempts[0].reason
    question = {"window_s": 3.0, "sample_rate_hz": 48_000, "n_channels": 2}
    assert estimate_mib(3600, question) == estimate_mib(600, question) < 200
    assert estimate_mib(30, question) == pytest.approx(30 * 48_000 * 4 * 5 / 2**20)


def test_a_length_beyond_the_files_end_is_not_tried(recording: Path) -> None:
    assert ask(recording, needing(0.001), max_s=3600.0).longest_s == 60.0
    assert ask(recording, needing(0.001), max_s=12.0).longest_s == 12.0


def test_an_answer_is_measured_once_and_then_known(recording: Path) -> None:
    tried: list[float] = []
    first = ask(recording, failing_above(23.0, tried))
    n_tried = len(tried)
    again = ask(recording, failing_above(23.0, tried))
    assert (again.longest_s, again.is_recalled) == (first.longest_s, True)
    assert len(tried) == n_tried
    assert read_events(again.log)[-1]["reason"] == "measured by an earlier probe"


@pytest.mark.parametrize("other", [{"max_s": 30.0}, {"tolerance_s": 1.0}, {"channels": 1}])
def test_another_question_is_measured_anew(recording: Path, other: dict[str, object]):
    tried: list[float] = []
    ask(recording, failing_above(23.0))
    if other.pop("channels", None):
        sf.write(recording, np.zeros(RATE_HZ * 60) + 0.1, RATE_HZ)
    assert not ask(recording, failing_above(23.0, tried), **other).is_recalled
    assert tried


def test_torn_answers_are_measured_anew(recording: Path) -> None:
    ask(recording, failing_above(23.0))
    answers = recording.parent / "answers.json"
    answers.write_text(answers.read_text()[:50])
    assert not ask(recording, failing_above(23.0)).is_recalled
    assert ask(recording, failing_above(23.0)).is_recalled


def test_logs_of_probes_at_the_same_second_have_different_names(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    logs = {ask(recording, needing(0.001), log=None).log for _ in range(3)}
    assert len(logs) == 3
    folder = recording.parent / "artifacts" / "telemetry" / "chunk_probe"
    assert {log.parent for log in logs} == {folder}


def test_a_real_detector_is_measured_in_a_process_of_its_own(recording: Path) -> None:
    outcome = ask(recording)
    (attempt,) = outcome.attempts
    assert outcome.longest_s == 60.0
    assert 20 < (attempt.peak_rss_mb or 0) < 2000
    assert attempt.runtime_s


def test_the_memory_of_the_programs_a_detector_runs_counts_too(
    recording: Path, tmp_path: Path
) -> None:
    program = tmp_path / "greedy.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "held = b'1' * (300 << 20)\n"
        "Path(sys.argv[sys.argv.index('--output') + 1]).write_text('[]')\n"
    )
    command = shlex.join([sys.executable, str(program)])
    settings = DetectorSettings(name="command", command=command)
    measured = measure_in_child(recording, settings, MemoryLimit(4000.0))(60.0)
    assert measured.is_ok
    alone = measure_in_child(recording, DetectorSettings(name="band_energy"), MemoryLimit(4000.0))(
        60.0
    )
    # Without the program the process holds what one of another detector does, or less.
    assert 320 < (measured.peak_rss_mib or 0) < 400 + (alone.peak_rss_mib or 0)


def test_an_answer_that_left_programs_out_is_measured_anew(recording: Path) -> None:
    ask(recording, failing_above(23.0))
    answers = recording.parent / "answers.json"
    answers.write_text(answers.read_text().replace('"schema": 2', '"schema": 1'))
    assert not ask(recording, failing_above(23.0)).is_recalled


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="missing: RLIMIT_DATA of Linux")
def test_too_little_memory_is_an_answer_and_no_failure(recording: Path) -> None:
    measure = measure_in_child(recording, DetectorSettings(name="band_energy"), MemoryLimit(8.0))
    measured = measure(60.0)
    assert not measured.is_ok
    assert "out of memory" in measured.reason


def test_other_failures_are_raised_as_what_they_are(tmp_path: Path, recording: Path) -> None:
    broken = tmp_path / "broken.flac"
    sf.write(broken, np.random.default_rng(1).normal(0, 0.1, RATE_HZ * 60), RATE_HZ)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(UnreadableRecording):
        ask(broken)
    with pytest.raises(ConfigInvalid, match="no detector is called"):
        ask(recording, detector="nonsense")


@pytest.mark.parametrize(
    ("returncode", "stderr"),
    [(-9, ""), (-6, "terminate called after throwing std::bad_alloc"), (1, "MemoryError")],
)
def test_a_process_that_died_for_lack_of_memory_did_not_fit(returncode: int, stderr: str) -> None:
    assert not read_answer(returncode, "", stderr).is_ok


@pytest.mark.parametrize(("returncode", "said"), [(-11, "signal 11"), (3, "ended with 3")])
def test_a_process_that_died_otherwise_is_a_failure(returncode: int, said: str) -> None:
    with pytest.raises(DetectorFailed, match=said):
        read_answer(returncode, "", "Segmentation fault")


def test_an_answer_of_too_little_memory_is_read() -> None:
    text = json.dumps({"is_ok": False, "reason": "out of memory: CUDA", "peak_rss_mib": 5.0})
    assert read_answer(0, text, "").reason == "out of memory: CUDA"


GPUS = GpuInventory((Gpu(1, "GPU-a", "H100", 80_000), Gpu(3, "GPU-b", "A2", 16_000)), "")


def test_a_gpus_limit_is_a_share_of_its_memory() -> None:
    limit = find_limit(GPUS, 3, uses_gpu=True)
    assert (limit.mib, limit.device) == (12_800, "GPU-b")


def test_a_detector_that_uses_no_gpu_is_limited_by_the_machine() -> None:
    assert find_limit(GPUS, 3, uses_gpu=False).device == "cpu"
    assert find_limit(GPUS, None, uses_gpu=False).device == "cpu"
    assert find_limit(NO_GPU, None, uses_gpu=True).device == "cpu"


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigInvalid, match="1, 3"):
        find_limit(GPUS, 0, uses_gpu=True)


@pytest.mark.parametrize("uses_gpu", [True, False])
@pytest.mark.parametrize("gpu_index", [0, 5])
def test_a_gpu_asked_for_is_never_answered_for_by_the_cpu(gpu_index: int, uses_gpu: bool) -> None:
    with pytest.raises(ConfigInvalid, match=f"there is no GPU {gpu_index}.*Leave --gpu-index out"):
        find_limit(NO_GPU, gpu_index, uses_gpu)


@pytest.mark.parametrize(
    "request_", [{"initial_s": 0.0}, {"tolerance_s": -1.0}, {"max_s": 0.0}, {"max_s": float("nan")}]
)
def test_lengths_that_are_none_are_refused(recording: Path, request_: dict[str, float]) -> None:
    with pytest.raises(ConfigInvalid, match="not a length"):
        ask(recording, **request_)
