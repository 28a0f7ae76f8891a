"""What a corpus of many recordings costs: writing its parts, summing up, adding one recording.

    python benchmarks/corpus_scale.py [--rows 100000000] [--recordings 100000]

The last line is one JSON object, with what was promised and whether it was kept. The detections
are synthetic: 300 labels, few of them frequent, some 100 in a recording of an hour with 1000
detections, in parts of up to 250 recordings. Writing is timed from one file for each part, as
opening a hundred thousand small files would hide it; all that happens later is timed as `badc run`
does it after the model has run, with three files for each recording. `rollup_s` is all that is
counted of the rows, and what is written about all parts together. `one_added_s` is the corpus, its
checks and its pages. Seconds of the processor are beside those of the clock, for a machine that
has other work to do. Needs 30 bytes of disk for each row, among temporary files.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from badc_core.corpus.building import MISSING, aggregate_corpus, group_parts
from badc_core.corpus.changed_parts import PART_CODE_VERSION
from badc_core.corpus.part_jobs import PartJob, Piece, WrittenRows
from badc_core.corpus.part_writing import part_writers
from badc_core.corpus.parts import SCHEMA_VERSION, CorpusPart, PartKey, PartList
from badc_core.corpus.recordings_table import recordings_table
from badc_core.corpus.root import write_root
from badc_core.corpus.sources import SEEN, look_at_files, made_from, write_seen
from badc_core.corpus.verifying import check_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.schema import SCHEMA_VERSION as VERSION
from badc_core.detections.store import SCHEMA_KEY, write_detections, write_effort
from badc_core.devices.places import usable_cores
from badc_core.outcomes import for_each
from badc_core.recordings.recording import Recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import Registry
from badc_core.site.writing import write_site
from badc_core.stages.corpus_outputs import CORPUS_ASSETS, store_corpus_fingerprint

N_MONTHS, N_LABELS = 4, 300
_PER_STATION = 1000
_MOST = {"rollup_s": 60.0, "one_added_s": 10.0, "peak_gib": 4.0, "page_bytes": 2_000_000}
_LEAST = {"rows_per_s": 1_000_000}
_CHUNK_MS, _N_CHUNKS = 60_000, 60
_SHARES = np.arange(1, N_LABELS + 1) ** -1.5
_SHARES /= _SHARES.sum()
_LABELS = pa.array([f"Species {n}" for n in range(N_LABELS)], pa.string())


@dataclass
class Clock:
    """Seconds that were measured, by name."""

    seconds: dict[str, float]

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Adds the time of the block."""
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        yield
        cpu = name.removesuffix("_s") + "_cpu_s"
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started_s
        self.seconds[cpu] = self.seconds.get(cpu, 0.0) + time.process_time() - started_cpu_s


def measure(folder: Path, n_rows: int, n_recordings: int) -> dict[str, float]:
    """Returns what the corpus of a synthetic dataset costs, made in an empty folder."""
    (folder / "audio").mkdir()
    dataset = Dataset.open(folder)
    clock = Clock({})
    n_stations = max(1, n_recordings // _PER_STATION)
    keys = [(station, month) for station in range(n_stations) for month in range(N_MONTHS)]
    per_part = n_recordings // len(keys)
    per_recording = n_rows // (per_part * len(keys))
    parts: dict[str, CorpusPart] = {}
    recordings: list[Recording] = []
    n_threads = usable_cores()
    for at in range(0, len(keys), 16 * n_threads):
        own = {key: describe(*key, per_part) for key in keys[at : at + 16 * n_threads]}
        recordings += [one for group in own.values() for one in group]
        jobs = {
            str(n): make_job(dataset, group, per_recording) for n, group in enumerate(own.values())
        }
        for part in write_jobs(dataset, jobs, clock, n_threads):
            parts[part.key.folder] = part
    listed = PartList(SCHEMA_VERSION, PART_CODE_VERSION, [parts[one] for one in sorted(parts)])
    tables = {"recordings": recordings_table(recordings), "missing": MISSING.empty_table()}
    with clock.timing("rollup_s"):
        totals = write_root(dataset, listed, tables, {})
    expected = per_part * len(keys) * per_recording
    require_same(totals.detections, expected)
    pretend_files(dataset, recordings, parts)
    return {"rows": expected, "recordings": len(recordings), **use(dataset, recordings, clock)}


def write_jobs(
    dataset: Dataset, jobs: dict[str, PartJob], clock: Clock, n_threads: int
) -> list[CorpusPart]:
    """Writes parts, several at once, first their rows and then what is counted of them."""

    def write(name: str) -> WrittenRows:
        return own_writer().write_rows(jobs[name])

    def sum_up(first: str) -> list[CorpusPart]:
        return own_writer().sum_up([rows[name] for name in groups[first]])

    groups = group_parts({name: one.recordings.num_rows for name, one in jobs.items()}, n_threads)

    with part_writers(dataset) as own_writer, clock.timing("writing_s"):
        rows = {one.recording_id: one.require() for one in for_each(jobs, write, n_threads)}
    with part_writers(dataset) as own_writer, clock.timing("rollup_s"):
        summed = [one.require() for one in for_each(groups, sum_up, n_threads)]
    for job in jobs.values():
        for paths in job.pieces[0].paths.values():
            paths[0].unlink()
    return [part for parts in summed for part in parts]


def use(dataset: Dataset, recordings: list[Recording], clock: Clock) -> dict[str, float]:
    """Returns the figures, after renewing the corpus twice and writing its page."""
    register(dataset, recordings)
    with clock.timing("nothing_new_s"):
        aggregate_corpus(dataset)
    with clock.timing("site_s"):
        write_site(dataset)
    (new,) = describe(0, 0, 1, first=len(recordings))
    write_recording(dataset, new)
    register(dataset, [*recordings, new])
    before = set(dataset.corpus.folder.rglob("*.parquet"))
    with clock.timing("one_added_s"):
        totals = aggregate_corpus(dataset)
        checks = check_corpus(dataset)
        with clock.timing("page_s"):
            site = write_site(dataset)
        for asset in CORPUS_ASSETS:
            store_corpus_fingerprint(dataset, asset, "-")
    require_same(totals.recordings, len(recordings) + 1)
    require_same(sum(not one.passed for one in checks if one.name == "recording_ids_unique"), 0)
    written = set(dataset.corpus.folder.rglob("*.parquet")) - before
    n_bytes = sum(one.stat().st_size for one in dataset.corpus.folder.rglob("*.parquet"))
    seconds = {name: round(value, 2) for name, value in clock.seconds.items()}
    return {
        **seconds,
        "rows_per_s": round(totals.detections / clock.seconds["writing_s"]),
        "parquet_bytes_per_row": round(n_bytes / totals.detections, 1),
        "files_written_for_one": len(written),
        "pages_written_for_one": len(site.written) + 1,
        "page_bytes": site.page.stat().st_size,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def register(dataset: Dataset, recordings: list[Recording]) -> None:
    """Writes the table of recordings; their sound is nowhere."""
    rows = [
        RegisteredRecording(one.recording_id, one.path, one.size_bytes, 1, one.sha256)
        for one in recordings
    ]
    Registry(rows).write(dataset.registry)


def judge(found: dict[str, float]) -> dict[str, float | bool]:
    """Returns the figures with what was promised of them, and whether all of it was kept."""
    limits = {f"{name}_at_most": limit for name, limit in _MOST.items()}
    limits |= {f"{name}_at_least": limit for name, limit in _LEAST.items()}
    is_kept = all(found[name] <= limit for name, limit in _MOST.items()) and all(
        found[name] >= limit for name, limit in _LEAST.items()
    )
    return {**found, **limits, "is_kept": is_kept}


def describe(station: int, month: int, n: int, first: int = 0) -> list[Recording]:
    """Returns recordings of an hour each, of one station and month."""
    begin = datetime(2024, month + 1, 1)
    found = []
    for number in range(first, first + n):
        start = begin + timedelta(hours=number % 672)
        name = f"S{station:03d}_{start:%Y%m%d_%H%M%S}_{number}"
        found.append(
            Recording(
                recording_id=name,
                path=f"audio/{name}.wav",
                size_bytes=1,
                sha256=f"{abs(hash(name)):064x}",
                fingerprint="x",
                audio_format="WAV",
                subtype="PCM_16",
                sample_rate_hz=48_000,
                n_channels=1,
                n_samples=_N_CHUNKS * _CHUNK_MS * 48,
                rms_dbfs=-38.2,
                peak_dbfs=-3.1,
                clipped_fraction=0.0,
                is_silent=False,
                channels=(),
                study_area="Boreal",
                location=f"S{station:03d}",
                start_local=start,
                start_utc=(start + timedelta(hours=6)).replace(tzinfo=UTC),
                timezone="America/Edmonton",
                utc_offset_min=-360,
            )
        )
    return sorted(found, key=lambda one: one.recording_id)


def make_job(dataset: Dataset, recordings: list[Recording], n_rows: int) -> PartJob:
    """Returns what is to be written of one part, with its rows in two files."""
    first = recordings[0]
    paths = {
        "detections": [dataset.detections(first.recording_id)],
        "chunks": [dataset.effort(first.recording_id)],
    }
    detections = make_detections(recordings, n_rows)
    tables = {"detections": detections, "chunks": make_effort(recordings, detections)}
    for name, (path,) in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = tables[name].replace_schema_metadata({SCHEMA_KEY: str(VERSION)})
        pq.write_table(table, path, compression="none")
    key = PartKey.of(first.study_area, first.location, first.start_local)
    return PartJob(key, recordings_table(recordings), [Piece(paths)])


def make_detections(recordings: list[Recording], n_rows: int) -> pa.Table:
    """Returns so many detections of each recording, in order of time."""
    random = np.random.default_rng(int(recordings[0].sha256, 16) % 2**32)
    n = len(recordings) * n_rows
    own = np.repeat(np.arange(len(recordings)), n_rows)
    start_ms = np.sort(random.integers(0, 1199, (len(recordings), n_rows)), axis=1).ravel() * 3000
    chunk = own * _N_CHUNKS + start_ms // _CHUNK_MS
    label = pick(_LABELS, random.choice(N_LABELS, n, p=_SHARES))
    names = pa.array([one.recording_id for one in recordings])
    starts = np.array([one.start_utc.timestamp() * 1000 for one in recordings], np.int64)
    none = np.zeros(n, np.int32)
    chunk_ids = [name_chunk(one, k) for one in recordings for k in range(_N_CHUNKS)]
    values = {
        "recording_id": pick(names, own),
        "chunk_id": pick(pa.array(chunk_ids), chunk),
        "chunk_start_ms": pa.array(start_ms // _CHUNK_MS * _CHUNK_MS),
        "chunk_end_ms": pa.array(start_ms // _CHUNK_MS * _CHUNK_MS + _CHUNK_MS),
        "timestamp_ms": pa.array(start_ms % _CHUNK_MS),
        "absolute_time_ms": pa.array(start_ms),
        "end_ms": pa.array(start_ms % _CHUNK_MS + 3000),
        "absolute_end_ms": pa.array(start_ms + 3000),
        "label": label,
        "label_name": label,
        "scientific_name": label,
        "confidence": pa.array(np.round(random.beta(1, 3, n) * 0.75 + 0.25, 4)),
        "chunk_sha256": pick(hexes(random, len(chunk_ids)), chunk),
        "source_path": pick(pa.array([one.path for one in recordings]), own),
        "detection_id": hexes(random, n, 20),
        "is_detection": pa.array(np.ones(n, bool)),
        "detection_utc": pa.array(starts[own] + start_ms, pa.timestamp("ms", tz="UTC")),
        "recording_start_utc": pa.array(starts[own], pa.timestamp("ms", tz="UTC")),
        "recording_start_local": pa.array(starts[own] - 21_600_000, pa.timestamp("ms")),
        "lat": pa.array(np.full(n, 55.0)),
        "lon": pa.array(np.full(n, -115.0)),
        "n_merged": pa.array(np.ones(n, np.int32)),
        "is_expected": pa.array(none == 0),
    }
    texts = {"status": "ok", "runner": "birdnet", "model_version": "2.4", "dataset_root": "ds"}
    texts |= {"study_area": "Boreal", "location": recordings[0].location, "config_hash": "0" * 32}
    values |= {name: pick(pa.array([text]), none) for name, text in texts.items()}
    columns = [
        values[one.name].cast(one.type) if one.name in values else pa.nulls(n, one.type)
        for one in DETECTIONS
    ]
    return pa.Table.from_arrays(columns, schema=DETECTIONS)


def make_effort(recordings: list[Recording], detections: pa.Table) -> pa.Table:
    """Returns the chunks of recordings."""
    found = {
        one["values"]: one["counts"] for one in pc.value_counts(detections["chunk_id"]).to_pylist()
    }
    rows = [
        {
            "recording_id": one.recording_id,
            "chunk_id": name_chunk(one, k),
            "chunk_start_ms": k * _CHUNK_MS,
            "chunk_end_ms": (k + 1) * _CHUNK_MS,
            "overlap_ms": 0,
            "status": "ok",
            "detections": found.get(name_chunk(one, k), 0),
            "effort_s": 60.0,
            "dead_s": 0.0,
            "not_analysed": [],
        }
        for one in recordings
        for k in range(_N_CHUNKS)
    ]
    return pa.Table.from_pylist(rows, EFFORT)


def write_recording(dataset: Dataset, recording: Recording, n_rows: int = 1000) -> None:
    """Writes the files of one recording."""
    recording.write(dataset.recording(recording.recording_id))
    detections = make_detections([recording], n_rows)
    write_detections(dataset.detections(recording.recording_id), detections)
    write_effort(dataset.effort(recording.recording_id), make_effort([recording], detections))


def pretend_files(
    dataset: Dataset, recordings: list[Recording], parts: dict[str, CorpusPart]
) -> None:
    """Gives each recording files, and notes them as those that the parts were made from."""
    linked: dict[tuple[str | None, str], Path] = {}
    for one in recordings:
        for name, path in made_from(dataset, one.recording_id).items():
            source = linked.get((one.location, name))
            if source is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
                linked[one.location, name] = path
            else:
                os.link(source, path)
    seen = look_at_files(dataset, [one.recording_id for one in recordings]).states
    keys = [PartKey.of(one.study_area, one.location, one.start_local) for one in recordings]
    folders = [key.folder for key in keys]
    digests = pa.array([parts[one].digest for one in folders]).dictionary_encode()
    seen = seen.append_column("folder", pa.array(folders)).append_column("digest", digests)
    write_seen(dataset, seen.select(SEEN.names).cast(SEEN))


def require_same(found: int, expected: int) -> None:
    """Raises unless everything was counted."""
    if found != expected:
        raise SystemExit(f"counted {found}, expected {expected}")


def name_chunk(recording: Recording, number: int) -> str:
    """Returns a chunk_id."""
    start_ms = number * _CHUNK_MS
    return f"{recording.recording_id}_chunk_{start_ms}_{start_ms + _CHUNK_MS}"


def pick(values: pa.Array, indices: np.ndarray) -> pa.Array:
    """Returns values by their number."""
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), values)


def hexes(random: np.random.Generator, n: int, n_bytes: int = 32) -> pa.Array:
    """Returns random texts of hexadecimal digits."""
    text = random.bytes(n * n_bytes).hex().encode()
    return pa.array(np.frombuffer(text, f"S{2 * n_bytes}")).cast(pa.string())


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--recordings", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corpus-scale-") as name:
        found = measure(Path(name), given.rows, given.recordings)
    json.dump(judge(found), sys.stdout)
    print()


if __name__ == "__main__":
    main()
