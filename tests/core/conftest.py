"""Recordings made for the purpose, and a detector that others wrote: it misbehaves on command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.processes import is_alive

from badc_core.chunks.plan import plan_chunks
from badc_core.detectors.birdnet import find_model
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import DetectorMissing
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
from badc_core.errors import DetectorMissing, OutOfMemory

ORDERS = Path(__file__).parent


def is_ordered(what):
    return (ORDERS / what).exists()


def die_for_the_last_time(order):
    (ORDERS / order).unlink()
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Part(WindowBatch):
    chunk_id: str = ""


class Foreign:
    identity = DetectorIdentity("foreign", "7", None, "MIT", 3.0)
    batch_windows = 1

    def report(self):
        return None

    def close(self):
        pass

    def batches(self, audio, chunk, recording_context):
        if is_ordered(f"hang_reading_{chunk.chunk_id}"):
            time.sleep(3600)
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
            yield Part(*parts, chunk_id=chunk.chunk_id)

    def detect(self, part):
        if is_ordered("slowly"):
            time.sleep(0.3)
        if is_ordered("chatter"):
            print("rubbish of a library")
            sys.__stdout__.write("{")
            sys.__stdout__.flush()
            os.write(1, b"rubbish of C code\\n")
            os.system("echo rubbish of a program")
        if is_ordered(f"hang_{part.chunk_id}"):
            time.sleep(3600)
        if is_ordered(f"hang_once_{part.chunk_id}"):
            (ORDERS / f"hang_once_{part.chunk_id}").unlink()
            time.sleep(3600)
        if is_ordered(f"die_{part.chunk_id}"):
            os._exit(7)
        if is_ordered(f"die_once_{part.chunk_id}"):
            die_for_the_last_time(f"die_once_{part.chunk_id}")
        if is_ordered(f"raise_{part.chunk_id}"):
            raise ValueError("a bug in detecting")
        if is_ordered(f"raise_once_{part.chunk_id}"):
            (ORDERS / f"raise_once_{part.chunk_id}").unlink()
            raise ValueError("a passing bug in detecting")
        found = Label("Anything", "ANY", "Res quaelibet")
        return [[Detection(start, end, found, 0.5)] for start, end in zip(part.starts, part.ends)]


def identify(settings):
    return Foreign.identity


def load(settings):
    if is_ordered("missing"):
        raise DetectorMissing("its weights are not here", "foreign", "Run: pip install foreign")
    if is_ordered("broken"):
        raise RuntimeError("no such symbol: frobnicate")
    if is_ordered("leave"):
        sys.exit(3)
    if is_ordered("leave_once"):
        (ORDERS / "leave_once").unlink()
        sys.exit(3)
    if is_ordered("refuse_once"):
        (ORDERS / "refuse_once").unlink()
        raise OutOfMemory("another program holds the device", "foreign")
    if is_ordered("hang_loading"):
        time.sleep(3600)
    return Foreign()
'''


@pytest.fixture
def foreign(install_detector) -> Callable[..., None]:
    """Installs the detector `foreign` for every process started here; returns what orders it.

    Orders are `slowly`, `chatter`, `missing`, `broken`, `leave`, `leave_once`, `refuse_once`,
    `hang_loading`, and with a chunk_id behind them `die_`, `die_once_`, `die_reading_`,
    `die_reading_once_`, `hang_`, `hang_once_`, `hang_reading_`, `raise_`, `raise_once_`,
    `raise_reading_`.
    """
    site = install_detector("foreign", _FOREIGN)

    def order(*names: str) -> None:
        for name in names:
            (site / name).touch()

    return order


@pytest.fixture
def install_detector(tmp_path: Path, monkeypatch) -> Callable[[str, str], Path]:
    """Returns what installs a detector for every process started here; that gives its folder."""

    def install(name: str, source: str) -> Path:
        site = tmp_path / f"site_{name}"
        metadata = site / f"{name}_detector-1.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{name}_detector.py").write_text(source, encoding="utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-detector\nVersion: 1\n"
        )
        (metadata / "entry_points.txt").write_text(f"[badc.detectors]\n{name} = {name}_detector\n")
        search = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(search))
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, f"{name}_detector", raising=False)
        return site

    return install


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
    return is_alive


@pytest.fixture(scope="session")
def birdnet(lacking) -> None:
    """Skips what needs BirdNET's model where that is not installed."""
    try:
        find_model()
    except DetectorMissing as error:
        lacking(str(error))
