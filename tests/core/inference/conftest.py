"""Recordings made for the purpose, and a detector that others wrote: it misbehaves on command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.chunks.plan import plan_chunks
from badc_core.inference.protocol import ChunkTask
from badc_core.settings import ChunkSettings

RATE_HZ = 16_000

_FOREIGN = '''
"""Finds one thing in every window, and does what files beside it ask for."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from badc_core.detectors.interface import Detection, DetectorIdentity, Label, WindowBatch
from badc_core.detectors.windows import WindowGrid
from badc_core.errors import DetectorMissing

ORDERS = Path(__file__).parent


def is_ordered(what):
    return (ORDERS / what).exists()


def die_for_the_last_time(order):
    (ORDERS / order).unlink()
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Part(WindowBatch):
    chunk_id: str


class Foreign:
    identity = DetectorIdentity("foreign", "7", None, "MIT", 3.0)

    def batches(self, audio, chunk):
        if is_ordered(f"die_reading_{chunk.chunk_id}"):
            time.sleep(0.1)  # while the chunk before is with the model
            os.kill(os.getpid(), signal.SIGKILL)
        if is_ordered(f"die_reading_once_{chunk.chunk_id}"):
            time.sleep(0.1)
            die_for_the_last_time(f"die_reading_once_{chunk.chunk_id}")
        if is_ordered(f"raise_reading_{chunk.chunk_id}"):
            raise ValueError("a bug in reading")
        for batch in WindowGrid(3.0).read(audio, chunk):
            parts = (batch.windows, batch.starts, batch.ends, batch.sample_rate_hz)
            yield Part(*parts, chunk.chunk_id)

    def detect(self, part):
        if is_ordered("slowly"):
            time.sleep(0.3)
        if is_ordered("chatter"):
            print("rubbish of a library")
            sys.__stdout__.write("{")
            sys.__stdout__.flush()
            os.write(1, b"rubbish of C code\\n")
            os.system("echo rubbish of a program")
        if is_ordered(f"die_{part.chunk_id}"):
            os._exit(7)
        if is_ordered(f"die_once_{part.chunk_id}"):
            die_for_the_last_time(f"die_once_{part.chunk_id}")
        if is_ordered(f"raise_{part.chunk_id}"):
            raise ValueError("a bug in detecting")
        found = Label("Anything", "ANY", "Res quaelibet")
        return [Detection(start, end, found, 0.5) for start, end in zip(part.starts, part.ends)]


def identify(settings):
    return Foreign.identity


def load(settings):
    if is_ordered("missing"):
        raise DetectorMissing("its weights are not here", "foreign", "Run: pip install foreign")
    if is_ordered("broken"):
        raise RuntimeError("no such symbol: frobnicate")
    if is_ordered("leave"):
        sys.exit(3)
    return Foreign()
'''


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch) -> Callable[..., None]:
    """Installs the detector `foreign` for every process started here; returns what orders it.

    Orders are `slowly`, `chatter`, `missing`, `broken`, `leave`, and with a chunk_id behind them
    `die_`, `die_once_`, `die_reading_`, `die_reading_once_`, `raise_`, `raise_reading_`.
    """
    site = tmp_path / "site"
    metadata = site / "foreign_detector-7.dist-info"
    metadata.mkdir(parents=True)
    (site / "foreign_detector.py").write_text(_FOREIGN)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: foreign-detector\nVersion: 7\n"
    )
    (metadata / "entry_points.txt").write_text("[badc.detectors]\nforeign = foreign_detector\n")
    search = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(search))
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "foreign_detector", raising=False)

    def order(*names: str) -> None:
        for name in names:
            (site / name).touch()

    return order


@pytest.fixture
def make_tasks(tmp_path: Path) -> Callable[..., list[ChunkTask]]:
    """Returns what writes recordings of noise, `a`, `b` and so on, and cuts them into tasks."""

    def make(
        n_recordings: int = 1, length_s: float = 20.0, duration_s: float = 6.0
    ) -> list[ChunkTask]:
        tasks = []
        for number in range(n_recordings):
            path = tmp_path / "noise" / f"{chr(ord('a') + number)}.wav"
            path.parent.mkdir(exist_ok=True)
            n_samples = round(length_s * RATE_HZ) + number
            samples = np.random.default_rng(number).normal(0, 0.1, n_samples)
            sf.write(path, samples, RATE_HZ)
            chunks = plan_chunks(
                path.stem, n_samples, RATE_HZ, ChunkSettings(duration_s=duration_s)
            )
            tasks += [ChunkTask(path, n_samples, chunk) for chunk in chunks]
        return tasks

    return make


@pytest.fixture
def is_running(lacking) -> Callable[[int], bool]:
    """Returns what tells whether a process still runs; one that nobody buried does not."""
    if not Path("/proc/self/stat").exists():
        lacking("/proc")

    def ask(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}

    return ask
