"""What it costs to find out that nothing is due in a dataset of 100,000 recordings.

    python benchmarks/idle.py [--recordings 100000]

The last line is one JSON object: CPU seconds of `badc run`, and of ticks of the sensor: the first
one of a process, those after which nothing changed, and one after some outputs were removed; with
what was promised, and whether it was kept. One recording is analysed for real. The files, rows and
events of the others are copies of its own under other names, their outputs empty files: none of
these is read where nothing is due.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus import write_noise

_PER_STATION = 500
_N_CHANGED = 50
_NIGHT = "20240501_{:06d}"
_MOST_CPU_S = {
    "run_cpu_s": 10.0,
    "tick_cpu_s": 2.0,
    "second_tick_cpu_s": 2.0,
    "tick_after_changes_cpu_s": 2.0,
}


def measure(n_recordings: int) -> dict[str, float]:
    """Returns CPU seconds by what they were spent on."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "dataset"
        write_noise(root / "audio", [0])
        (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(Path(name) / "home")
        os.environ["BADC_JOBS"] = str(Path(name) / "jobs")
        _badc_run(root)
        _multiply(root, n_recordings)
        _badc_run(root)  # which looks at all that is new
        return {"recordings": n_recordings, "run_cpu_s": _badc_run(root), **_measure_ticks(root)}


def judge(found: dict[str, float]) -> dict[str, float | bool]:
    """Returns the figures with what was promised of them, and whether all of it was kept."""
    limits = {f"{name}_at_most": limit for name, limit in _MOST_CPU_S.items()}
    is_kept = all(found[name] <= limit for name, limit in _MOST_CPU_S.items())
    return {**found, **limits, "is_kept": is_kept}


def _badc_run(root: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [Path(sys.executable).with_name("badc"), "run", root]
    subprocess.run(command, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(spent_s, 2)


def _multiply(root: Path, n_recordings: int) -> None:
    """Makes a dataset of one recording one of many, of which nothing is due."""
    # Imported here, as they look at the environment.
    from badc_core.datasets.connections import find_connection  # noqa: PLC0415
    from badc_core.datasets.dataset import Dataset  # noqa: PLC0415
    from badc_core.recordings.registry import Registry, read_registry  # noqa: PLC0415
    from badc_dagster.home import home_path, open_instance  # noqa: PLC0415
    from badc_dagster.partitions import register_keys  # noqa: PLC0415

    dataset = Dataset.open(root)
    (original,) = read_registry(dataset.registry)
    rows = [original, *_add_files(root, original, n_recordings - 1)]
    registry = Registry(rows)
    registry.write(dataset.registry)
    made = _fingerprints(dataset, rows)
    _write_outputs(dataset, original.recording_id, made)
    connection = find_connection(home_path(), dataset.root)
    with open_instance() as instance:
        register_keys(instance, connection, registry.ids)
        _copy_events(home_path() / "history" / "runs" / "index.db", original.recording_id, made)
        _call_corpus_current(instance, connection, dataset, registry)


def _add_files(root: Path, original: Any, n_files: int) -> Iterator[Any]:
    """Yields the rows of new recordings, whose files are written."""
    for number in range(n_files):
        station = f"S{number // _PER_STATION:03d}"
        name = f"{station}_{_NIGHT.format(number % _PER_STATION)}"
        path = root / "audio" / station / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"-")
        yield replace(
            original,
            recording_id=name,
            path=f"audio/{station}/{name}.wav",
            size_bytes=1,
            modified_ns=path.stat().st_mtime_ns,
            fingerprint=f"{number:064x}",
        )


def _fingerprints(dataset: Any, rows: list[Any]) -> dict[str, dict[str, str]]:
    """Returns recording -> stage -> fingerprint of an output that is current."""
    from badc_core.stages.fingerprints import Fingerprints  # noqa: PLC0415
    from badc_core.stages.stage import STAGES  # noqa: PLC0415

    fingerprints = Fingerprints(dataset)
    made: dict[str, dict[str, str]] = {}
    for row in rows:
        own = made[row.recording_id] = {}
        for name, stage in STAGES.items():
            sources = [own[one] for one in stage.inputs] or [fingerprints.of_row(row)]
            own[name] = fingerprints.of(name, *sources)
    return made


def _write_outputs(dataset: Any, original: str, made: dict[str, dict[str, str]]) -> None:
    from badc_core.stages.stage import STAGES  # noqa: PLC0415

    stored = dataset.fingerprints(original).read_text(encoding="utf-8")
    for one, own in made.items():
        for path in (path for stage in STAGES.values() for path in stage.writes(dataset, one)):
            path.touch()
        text = stored.replace(original, one)
        for stage, fingerprint in own.items():
            text = text.replace(made[original][stage], fingerprint)
        dataset.fingerprints(one).write_text(text, encoding="utf-8")


def _copy_events(database: Path, original: str, made: dict[str, dict[str, str]]) -> None:
    """Gives every recording the events of one, each with its own fingerprint."""
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        events = connection.execute(
            "SELECT * FROM event_logs WHERE partition = ? ORDER BY id", (original,)
        ).fetchall()
        next_id = 1 + connection.execute("SELECT max(id) FROM event_logs").fetchone()[0]
        for event in map(dict, events):
            stage = event["asset_key"].strip('[]"')
            tags = connection.execute(
                "SELECT * FROM asset_event_tags WHERE event_id = ?", (event["id"],)
            ).fetchall()
            for one in (one for one in made if one != original):
                changes = {original: one, made[original].get(stage, "-"): made[one].get(stage, "-")}
                _insert(connection, "event_logs", {**_renamed(event, changes), "id": next_id})
                for tag in tags:
                    copy = {**_renamed(dict(tag), changes), "id": None, "event_id": next_id}
                    _insert(connection, "asset_event_tags", copy)
                next_id += 1


def _renamed(row: dict[str, Any], changes: dict[str, str]) -> dict[str, Any]:
    copy = dict(row)
    for name, value in row.items():
        if isinstance(value, str):
            for old, new in changes.items():
                copy[name] = copy[name].replace(old, new)
    return copy


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})",  # noqa: S608
        tuple(row.values()),
    )


def _call_corpus_current(instance: Any, connection: Any, dataset: Any, registry: Any) -> None:
    """Has the corpus of one recording count as that of all: here only its being current matters."""
    from badc_core.stages.corpus_outputs import store_corpus_fingerprint  # noqa: PLC0415
    from badc_dagster.corpus_fingerprint import (  # noqa: PLC0415
        corpus_fingerprints,
        find_due_assets,
    )

    wanted = corpus_fingerprints(instance, connection, dataset, registry)
    for asset, fingerprint in wanted.items():
        store_corpus_fingerprint(dataset, asset, fingerprint)
    find_due_assets(instance, connection, dataset, wanted)  # which takes them over


def _measure_ticks(root: Path) -> dict[str, float]:
    from badc_core.datasets.connections import find_connection  # noqa: PLC0415
    from badc_core.datasets.dataset import Dataset  # noqa: PLC0415
    from badc_core.recordings.registry import read_registry  # noqa: PLC0415
    from badc_dagster.home import home_path, open_instance  # noqa: PLC0415
    from badc_dagster.sensors import evaluate  # noqa: PLC0415

    connection = find_connection(home_path(), root)
    cursor: str | None = None
    spent: dict[str, float] = {}
    with open_instance() as instance:

        def tick(name: str) -> None:
            nonlocal cursor
            began_s = time.process_time()
            result = evaluate(instance, connection, Dataset.open(root), cursor, time.time)
            spent[name] = round(time.process_time() - began_s, 2)
            cursor = result.cursor
            sys.stderr.write(f"{name}: {result.skip_reason or len(result.run_requests)}\n")

        tick("first_tick_cpu_s")
        tick("tick_cpu_s")
        tick("second_tick_cpu_s")
        changed = list(read_registry(Dataset.open(root).registry).ids)[:_N_CHANGED]
        for one in changed:
            Dataset.open(root).bundle(one).html.unlink()
        tick("tick_after_changes_cpu_s")
    return spent


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=100_000)
    sys.stdout.write(json.dumps(judge(measure(parser.parse_args().recordings))) + "\n")
