"""How long a chunk may be so that a detector's memory suffices.

Either estimated, or measured by running the detector on the file, each length in a process of its
own (`probe_attempt.py`). Every length tried is a line in a log, and the longest allowed is tried
first, since it mostly fits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

from badc_core.audio.reader import AudioFile
from badc_core.chunks.source import NamedFile, absolute, name_file
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import identify_detector
from badc_core.devices.inventory import GpuInventory, find_gpus
from badc_core.errors import ConfigInvalid
from badc_core.options import OptionSpec
from badc_core.probing.measuring import Measure, Measured, measure_in_child
from badc_core.probing.memory import Question, recall_answer, remember_answer
from badc_core.probing.memory_limit import MemoryLimit, find_limit
from badc_core.telemetry.log import TelemetryLog

SCHEMA_VERSION = 1
ESTIMATED = "memory_estimator_v2"
MEASURED = "measured"

# A worker holds the windows it reads, two batches ahead and those in the model: four times ten.
_WINDOWS_HELD = 40
_MODEL_RATE_HZ = 48_000
_SAMPLE_BYTES = 4

Fits: TypeAlias = Callable[[float], bool]


@dataclass(frozen=True)
class ProbeRequest:
    """What is to be found out; `detector` is a registered name in place of the dataset's."""

    initial_s: Annotated[
        float,
        OptionSpec("Tried where the longest does not fit, seconds.", option="--initial-duration"),
    ] = 60.0
    max_s: Annotated[
        float | None,
        OptionSpec("Longest length of interest, seconds.", "the file's length", "--max-duration"),
    ] = None
    tolerance_s: Annotated[
        float,
        OptionSpec("How far the answer may lie below the truth, seconds.", option="--tolerance"),
    ] = 5.0
    gpu_index: Annotated[
        int | None,
        OptionSpec("Which GPU; it must be there.", "0, or the CPU without a GPU", least=0),
    ] = None
    log: Annotated[
        Path | None, OptionSpec("Where attempts are written.", "artifacts/telemetry/chunk_probe/")
    ] = None
    is_measured: Annotated[
        bool, OptionSpec("Run the detector; else only estimate.", option="--measure")
    ] = False
    detector: Annotated[str | None, OptionSpec("A registered detector.", "the dataset's")] = None


@dataclass(frozen=True)
class ProbeAttempt:
    """A length that was tried.

    Attributes:
        estimated_mib: for the sound alone; what the model needs is not known beforehand.
        measured: what running it needed; None where nothing was run.
    """

    duration_s: float
    estimated_mib: float
    fits: bool
    reason: str
    measured: Measured | None = None


@dataclass(frozen=True)
class ProbeOutcome:
    """The answer.

    Attributes:
        longest_s: None if nothing that was tried fits.
        strategy: `memory_estimator_v2` or `measured`.
        detector: name and version.
        is_recalled: measured by an earlier probe with the same detector, device and kind of file.
    """

    longest_s: float | None
    strategy: str
    detector: str
    limit: MemoryLimit
    attempts: tuple[ProbeAttempt, ...]
    log: Path
    is_recalled: bool = False


@dataclass
class _Probe:
    """A probe under way: what is asked, of what, and what was tried so far."""

    name: NamedFile
    question: Question
    limit: MemoryLimit
    strategy: str
    measure: Measure | None
    log: TelemetryLog
    attempts: list[ProbeAttempt] = field(default_factory=list)

    def try_length(self, duration_s: float) -> bool:
        """Tells whether a length fits, after writing it down."""
        estimated_mib = estimate_mib(duration_s, self.question)
        if self.measure is None:
            fits = estimated_mib <= self.limit.mib
            reason = "the sound alone; measure to know what the model needs"
            self.note(ProbeAttempt(duration_s, estimated_mib, fits, reason))
            return fits
        measured = self.measure(duration_s)
        peak_mib = _peak_mib(measured, self.limit)
        fits = measured.is_ok and (peak_mib is None or peak_mib <= self.limit.mib)
        reason = measured.reason or _compare(peak_mib, self.limit.mib)
        self.note(ProbeAttempt(duration_s, estimated_mib, fits, reason, measured))
        return fits

    def note(self, attempt: ProbeAttempt) -> None:
        """Keeps an attempt and adds it to the log."""
        self.attempts.append(attempt)
        gpu, measured = self.limit.gpu, attempt.measured
        self.log.append(
            schema=SCHEMA_VERSION,
            audio=str(self.name.file),
            duration_s=attempt.duration_s,
            estimated_vram_mb=round(attempt.estimated_mib, 3),
            fits=attempt.fits,
            reason=attempt.reason,
            gpu_index=gpu.index if gpu else None,
            gpu_name=gpu.name if gpu else None,
            memory_limit_mb=round(self.limit.mib, 3),
            strategy=self.strategy,
            detector=f"{self.question.detector} {self.question.version}",
            peak_rss_mb=measured.peak_rss_mib if measured else None,
            peak_vram_mb=measured.peak_vram_mib if measured else None,
            runtime_s=measured.runtime_s if measured else None,
        )

    def ask(self, request: ProbeRequest) -> ProbeOutcome:
        """Returns the answer, from memory or after trying lengths."""
        if self.measure is not None:
            recalled = recall_answer(self.log.path, self.question, self.limit, request.tolerance_s)
            if recalled is not None:
                estimated_mib = estimate_mib(recalled, self.question)
                reason = "measured by an earlier probe"
                self.note(ProbeAttempt(recalled, estimated_mib, fits=True, reason=reason))
                return self._outcome(recalled, is_recalled=True)
        max_s = self.question.max_s
        longest_s = longest_fitting(
            self.try_length, min(request.initial_s, max_s), max_s, request.tolerance_s
        )
        if self.measure is not None and longest_s is not None:
            peak_mib = self._peak_of(longest_s)
            remember_answer(
                self.log.path, self.question, self.limit, request.tolerance_s, (longest_s, peak_mib)
            )
        return self._outcome(longest_s, is_recalled=False)

    def _peak_of(self, duration_s: float) -> float:
        (attempt,) = [one for one in self.attempts if one.duration_s == duration_s]
        peak_mib = _peak_mib(attempt.measured, self.limit) if attempt.measured else None
        return self.limit.mib if peak_mib is None else peak_mib

    def _outcome(self, longest_s: float | None, is_recalled: bool) -> ProbeOutcome:
        detector = f"{self.question.detector} {self.question.version}"
        attempts = tuple(self.attempts)
        return ProbeOutcome(
            longest_s, self.strategy, detector, self.limit, attempts, self.log.path, is_recalled
        )


def probe(
    file: Path,
    request: ProbeRequest,
    measure: Measure | None = None,
    inventory: GpuInventory | None = None,
) -> ProbeOutcome:
    """Returns the longest chunk of a file that a detector's memory holds.

    Args:
        file: a typical recording.
        request: what is to be found out.
        measure: runs the detector on a length; None for a process of its own.
        inventory: the GPUs there are; None to look.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: it cannot be decoded.
        ConfigInvalid: a length that cannot be used, no such GPU or no such detector.
        DetectorMissing: the detector is not installed.
        DetectorFailed: the detector failed for another reason than memory.
    """
    _check(request)
    name = name_file(file)
    settings = _detector_settings(name, request.detector)
    identity = identify_detector(settings)
    limit = find_limit(inventory or find_gpus(), request.gpu_index, identity.uses_gpu)
    with AudioFile(name.file) as audio:
        length_s = audio.n_samples / audio.sample_rate_hz
        max_s = length_s if request.max_s is None else min(request.max_s, length_s)
        question = Question.of(identity, settings, limit, audio, max_s)
    if request.is_measured and measure is None:
        measure = measure_in_child(name.file, settings, limit)
    strategy = MEASURED if request.is_measured else ESTIMATED
    with TelemetryLog(absolute(request.log or _log_path(name))) as log:
        asked = _Probe(
            name, question, limit, strategy, measure if request.is_measured else None, log
        )
        return asked.ask(request)


def longest_fitting(fits: Fits, initial_s: float, max_s: float, tolerance_s: float) -> float | None:
    """Returns a length that fits, at most `tolerance_s` below one that does not, or `max_s`.

    Args:
        fits: whether a length does; if one does, so do all shorter ones.
        initial_s: tried second, 0 < initial_s <= max_s.
        max_s: tried first.
        tolerance_s: > 0.

    Returns:
        None if no length that was tried fits; the shortest was at most `tolerance_s`.
    """
    if fits(max_s):
        return max_s
    low_s, high_s = 0.0, max_s
    if initial_s < max_s:
        low_s, high_s = (initial_s, max_s) if fits(initial_s) else (0.0, initial_s)
    while high_s - low_s > tolerance_s:
        middle_s = (low_s + high_s) / 2
        low_s, high_s = (middle_s, high_s) if fits(middle_s) else (low_s, middle_s)
    return low_s or None


def estimate_mib(duration_s: float, question: Question) -> float:
    """Returns the memory that sound takes in a worker, in MiB.

    Detectors that see windows are given them as they are read, so that this stops growing after
    some minutes, and a chunk's length is no reason to run out. What the model needs beside it is
    not in here: no rule gives it, so it has to be measured.
    """
    held_s = min(duration_s, _WINDOWS_HELD * question.window_s)
    as_read = question.sample_rate_hz * (question.n_channels + 1)
    as_seen = 2 * max(_MODEL_RATE_HZ, question.sample_rate_hz)
    return held_s * (as_read + as_seen) * _SAMPLE_BYTES / (1 << 20)


def _check(request: ProbeRequest) -> None:
    lengths = {
        "--initial-duration": request.initial_s,
        "--tolerance": request.tolerance_s,
        "--max-duration": math.inf if request.max_s is None else request.max_s,
    }
    for option, length_s in lengths.items():
        # Not "<= 0", which lets through what is no number.
        if not length_s > 0:
            raise ConfigInvalid(f"{length_s:g} s is no length", option, "Give seconds above 0")


def _detector_settings(name: NamedFile, detector: str | None) -> DetectorSettings:
    settings = name.dataset.settings.detector if name.dataset else DetectorSettings()
    return settings if detector is None else settings.model_copy(update={"name": detector})


def _log_path(name: NamedFile) -> Path:
    """Names a log by file and moment, to the microsecond."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = name.default_folder("artifacts", "telemetry", "chunk_probe")
    return folder / f"{name.recording_id}_{moment}.jsonl"


def _peak_mib(measured: Measured, limit: MemoryLimit) -> float | None:
    """Returns what counts against the limit, if it is known."""
    return measured.peak_vram_mib if limit.gpu else measured.peak_rss_mib


def _compare(peak_mib: float | None, limit_mib: float) -> str:
    if peak_mib is None:
        return "it ran; the detector does not tell how much GPU memory it used"
    return f"it needed {peak_mib:.0f} of {limit_mib:.0f} MiB"
