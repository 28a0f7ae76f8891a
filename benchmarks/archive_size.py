"""What the graph costs as an archive grows: nothing due, a tick of the sensor, and a single step.

`python benchmarks/archive_size.py 200 20000` prints a line of JSON for each size. An archive is one
real recording, run for real, and copies of its files, its rows and its events: what is measured
only ever looks at names and fingerprints.
"""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import numpy as np
import soundfile

from badc_core.datasets.connections import connect
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import read_registry
from badc_core.stages.stage import STAGES
from badc_dagster.corpus_fingerprint import corpus_fingerprint
from badc_dagster.definitions import build_defs
from badc_dagster.due import DueFinder
from badc_dagster.fingerprint_tags import FINGERPRINT_TAG
from badc_dagster.home import open_instance, prepare_home
from badc_dagster.partitions import asset_key, range_tags
from badc_dagster.runs import Project
from badc_dagster.sensors import evaluate

_FIRST = "rec_000000"
_BATCH = 50


def measure_archive(n_recordings: int) -> dict[str, float]:
    """Returns CPU seconds of three things in an archive of some size."""
    with _archive(n_recordings) as root:
        nothing_due_s = _time_badc_run(root)
        connection = connect(prepare_home(), root)
        with open_instance() as instance:
            dataset = Dataset.open(root)
            cursor = evaluate(instance, connection, dataset, None, time.time).cursor
            tick_s = _cpu_s(lambda: evaluate(instance, connection, dataset, cursor, time.time))
            job = build_defs([connection]).resolve_job_def("pipeline_job")
            keys = instance.get_dynamic_partitions(connection.partitions_name)[:_BATCH]

            def run_stage() -> None:
                result = job.execute_in_process(
                    instance=instance,
                    tags=range_tags(keys),
                    asset_selection=[asset_key(connection, "chunk_manifest")],
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
                _require(result.success, "the step failed")

            _cpu_s(run_stage)
            step_s = min(_cpu_s(run_stage) for _ in range(3))
    return {
        "recordings": n_recordings,
        "nothing_due_cpu_s": round(nothing_due_s, 2),
        "sensor_tick_cpu_s": round(tick_s, 2),
        f"step_of_{_BATCH}_cpu_s": round(step_s, 3),
    }


@contextmanager
def _archive(n_recordings: int) -> Iterator[Path]:
    """Yields a dataset of which everything is done, with a Dagster home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = str(Path(folder) / "home")
        root = Path(folder) / "dataset"
        names = [f"rec_{number:06d}" for number in range(n_recordings)]
        _write_audio(root, names[:1])
        with Project.open(root) as project:
            project.scan()
            _require(project.bring_up_to_date().n_finished == 1, "the run failed")
            _copy_audio(root, names)
            project.scan()
        _copy_outputs(Dataset.open(root), names)
        _copy_events(Path(folder) / "home", names)
        _report_corpus(root)
        yield root


def _write_audio(root: Path, names: list[str]) -> None:
    folder = root / "audio" / "S00"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, 16_000)
    for name in names:
        soundfile.write(folder / f"{name}.wav", noise, 16_000, "PCM_16")
    (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")


def _copy_audio(root: Path, names: list[str]) -> None:
    first = root / "audio" / "S00" / f"{_FIRST}.wav"
    for number, name in enumerate(names[1:]):
        path = root / "audio" / f"S{number % 50:02d}" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(first, path)


def _copy_outputs(dataset: Dataset, names: list[str]) -> None:
    for stage in STAGES.values():
        for number, first in enumerate(stage.outputs(dataset, _FIRST)):
            content = first.read_bytes()
            for name in names[1:]:
                path = stage.outputs(dataset, name)[number]
                path.write_bytes(content.replace(_FIRST.encode(), name.encode()))


def _copy_events(home: Path, names: list[str]) -> None:
    """Copies the events of the first recording in Dagster's database."""
    with closing(sqlite3.connect(_index(home))) as database, database:
        events = database.execute(
            "SELECT * FROM event_logs WHERE partition = ? AND dagster_event_type = ?",
            (_FIRST, dg.DagsterEventType.ASSET_MATERIALIZATION.value),
        )
        columns = [one[0] for one in events.description]
        rows = [dict(zip(columns, row, strict=True)) for row in events]
        (last,) = database.execute("SELECT max(id) FROM event_logs").fetchone()
        for row in rows:
            tags = database.execute(
                "SELECT asset_key, event_timestamp, key, value FROM asset_event_tags "
                "WHERE event_id = ?",
                (row["id"],),
            ).fetchall()
            for name in names[1:]:
                last += 1
                event = row["event"].replace(_FIRST, name)
                copied = {**row, "id": last, "partition": name, "event": event}
                _insert(database, "event_logs", copied)
                for key, timestamp, tag, value in tags:
                    database.execute(
                        "INSERT INTO asset_event_tags "
                        "(asset_key, event_id, event_timestamp, key, value) VALUES (?, ?, ?, ?, ?)",
                        (key, last, timestamp, tag, value),
                    )


def _insert(database: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    marks = ", ".join("?" * len(row))
    names = ", ".join(row)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


def _index(home: Path) -> Path:
    (found,) = home.rglob("index.db")
    return found


def _report_corpus(root: Path) -> None:
    """Has the asset graph believe that the corpus was built from the copies."""
    connection = connect(prepare_home(), root)
    dataset = Dataset.open(root)
    registry = read_registry(dataset.registry)
    with open_instance() as instance:
        progress = DueFinder(instance, connection, dataset).find(registry)
        _require(len(progress.finished) == len(registry), "the copies are not current")
        tags = {FINGERPRINT_TAG: corpus_fingerprint(instance, connection, dataset, registry)}
        for name in ("corpus_detections", "corpus_report"):
            event = dg.AssetMaterialization(asset_key(connection, name), tags=tags)
            instance.report_runless_asset_event(event)


def _time_badc_run(root: Path) -> float:
    """Returns the CPU seconds of `badc run` with nothing due, without printing the report."""
    program = (
        "import sys; from pathlib import Path; from badc_dagster.runs import Project\n"
        "with Project.open(Path(sys.argv[1])) as project:\n"
        "    project.scan()\n"
        "    if not project.bring_up_to_date().nothing_to_do: sys.exit('not done')\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program, root], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise RuntimeError(what)


def _cpu_s(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


if __name__ == "__main__":
    for size in sys.argv[1:]:
        sys.stdout.write(json.dumps(measure_archive(int(size))) + "\n")
        sys.stdout.flush()
