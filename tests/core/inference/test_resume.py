"""Runs that are stopped anywhere and run again: nothing twice, nothing lost, the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.detecting import IMPORTABLE, cut_recordings, detect, detect_and_select, ids
from support.processes import is_alive, worker_command_lines
from support.telemetry import read_events
from support.waiting import wait_until

from badc_core.audio.reader import AudioFile
from badc_core.chunks.manifest import read_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.detectors.registry import load_detector
from badc_core.errors import ConfigInvalid, StorageFull
from badc_core.hashing import sha256_file
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.raw_result import RawResult
from badc_core.outcomes import Outcome
from badc_core.recordings.recording import read_recording
from badc_core.stages.work import Work
from badc_core.telemetry.live import live_path
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import watched_by
from badc_core.telemetry.summary import summary_path, workers_path

RATE_HZ = 8000

_STEADY = '''
"""Finds how loud each window is, and does what files beside it ask for."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from badc_core.detectors.interface import Detection, DetectorIdentity, Label, WindowBatch
from badc_core.detectors.windows import WindowGrid

ORDERS = Path(__file__).parent
LABELS = [Label("Loud", "LOUD", "Sonus magnus"), Label("Very loud", "VERY", "Sonus maximus")]


@dataclass(frozen=True)
class Part(WindowBatch):
    chunk_id: str = ""


def is_ordered(what):
    return (ORDERS / what).exists()


def take_back(order):
    try:
        (ORDERS / order).unlink()
    except FileNotFoundError:
        return False
    return True


class Steady:
    identity = DetectorIdentity("steady", "1", None, "MIT", 1.0)
    batch_windows = 1

    def __init__(self, settings):
        self.min_score = settings.min_score
        slow = ORDERS / "delay_s"
        self.delay_s = float(slow.read_text()) if slow.exists() else 0.0

    def report(self):
        return None

    def close(self):
        pass

    def batches(self, audio, chunk, recording_context):
        for batch in WindowGrid(1.0).read(audio, chunk):
            parts = (batch.windows, batch.starts, batch.ends, batch.sample_rate_hz)
            yield Part(*parts, chunk_id=chunk.chunk_id)

    def detect(self, part):
        time.sleep(self.delay_s)
        if take_back(f"die_once_{part.chunk_id}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if take_back(f"raise_once_{part.chunk_id}"):
            raise ValueError("a passing bug")
        if is_ordered(f"raise_{part.chunk_id}"):
            raise ValueError("a lasting bug")
        if is_ordered(f"fill_disk_{part.chunk_id}"):
            with open("/dev/full", "wb", buffering=0) as file:
                file.write(b"a chunk's sound")
        found = []
        for window, start, end in zip(part.windows, part.starts, part.ends):
            peak = float(np.abs(window).max())
            scores = [(LABELS[0], peak), (LABELS[1], peak / 2)]
            scores = [(label, score) for label, score in scores if score >= self.min_score]
            found.append([Detection(start, end, *one) for one in scores])
        return found


def identify(settings):
    return Steady.identity


def load(settings):
    return Steady(settings)
'''


@pytest.fixture
def orders(install_detector) -> Path:
    """Installs the detector `steady`; returns the folder whose files order it."""
    return install_detector("steady", _STEADY)


def overrides(tmp_path: Path, workers: int = 2, **detector: object) -> dict:
    return {
        "chunks": {"duration_s": 3.0, "min_chunk_s": 1.0},
        "detector": {"name": "steady", "min_score": 0.2, **detector},
        "inference": {
            "cpu_workers": workers,
            "backoff_s": 0.01,
            "scratch": str(tmp_path / "scratch"),
        },
    }


def write_noise(path: Path, seed: int, length_s: float) -> None:
    """Writes noise of which every second is as loud as its own number says."""
    rng = np.random.default_rng(seed)
    n_samples = round(length_s * RATE_HZ)
    envelope = np.repeat(rng.uniform(0.02, 0.25, int(length_s) + 1), RATE_HZ)[:n_samples]
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.clip(rng.normal(0, 1, n_samples) * envelope, -1, 1), RATE_HZ)


def make_dataset(tmp_path: Path, lengths_s: Iterable[float], **options) -> Dataset:
    root = tmp_path / "dataset"
    for number, length_s in enumerate(lengths_s):
        name = f"r{number:02}_20240528_10{number:02}00.wav"
        write_noise(root / "audio" / "S1" / name, number, length_s)
    dataset = Dataset.open(root, overrides(tmp_path, **options))
    cut_recordings(dataset)
    return dataset


@pytest.fixture
def dataset(orders: Path, tmp_path: Path) -> Dataset:
    """Returns five recordings of four or five chunks each."""
    return make_dataset(tmp_path, [12.0, 15.0, 12.5, 13.7, 15.0])


def reopen(dataset: Dataset, **options) -> Dataset:
    return Dataset.open(dataset.root, overrides(dataset.root.parent, **options))


def chunk_ids(dataset: Dataset, recording_id: str) -> list[str]:
    recording = read_recording(dataset.recording(recording_id))
    chunks = read_manifest(dataset.manifest(recording_id), recording).chunks
    return [chunk.chunk_id for chunk in chunks]


def all_chunks(dataset: Dataset) -> list[str]:
    return [chunk_id for one in ids(dataset) for chunk_id in chunk_ids(dataset, one)]


def made(outcomes: dict[str, Outcome[DetectionsResult]]) -> dict[str, RawResult]:
    assert {one.error for one in outcomes.values()} == {None}
    return {name: one.value.raw for name, one in outcomes.items() if one.value is not None}


def results(dataset: Dataset) -> dict[str, bytes]:
    folders = (dataset.aggregate, dataset.effort("x").parent)
    return {
        str(path.relative_to(dataset.artifacts)): path.read_bytes()
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("[!.]*.parquet")
    }


_undisturbed: dict[tuple, dict[str, bytes]] = {}


def undisturbed(dataset: Dataset) -> dict[str, bytes]:
    """Returns the files of a run that nothing happens to; leaves none of them.

    The run is the same in any folder, so that one does for tests of the same sounds and settings.
    """
    sounds = sorted(sha256_file(path) for path in (dataset.root / "audio").rglob("*.wav"))
    wanted = dataset.settings
    key = (*sounds, wanted.detector.model_dump_json(), wanted.chunks.model_dump_json())
    if key not in _undisturbed:
        _undisturbed[key] = _run_undisturbed(dataset)
    return _undisturbed[key]


def _run_undisturbed(dataset: Dataset) -> dict[str, bytes]:
    made(detect(dataset, name="undisturbed"))
    files = results(dataset)
    assert len(files) == 2 * len(ids(dataset))
    assert sum(read_detections(dataset.detections(one)).num_rows for one in ids(dataset)) > 20
    raw = dataset.raw_detections("x").parent
    for folder in (raw, dataset.aggregate, dataset.effort("x").parent, dataset.work_folder):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(dataset.telemetry("undisturbed").parent)
    return files


def journaled(dataset: Dataset) -> set[str]:
    """Returns the chunks whose results stand in journals."""
    return {
        line["chunk_id"]
        for path in dataset.work_folder.glob("journals/*.jsonl")
        for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if line["status"] == "success"
    }


def analysed(dataset: Dataset, name: str = "run") -> Counter[str]:
    """Returns how often each chunk was analysed with success, from the telemetry."""
    events = read_events(dataset.telemetry(name))
    return Counter(event["chunk_id"] for event in events if event["status"] == "success")


class Stopped(BaseException):
    """As a person's Ctrl-C: no Exception."""


@contextmanager
def stopped_after(n_chunks: int) -> Iterator[None]:
    """Stops a run in the block when so many chunks are done with."""

    class StopWatch:
        n_left = n_chunks

        def analysed(self, _: float) -> None:
            self.n_left -= 1
            if not self.n_left:
                raise Stopped

        def ended(self) -> None:
            pass

    with watched_by(StopWatch()), pytest.raises(Stopped):
        yield


def stop_after(dataset: Dataset, n_chunks: int, recording_ids: Iterable[str] | None = None) -> None:
    with stopped_after(n_chunks):
        detect(dataset, recording_ids)


@pytest.mark.parametrize(
    ("workers", "n_outcomes"), [pytest.param(1, 1, marks=pytest.mark.soak), (2, 3)]
)
def test_a_run_closed_after_some_recordings_goes_on_where_it_was(
    dataset: Dataset, workers: int, n_outcomes: int
) -> None:
    dataset = reopen(dataset, workers=workers)
    expected = undisturbed(dataset)
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        outcomes = detect_and_select(dataset, ids(dataset), telemetry)
        finished = [next(outcomes).recording_id for _ in range(n_outcomes)]
        outcomes.close()
    rest = [one for one in ids(dataset) if one not in finished]
    kept = journaled(dataset) & {one for each in rest for one in chunk_ids(dataset, each)}
    second = made(detect(dataset, rest))
    assert results(dataset) == expected
    assert sum(one.n_resumed for one in second.values()) == len(kept)
    assert analysed(dataset) == dict.fromkeys(all_chunks(dataset), 1)


@pytest.mark.parametrize("n_chunks", [4, pytest.param(19, marks=pytest.mark.soak)])
def test_a_run_stopped_after_any_chunk_analyses_none_of_those_again(
    dataset: Dataset, n_chunks: int
) -> None:
    expected = undisturbed(dataset)
    stop_after(dataset, n_chunks)
    kept = journaled(dataset)
    finished = {path.stem for path in dataset.aggregate.glob("*.parquet")}
    assert len(kept) + sum(len(chunk_ids(dataset, one)) for one in finished) == n_chunks
    second = made(detect(dataset, set(ids(dataset)) - finished))
    assert results(dataset) == expected
    for recording_id, one in second.items():
        ours = set(chunk_ids(dataset, recording_id))
        assert one.n_resumed == len(kept & ours)
        assert {each.chunk.chunk_id for each in one.results if each.is_resumed} == kept & ours
    assert analysed(dataset) == dict.fromkeys(all_chunks(dataset), 1)
    assert journaled(dataset) == set()


def test_what_is_known_under_other_settings_of_the_model_is_not_taken(dataset: Dataset) -> None:
    other = reopen(dataset, sensitivity=1.1)
    expected = undisturbed(other)
    assert undisturbed(dataset) != expected
    stop_after(dataset, 3)
    assert len(journaled(dataset)) == 3
    assert {one.n_resumed for one in made(detect(other)).values()} == {0}
    assert results(other) == expected


@pytest.mark.parametrize(
    ("before_s", "after_s"), [(1.5, 0.0), pytest.param(0.0, 1.5, marks=pytest.mark.soak)]
)
def test_what_is_known_of_chunks_that_overlapped_otherwise_is_not_taken(
    dataset: Dataset, before_s: float, after_s: float
) -> None:
    def cut(overlap_s: float) -> Dataset:
        wanted = overrides(dataset.root.parent)
        wanted["chunks"] = {**wanted["chunks"], "overlap_s": overlap_s}
        opened = Dataset.open(dataset.root, wanted)
        cut_recordings(opened)
        return opened

    expected = undisturbed(cut(after_s))
    stop_after(cut(before_s), 8)
    made(detect(cut(after_s)))
    assert results(dataset) == expected


def test_what_is_known_is_taken_under_settings_that_change_no_detection(dataset: Dataset) -> None:
    expected = undisturbed(dataset)
    stop_after(dataset, 3)
    second = made(detect(reopen(dataset, workers=1)))
    assert sum(one.n_resumed for one in second.values()) == 3
    assert results(dataset) == expected


def test_what_is_known_of_a_file_that_changed_is_not_taken(dataset: Dataset) -> None:
    first = ids(dataset)[0]
    audio = dataset.audio(read_recording(dataset.recording(first)).path)
    original = audio.read_bytes()
    write_noise(audio, 99, 12.0)
    cut_recordings(dataset)
    expected = undisturbed(dataset)
    audio.write_bytes(original)
    cut_recordings(dataset)
    n_chunks = len(chunk_ids(dataset, first))
    stop_after(dataset, n_chunks - 1, [first])
    assert len(journaled(dataset)) == n_chunks - 1
    write_noise(audio, 99, 12.0)
    cut_recordings(dataset)
    assert {one.n_resumed for one in made(detect(dataset)).values()} == {0}
    assert results(dataset) == expected


def test_what_lacks_chunks_is_used_and_a_rerun_does_just_those(
    dataset: Dataset, orders: Path
) -> None:
    expected = undisturbed(dataset)
    first, second = ids(dataset)[:2]
    failing = [
        chunk_ids(dataset, first)[1],
        chunk_ids(dataset, first)[3],
        chunk_ids(dataset, second)[0],
    ]
    for chunk_id in failing:
        (orders / f"raise_{chunk_id}").touch()
    outcomes = made(detect(dataset))
    assert {name for name, one in outcomes.items() if not one.is_final} == {first, second}
    assert journaled(dataset) == set()
    assert results(dataset).keys() == expected.keys()
    assert results(dataset) != expected
    for chunk_id in failing:
        (orders / f"raise_{chunk_id}").unlink()
    repaired = made(detect(dataset, [first, second], "repaired"))
    assert analysed(dataset, "repaired") == dict.fromkeys(failing, 1)
    assert {name: len(one.results) - one.n_resumed for name, one in repaired.items()} == {
        first: 2,
        second: 1,
    }
    assert results(dataset) == expected
    assert not dataset.inference.folder.exists()


def test_failures_that_are_tolerated_leave_no_journal(dataset: Dataset, orders: Path) -> None:
    first = ids(dataset)[0]
    (orders / f"raise_{chunk_ids(dataset, first)[0]}").touch()
    wanted = overrides(dataset.root.parent)
    wanted["inference"]["max_failed_fraction"] = 0.5
    assert made(detect(Dataset.open(dataset.root, wanted)))[first].is_final
    assert journaled(dataset) == set()


def test_summary_and_table_of_workers_are_there_after_any_end(dataset: Dataset) -> None:
    log = dataset.telemetry("run")
    stop_after(dataset, 3)
    stopped = json.loads(summary_path(log).read_text(encoding="utf-8"))
    assert len(stopped["jobs"]) >= 3
    detect(dataset, name="whole")
    log = dataset.telemetry("whole")
    whole = json.loads(summary_path(log).read_text(encoding="utf-8"))
    assert whole["jobs"].keys() == set(all_chunks(dataset))
    assert {job["status"] for job in whole["jobs"].values()} == {"success"}
    header, *rows = workers_path(log).read_text(encoding="utf-8").splitlines()
    assert header == "worker,jobs,success,failure,retries,failed_retries"
    assert [row.split(",")[0] for row in rows] == ["cpu-0", "cpu-1"]
    kept = len(all_chunks(dataset)) - 3
    assert kept <= sum(int(row.split(",")[2]) for row in rows) <= len(all_chunks(dataset))


def test_a_summary_does_not_shrink_when_a_run_goes_on_with_its_log(dataset: Dataset) -> None:
    stop_after(reopen(dataset, workers=1), 9)
    finished = {path.stem for path in dataset.aggregate.glob("*.parquet")}
    assert finished
    detect(dataset, set(ids(dataset)) - finished)
    summary = json.loads(summary_path(dataset.telemetry("run")).read_text(encoding="utf-8"))
    assert summary["jobs"].keys() == set(all_chunks(dataset))


@pytest.fixture
def full(lacking) -> Path:
    """Returns a file on a disk that is always full."""
    if not Path("/dev/full").exists():
        lacking("/dev/full, which is a disk without space")
    return Path("/dev/full")


def test_a_full_disk_under_the_telemetry_is_one_clear_error_and_costs_nothing(
    dataset: Dataset, full: Path
) -> None:
    expected = undisturbed(dataset)
    log = dataset.telemetry("run")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.symlink_to(full)
    with pytest.raises(StorageFull) as caught:
        detect(dataset)
    assert str(log) in str(caught.value)
    log.unlink()
    made(detect(dataset))
    assert results(dataset) == expected
    assert list((dataset.root.parent / "scratch").iterdir()) == []


def test_a_full_disk_under_a_journal_is_one_clear_error_and_keeps_what_was_known(
    dataset: Dataset, full: Path
) -> None:
    expected = undisturbed(dataset)
    first = ids(dataset)[0]
    journal = Work(dataset.work_folder).journal(first)

    class FillingUp:
        def analysed(self, _: float) -> None:
            if journal.exists() and not journal.is_symlink():
                journal.rename(journal.with_name("kept"))
                journal.symlink_to(full)

        def ended(self) -> None:
            pass

    with watched_by(FillingUp()), pytest.raises(StorageFull) as caught:
        detect(dataset)
    assert str(journal) in str(caught.value)
    journal.unlink()
    journal.with_name("kept").rename(journal)
    known = len(journaled(dataset))
    assert sum(one.n_resumed for one in made(detect(dataset)).values()) == known
    assert results(dataset) == expected


def test_a_detector_that_finds_the_disk_full_says_so_and_costs_only_its_chunk(
    dataset: Dataset, orders: Path, full: Path
) -> None:
    expected = undisturbed(dataset)
    first = ids(dataset)[0]
    chunk_id = chunk_ids(dataset, first)[1]
    (orders / f"fill_disk_{chunk_id}").touch()
    (failed,) = made(detect(dataset))[first].failed
    assert isinstance(failed.error, StorageFull)
    (orders / f"fill_disk_{chunk_id}").unlink()
    assert made(detect(dataset))[first].n_resumed == len(chunk_ids(dataset, first)) - 1
    assert results(dataset) == expected


_ON_SMALL_DISK = """
import json, subprocess, sys
from pathlib import Path
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from support.detecting import detect_and_select
from badc_core.telemetry.log import TelemetryLog

root, overrides = Path(sys.argv[1]), json.loads(sys.argv[2])
place, options, *copied = sys.argv[3:]
dataset = Dataset.open(root, overrides)
ids = sorted(path.stem for path in (root / "manifests").glob("*.csv"))

def detect(name):
    try:
        with TelemetryLog(dataset.telemetry(name)) as telemetry:
            outcomes = list(detect_and_select(dataset, ids, telemetry))
    except BadcError as error:
        return {type(error).__name__}
    return {type(one.error).__name__ for one in outcomes}

subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True)
if copied:
    subprocess.run(["cp", "-a", copied[0] + "/.", place], check=True)
print(*sorted(detect("full")))
subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", place], check=True)
print(*sorted(detect("repaired")))
for path in sorted(Path(dataset.artifacts).rglob("*.parquet")) if copied else ():
    target = Path(copied[1]) / path.relative_to(dataset.artifacts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
"""


@pytest.fixture
def on_small_disk(tmp_path: Path, lacking):
    """Returns what runs twice with a folder on a disk of its own, small and then large."""
    own = ["unshare", "--map-root-user", "--mount"]
    tried = ["sh", "-c", "mount -t tmpfs none /mnt"]
    if shutil.which("unshare") is None or subprocess.run([*own, *tried], check=False).returncode:
        lacking("the right to mount a disk in a namespace of one's own")

    def run(dataset: Dataset, place: Path, options: str, *copied: Path) -> list[str]:
        wanted = json.dumps(overrides(dataset.root.parent))
        words = [str(dataset.root), wanted, str(place), options, *map(str, copied)]
        ended = subprocess.run(
            [*own, sys.executable, "-c", IMPORTABLE + _ON_SMALL_DISK, *words],
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
        return ended.stdout.splitlines()

    return run


@pytest.mark.parametrize(
    "spare_kib",
    [4, 64, *(pytest.param(more, marks=pytest.mark.soak) for more in (16, 24, 36, 48, 90))],
)
def test_a_disk_that_fills_up_anywhere_in_a_run_is_a_clear_error_and_costs_nothing(
    dataset: Dataset, on_small_disk, tmp_path: Path, spare_kib: int
) -> None:
    expected = undisturbed(dataset)
    before = shutil.copytree(dataset.artifacts, tmp_path / "before")
    pages = sum(-(-path.stat().st_size // 4096) for path in before.rglob("*") if path.is_file())
    options = f"size={4 * pages + spare_kib}k"
    outputs = tmp_path / "outputs"
    first, second = on_small_disk(dataset, dataset.artifacts, options, before, outputs)
    assert "StorageFull" in first
    assert set(first.split()) <= {"StorageFull", "NoneType"}
    assert second == "NoneType"
    written = {
        str(path.relative_to(outputs)): path.read_bytes()
        for path in outputs.rglob("[!.]*.parquet")
        if path.parent.name != "raw_detections"
    }
    assert written == expected


@pytest.mark.parametrize("nr_inodes", [1, 4])
def test_a_full_scratch_is_one_clear_error(
    dataset: Dataset, on_small_disk, tmp_path: Path, nr_inodes: int
) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    first, second = on_small_disk(dataset, place, f"nr_inodes={nr_inodes}")
    assert first == "StorageFull"
    assert second == "NoneType"


_SERVER = """
import json, os, sys, traceback
from pathlib import Path
from badc_core.datasets.dataset import Dataset
from support.detecting import detect_and_select
from badc_core.telemetry.log import TelemetryLog

root, overrides, finished = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])

def detect():
    dataset = Dataset.open(root, overrides)
    done = finished.read_text().split()
    ids = sorted({path.stem for path in (root / "manifests").glob("*.csv")} - set(done))
    with TelemetryLog(dataset.telemetry("run")) as telemetry, finished.open("a") as file:
        for outcome in detect_and_select(dataset, ids, telemetry):
            if outcome.error is not None:
                raise outcome.error
            print(outcome.recording_id, file=file, flush=True)

# Each run is a process of its own; forking spares it the imports, nothing else.
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            detect()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Runs:
    """Runs of one dataset in processes of their own, one after the other."""

    def __init__(self, dataset: Dataset, wanted: dict) -> None:
        self.dataset = dataset
        self.finished = dataset.root.parent / "finished"
        self.finished.touch()
        words = [str(dataset.root), json.dumps(wanted), str(self.finished)]
        self._server = subprocess.Popen(
            [sys.executable, "-c", IMPORTABLE + _SERVER, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        """Starts a run; returns its process id."""
        assert self._server.stdin is not None
        self._server.stdin.write("go\n")
        self._server.stdin.flush()
        return int(self._read())

    def wait(self) -> int:
        """Returns how the run ended, as `os.waitpid` tells."""
        return int(self._read())

    def close(self) -> None:
        self._server.communicate(timeout=60)

    def n_lines(self) -> int:
        log = self.dataset.telemetry("run")
        parts = [one for one in (log, live_path(log)) if one.exists()]
        n_lines = 0
        for one in parts:
            with suppress(FileNotFoundError):  # joined to the whole meanwhile
                n_lines += one.read_bytes().count(b"\n")
        return n_lines

    def _read(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline()


def kill_somewhere(runs: Runs, rng: random.Random) -> bool:
    """Starts a run and kills it at a moment of chance; False if it had ended before."""
    n_lines = runs.n_lines()
    pid = runs.start()
    if rng.random() < 0.1:
        time.sleep(rng.uniform(0, 1.0))
    else:
        wanted = n_lines + rng.randint(1, 8)
        while runs.n_lines() < wanted and is_alive(pid):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return runs.wait() == signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_wanted", "n_recordings"), [(3, 6), pytest.param(25, 60, marks=pytest.mark.soak)]
)
def test_a_process_killed_at_many_moments_leaves_no_trace_in_what_is_found(
    orders: Path, tmp_path: Path, lacking, n_wanted: int, n_recordings: int
) -> None:
    if not Path("/proc/self/environ").exists():
        lacking("/proc, to look for processes left behind")
    (orders / "delay_s").write_text("0.01")
    dataset = make_dataset(tmp_path, [15.0] * n_recordings)
    n_chunks = len(all_chunks(dataset))
    assert n_chunks == 5 * n_recordings
    expected = undisturbed(dataset)
    runs = Runs(dataset, overrides(tmp_path))
    rng = random.Random(20240528)
    n_kills = 0
    while n_kills < n_wanted and kill_somewhere(runs, rng):
        n_kills += 1
    runs.start()
    assert runs.wait() == 0
    runs.close()

    assert n_kills == n_wanted, "the run ended before it was killed often enough"
    assert sorted(runs.finished.read_text().split()) == sorted(ids(dataset))
    assert results(dataset) == expected
    rows = [row for one in ids(dataset) for row in read_effort(dataset.effort(one)).to_pylist()]
    assert Counter(row["chunk_id"] for row in rows) == dict.fromkeys(all_chunks(dataset), 1)
    successes = analysed(dataset)
    assert successes.keys() == set(all_chunks(dataset))
    # A kill can come between a chunk's telemetry and its journal; not twice at once.
    assert sum(successes.values()) <= n_chunks + n_kills
    log = dataset.telemetry("run")
    assert summary_path(log).exists()
    assert workers_path(log).exists()
    wait_until(lambda: not worker_command_lines(str(orders)), 10)
    assert [one.name for one in (tmp_path / "scratch").iterdir()] == []
    assert [str(path) for path in dataset.root.rglob("*.part")] == []


_KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from badc_core.atomic import replacing
with replacing(Path(sys.argv[1])) as aside:
    aside.write_text("half of the content")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_aside_goes_when_the_file_is_made(
    dataset: Dataset, tmp_path: Path
) -> None:
    first = ids(dataset)[0]
    for path in (dataset.effort(first), dataset.detections(first)):
        killed = subprocess.run([sys.executable, "-c", _KILLED_WRITER, str(path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(path.parent.glob(".*.part"))) == 1
    Work(dataset.work_folder).begin("detections", first).leave()  # as it is while they are written
    made(detect(dataset, [first]))
    assert [path.name for path in dataset.artifacts.rglob("*.part")] == []


def test_scratch_that_a_kill_left_half_made_or_half_removed_goes(
    dataset: Dataset, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    half_made, half_removed = scratch / ".badc-scratch-made", scratch / "badc-scratch-removed"
    for folder in (half_made, half_removed):
        folder.mkdir(parents=True)
        (folder / "chunk.wav").write_bytes(b"sound")
    long_ago = time.time() - 24 * 3600
    os.utime(half_made, (long_ago, long_ago))
    made(detect(dataset, ids(dataset)[:1]))
    assert [one.name for one in scratch.iterdir()] == []


def test_a_scratch_that_is_no_folder_is_one_clear_error(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file")
    with pytest.raises(ConfigInvalid, match=r"inference\.scratch"):
        detect(dataset)


def test_summary_and_table_of_workers_are_there_after_a_kill(
    dataset: Dataset, orders: Path, tmp_path: Path
) -> None:
    (orders / "delay_s").write_text("0.05")
    runs = Runs(dataset, overrides(tmp_path))
    pid = runs.start()
    wait_until(lambda: runs.n_lines() >= 8, every_s=0.01)
    os.kill(pid, signal.SIGKILL)
    assert runs.wait() == signal.SIGKILL
    log = dataset.telemetry("run")
    assert "jobs" in json.loads(summary_path(log).read_text(encoding="utf-8"))
    assert workers_path(log).read_text(encoding="utf-8").startswith("worker,jobs,")
    runs.start()
    assert runs.wait() == 0
    runs.close()
    assert len(results(dataset)) == 2 * len(ids(dataset))


FAULTS = ("raise_once", "die_once", "raise")
_numbers = count()


def expected_detections(dataset: Dataset, recording_id: str) -> dict[str, list[tuple]]:
    """Returns chunk_id -> detections, by a detector in this process, chunk by chunk."""
    detector = load_detector(dataset.settings.detector)
    recording = read_recording(dataset.recording(recording_id))
    found = {}
    with AudioFile(dataset.audio(recording.path)) as audio:
        for chunk in read_manifest(dataset.manifest(recording_id), recording).chunks:
            windows = [
                window
                for batch in detector.batches(audio, chunk, None)
                for window in detector.detect(batch)
            ]
            found[chunk.chunk_id] = sorted(
                (one.start_sample * 1000 // RATE_HZ, one.label.code, one.confidence)
                for window in windows
                for one in window
            )
    return found


@pytest.mark.slow
@settings(
    max_examples=settings().max_examples // 8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_fails_every_chunk_is_accounted_for_and_good_ones_are_right(
    orders: Path, tmp_path: Path, data: st.DataObject
) -> None:
    lengths_s = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    wanted = overrides(tmp_path, workers=data.draw(st.integers(1, 3)))
    wanted["chunks"]["duration_s"] = float(data.draw(st.sampled_from([1, 2, 3, 5, 60])))
    wanted["inference"]["max_retries"] = 2
    folder = tmp_path / str(next(_numbers))
    for number, length_s in enumerate(lengths_s):
        write_noise(folder / "audio" / f"r{number}.wav", data.draw(st.integers(0, 99)), length_s)
    dataset = Dataset.open(folder, wanted)
    cut_recordings(dataset)
    # The detector that runs in this process must find no orders of the example before.
    for order in orders.glob("*_chunk_*"):
        order.unlink()
    expected = {one: expected_detections(dataset, one) for one in ids(dataset)}
    faults = data.draw(
        st.dictionaries(st.sampled_from(all_chunks(dataset)), st.sampled_from(FAULTS), max_size=5)
    )
    for chunk_id, fault in faults.items():
        (orders / f"{fault}_{chunk_id}").touch()
    broken = {chunk_id for chunk_id, fault in faults.items() if fault == "raise"}

    outcomes = detect(dataset)
    assert outcomes.keys() == set(ids(dataset))
    for recording_id, chunks in expected.items():
        if chunks.keys() <= broken:
            assert "all " in str(outcomes[recording_id].error)
            assert not dataset.effort(recording_id).exists()
            continue
        assert outcomes[recording_id].error is None
        rows = read_effort(dataset.effort(recording_id)).to_pylist()
        assert [row["chunk_id"] for row in rows] == list(chunks)
        assert {
            row["chunk_id"] for row in rows if row["status"] == "error"
        } == broken & chunks.keys()
        found = {chunk_id: [] for chunk_id in chunks if chunk_id not in broken}
        for row in read_detections(dataset.detections(recording_id)).to_pylist():
            one = (row["absolute_time_ms"], row["label_code"], row["confidence"])
            found[row["chunk_id"]].append(one)
        assert {chunk_id: sorted(rows) for chunk_id, rows in found.items()} == {
            chunk_id: rows for chunk_id, rows in chunks.items() if chunk_id not in broken
        }
