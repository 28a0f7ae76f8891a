"""How long a chunk may be so that a detector's memory suffices.

The detector is run on the file, each length in a process of its own (`measuring.py`). The longest
length is tried first, since it mostly fits; every attempt is a line in a log.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from badc_core.audio.reader import AudioFile
from badc_core.chunks.source import NamedFile, accepts_truncated, name_file
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.registry import identify_detector
from badc_core.devices.inventory import GpuInventory, find_gpus
from badc_core.errors import OptionInvalid
from badc_core.file_names import absolute
from badc_core.options import OptionSpec
from badc_core.probing.answers import Answer, find_answer, save_answer
from badc_core.probing.measuring import Measure, Measured, measure_in_child
from badc_core.probing.memory_limit import MemoryLimit, find_limit
from badc_core.provenance.fetching import require_fetched_all
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
    """What to find out; `detector` is a registered name in place of the dataset's."""

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
        bool,
        OptionSpec(
            "Run the detector; --no-measure only estimates the memory of the sound.",
            option="--measure",
        ),
    ] = True
    detector: Annotated[str | None, OptionSpec("A registered detector.", "the dataset's")] = None


@dataclass(frozen=True)
class ProbeAttempt:
    """A length that was tried: a line of the log, beside its schema and time.

    Attributes:
        estimated_vram_mb: MiB of the sound alone.
        memory_limit_mb, peak_rss_mb, peak_vram_mb: MiB too; None where nothing was measured.
        strategy: `measured` or `memory_estimator_v2`.
        detector: name and version.
    """

    audio: str
    duration_s: float
    estimated_vram_mb: float
    fits: bool
    reason: str
    gpu_index: int | None
    gpu_name: str | None
    memory_limit_mb: float
    strategy: str
    detector: str
    peak_rss_mb: float | None
    peak_vram_mb: float | None
    runtime_s: float | None


@dataclass(frozen=True)
class ProbeOutcome:
    """The answer.

    Attributes:
        longest_s: None if nothing that was tried fits.
        attempts: in order, at least one.
        is_recalled: measured by an earlier probe with the same detector, device and kind of file.
    """

    longest_s: float | None
    attempts: tuple[ProbeAttempt, ...]
    log: Path
    is_recalled: bool


@dataclass
class _Probe:
    """A probe under way; `question` is what its answer depends on."""

    file: Path
    question: dict[str, Any]
    limit: MemoryLimit
    strategy: str
    measure: Measure
    log: TelemetryLog
    attempts: list[ProbeAttempt] = field(default_factory=list)
    needed_mib: float = 0.0

    def find_longest(self, initial_s: float, tolerance_s: float) -> ProbeOutcome:
        """Returns the answer, an earlier probe's if that holds, and keeps it for later ones."""
        log, limit_mib, max_s = self.log.path, self.limit.mib, self.question["max_s"]
        before = find_answer(log, self.question) if self.strategy == MEASURED else None
        if before is not None and before.holds(limit_mib, tolerance_s):
            self.record(before.longest_s, Measured(True, reason="measured by an earlier probe"))
            return ProbeOutcome(before.longest_s, tuple(self.attempts), log, is_recalled=True)
        longest_s = find_longest_fitting(self.try_length, min(initial_s, max_s), max_s, tolerance_s)
        if self.strategy == MEASURED and longest_s is not None:
            answer = Answer(
                question=self.question,
                limit_mib=limit_mib,
                tolerance_s=tolerance_s,
                longest_s=longest_s,
                peak_mib=self.needed_mib,
            )
            save_answer(log, answer)
        return ProbeOutcome(longest_s, tuple(self.attempts), log, is_recalled=False)

    def try_length(self, duration_s: float) -> bool:
        """Returns whether a length fits, after logging the attempt."""
        measured, limit_mib = self.measure(duration_s), self.limit.mib
        needed_mib = measured.needed_mib(self.limit)
        reason = "it ran; the detector does not report how much GPU memory it used"
        if needed_mib is not None:
            reason = f"it needed {needed_mib:.0f} of {limit_mib:.0f} MiB"
        fits = measured.is_ok and (needed_mib is None or needed_mib <= limit_mib)
        if fits:
            self.needed_mib = limit_mib if needed_mib is None else needed_mib
        self.record(duration_s, replace(measured, is_ok=fits, reason=measured.reason or reason))
        return fits

    def record(self, duration_s: float, measured: Measured) -> None:
        """Keeps an attempt and adds it to the log."""
        gpu = self.limit.gpu
        attempt = ProbeAttempt(
            audio=str(self.file),
            duration_s=duration_s,
            estimated_vram_mb=round(estimate_mib(duration_s, self.question), 3),
            fits=measured.is_ok,
            reason=measured.reason,
            gpu_index=gpu.index if gpu else None,
            gpu_name=gpu.name if gpu else None,
            memory_limit_mb=round(self.limit.mib, 3),
            strategy=self.strategy,
            detector=f"{self.question['detector']} {self.question['version']}",
            peak_rss_mb=measured.peak_rss_mib,
            peak_vram_mb=measured.peak_vram_mib,
            runtime_s=measured.runtime_s,
        )
        self.attempts.append(attempt)
        self.log.append(schema=SCHEMA_VERSION, **asdict(attempt))


def probe(
    file: Path,
    request: ProbeRequest,
    measure: Measure | None = None,
    inventory: GpuInventory | None = None,
) -> ProbeOutcome:
    """Returns the longest chunk of a file that a detector's memory holds.

    Args:
        file: a typical recording.
        request: what to find out.
        measure: runs the detector on a length; None for a process of its own.
        inventory: the GPUs there are; None to look.

    Raises:
        ContentMissing: there is no such file, or it is annexed and could not be fetched.
        UnreadableRecording: it cannot be decoded.
        OptionInvalid, ConfigInvalid: a length that cannot be used, no such GPU or detector.
        DetectorMissing: the detector is not installed.
        DetectorFailed: the detector failed for another reason than memory.
    """
    _require_lengths(request)
    name = name_file(file)
    settings = name.dataset.settings.detector if name.dataset else DetectorSettings()
    if request.detector is not None:
        settings = settings.model_copy(update={"name": request.detector})
    identity = identify_detector(settings)
    limit = find_limit(inventory or find_gpus(), request.gpu_index, identity.uses_gpu)
    require_fetched_all([name.file])
    with AudioFile(name.file, accept_truncated=accepts_truncated(name.dataset)) as audio:
        question = _question(identity, settings, limit, audio, request.max_s)
    strategy = MEASURED if request.is_measured else ESTIMATED
    if not request.is_measured:
        measure = _estimate_only(question, limit)
    elif measure is None:
        measure = measure_in_child(name.file, settings, limit)
    with TelemetryLog(absolute(request.log or _log_path(name))) as log:
        asked = _Probe(name.file, question, limit, strategy, measure, log)
        return asked.find_longest(request.initial_s, request.tolerance_s)


def find_longest_fitting(
    fits: Fits, initial_s: float, max_s: float, tolerance_s: float
) -> float | None:
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


def estimate_mib(duration_s: float, question: dict[str, Any]) -> float:
    """Returns the memory that the sound of a chunk takes in a worker, without the model, in MiB.

    It stops growing after some minutes, since a detector is given windows as they are read.
    """
    rate_hz = question["sample_rate_hz"]
    held_s = min(duration_s, _WINDOWS_HELD * question["window_s"])
    samples_per_s = rate_hz * (question["n_channels"] + 1) + 2 * max(_MODEL_RATE_HZ, rate_hz)
    return float(held_s * samples_per_s * _SAMPLE_BYTES / (1 << 20))


def _estimate_only(question: dict[str, Any], limit: MemoryLimit) -> Measure:
    reason = "the sound alone; measure to know what the model needs"
    return lambda length_s: Measured(estimate_mib(length_s, question) <= limit.mib, reason=reason)


def _question(
    identity: DetectorIdentity,
    settings: DetectorSettings,
    limit: MemoryLimit,
    audio: AudioFile,
    max_s: float | None,
) -> dict[str, Any]:
    """Returns what the answer depends on, as JSON can hold it."""
    length_s = audio.n_samples / audio.sample_rate_hz
    return {
        "detector": identity.name,
        "version": identity.version,
        "model_sha256": identity.model_sha256,
        "settings": settings.model_dump_json(),
        "window_s": identity.window_s,
        "device": limit.device,
        "sample_rate_hz": audio.sample_rate_hz,
        "n_channels": audio.n_channels,
        "max_s": length_s if max_s is None else min(max_s, length_s),
    }


def _require_lengths(request: ProbeRequest) -> None:
    for option, length_s in (
        ("--initial-duration", request.initial_s),
        ("--tolerance", request.tolerance_s),
        ("--max-duration", request.max_s),
    ):
        # Not "<= 0", which lets NaN through.
        if length_s is not None and not length_s > 0:
            raise OptionInvalid(f"{length_s:g} s is not a length", option, "Give seconds above 0")


def _log_path(name: NamedFile) -> Path:
    """Returns the path of a log named by file and moment, to the microsecond."""
    folder = name.default_folder("artifacts", "telemetry", "chunk_probe")
    return folder / f"{name.recording_id}_{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl"
