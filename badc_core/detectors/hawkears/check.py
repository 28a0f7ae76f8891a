"""Whether an installed HawkEars 2 works in BADC as its own command does."""

import csv
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.child_environment import child_environment
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.hawkears.hawkears2 import HawkEars
from badc_core.detectors.hawkears.home import HawkEarsHome, find_home
from badc_core.detectors.interface import NO_CONTEXT
from badc_core.devices.current_lease import leased_gpus
from badc_core.devices.lease_request import DeviceRequest
from badc_core.errors import DetectorFailed

_TEST_SOUND_S = 12
_TEST_SOUND_HZ = 44_100
_DECIMALS = 3
_TOLERANCE = 0.0011
"""Two roundings to three decimals may fall on either side."""
_RUN_COMMAND_LINE = "from hawkears.cli import cli; cli()"

Row = tuple[float, float, str, float]
"""Start and end in seconds, code, score to three decimals."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        hello: HawkEars' message when it was ready.
        kept: what HawkEars, kept loaded, found in a test sound.
        plain: what HawkEars' own command found in it.
    """

    hello: dict[str, Any]
    kept: list[Row]
    plain: list[Row]

    @property
    def agree(self) -> bool:
        """Whether both found the same."""
        return agree(self.kept, self.plain)


def agree(some: list[Row], others: list[Row]) -> bool:
    """Returns whether two sorted lists hold the same sounds with the same scores."""
    return [row[:3] for row in some] == [row[:3] for row in others] and all(
        abs(one[3] - other[3]) <= _TOLERANCE for one, other in zip(some, others, strict=True)
    )


def check(settings: DetectorSettings) -> CheckResult:
    """Returns what the loaded HawkEars and its own command find in a generated sound.

    The loaded one analyses it twice, and its second answer counts.

    Raises:
        DetectorMissing: something is not installed.
        DetectorFailed: HawkEars failed.
    """
    with (
        leased_gpus(DeviceRequest(), "badc hawkears check") as gpus,
        tempfile.TemporaryDirectory(prefix="badc-hawkears-") as folder,
    ):
        os.environ.update(gpus.environment())
        sound = Path(folder) / "check.wav"
        _write_test_sound(sound)
        detector = HawkEars(settings)
        try:
            for _ in range(2):
                kept = detect_with_loaded(detector, sound)
            hello = detector.hello
        finally:
            detector.close()
        plain = detect_with_command(find_home(settings.runtime), sound, settings)
    return CheckResult(hello, kept, plain)


def detect_with_loaded(detector: HawkEars, path: Path) -> list[Row]:
    """Returns what the loaded HawkEars finds in a recording as one chunk."""
    with AudioFile(path) as audio:
        rate_hz = audio.sample_rate_hz
        chunk = Chunk("check", 0, audio.n_samples, 0, rate_hz)
        rows = [
            (
                round(found.start_sample / rate_hz, _DECIMALS),
                round(found.end_sample / rate_hz, _DECIMALS),
                found.label.code,
                round(found.confidence, _DECIMALS),
            )
            for batch in detector.batches(audio, chunk, NO_CONTEXT)
            for (*window,) in detector.detect(batch)
            for found in window
        ]
    return sorted(rows)


def detect_with_command(home: HawkEarsHome, path: Path, settings: DetectorSettings) -> list[Row]:
    """Returns what `hawkears analyze` finds in a recording, in a process of its own.

    Raises:
        DetectorFailed: it failed, or wrote no table.
    """
    with tempfile.TemporaryDirectory(prefix="badc-hawkears-") as folder:
        command = build_command(home, path, Path(folder), settings)
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=home.data_root,
            env=child_environment(),
        )
        table = Path(folder) / "scores.csv"
        if done.returncode or not table.exists():
            reason = done.stderr.strip().rsplit("\n", 1)[-1] or f"exit code {done.returncode}"
            raise DetectorFailed(f"hawkears analyze failed: {reason}", path)
        with table.open(newline="", encoding="utf-8") as file:
            return sorted(
                (float(row["start_time"]), float(row["end_time"]), row["name"], float(row["score"]))
                for row in csv.DictReader(file)
            )


def build_command(
    home: HawkEarsHome, path: Path, output: Path, settings: DetectorSettings
) -> tuple[str, ...]:
    """Returns HawkEars' own command line, to be run in its data folder."""
    hawkears = settings.hawkears
    return (
        *(str(home.python), "-I", "-c", _RUN_COMMAND_LINE, "analyze", str(path)),
        *("-o", str(output), "--rtype", "csv", "--label", "codes", "--quiet"),
        *("--threads", "1", "--models", str(hawkears.models)),
        *("--min_score", str(settings.min_score)),
        "--low-band" if hawkears.low_band else "--no-low-band",
    )


def _write_test_sound(path: Path) -> None:
    """Writes 12 s of two birdlike songs, a low drum and noise, mono, 44.1 kHz."""
    time_s = np.arange(_TEST_SOUND_S * _TEST_SOUND_HZ) / _TEST_SOUND_HZ
    sound = np.random.default_rng(7).normal(0, 0.01, len(time_s))
    for centre_hz, width_hz, beat_hz in ((4000, 900, 0.9), (7000, 1500, 0.4), (45, 3, 2.1)):
        pitch_hz = centre_hz + width_hz * np.sin(2 * np.pi * 3.0 * time_s)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / _TEST_SOUND_HZ
        sound += 0.2 * np.sin(phase) * (np.sin(2 * np.pi * beat_hz * time_s) > 0)
    sf.write(path, sound.astype(np.float32), _TEST_SOUND_HZ, subtype="PCM_16")
