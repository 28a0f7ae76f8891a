"""Tables of a job about its recordings and runs, beside its manifests: lists too long for JSON.

    runs.csv                        runs of the orchestrator, and where its pages show them
    recordings.csv                  what the job is about; rows may repeat
    stages/STAGE.outputs.csv        files written for recordings; the last row of a path counts
    stages/STAGE.failures.csv       recordings that failed and have not succeeded since

All but the last only grow, so a run over an archive of any size keeps little in memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from badc_core.atomic import replacing, writing_text
from badc_core.csv_tables import write_rows
from badc_core.jobs.growing_tables import (
    GrowingTable,
    append_rows,
    on_one_line,
    read_complete_rows,
)
from badc_core.jobs.values import now_text

WEB_HOST, WEB_PORT = "127.0.0.1", 3000
"""Where `make dev` and `dagster dev` open the web interface."""
WEB_INTERFACE = f"http://{WEB_HOST}:{WEB_PORT}"

_RUNS = ("run_id", "url_path", "attempt", "started_at", "job", "stages")
_RECORDINGS = ("dataset", "recording_id")
_OUTPUTS = ("recording_id", "path", "size_bytes", "sha256")
_FAILURES = ("recording_id", "reason")


class WrittenFile(NamedTuple):
    """A file that a stage wrote for a recording.

    Attributes:
        recording_id: empty for a file about all of them.
        path: absolute.
        size_bytes, sha256: of its content.
    """

    recording_id: str
    path: str
    size_bytes: int
    sha256: str


def recordings_table(folder: Path) -> Path:
    """Returns the path of the table of a job's recordings."""
    return folder / "recordings.csv"


def outputs_table(folder: Path, stage: str) -> Path:
    """Returns the path of the table of the files that a stage wrote."""
    return folder / "stages" / f"{stage}.outputs.csv"


def failures_table(folder: Path, stage: str) -> Path:
    """Returns the path of the table of the recordings that failed in a stage."""
    return folder / "stages" / f"{stage}.failures.csv"


def append_run(table: Path, run_id: str, job: str, stages: Iterable[str], attempt: int = 1) -> None:
    """Adds a run of the orchestrator that begins now.

    Args:
        table: of the job's runs.
        run_id: of the run.
        job: what the orchestrator calls what it runs.
        stages: that it runs.
        attempt: of the job.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    row = (run_id, f"/runs/{run_id}", attempt, now_text(), job, " ".join(stages))
    append_rows(table, _RUNS, [row])


def read_run_stages(table: Path) -> set[str]:
    """Returns the stages that runs were to run."""
    return {stage for row in read_complete_rows(table, _RUNS) for stage in row[-1].split()}


def append_recordings(folder: Path, dataset: str, recording_ids: Iterable[str]) -> None:
    """Adds recordings of a dataset to those that a job is about.

    Raises:
        StorageFull, OutputUnwritable: they cannot be written.
    """
    rows = ((dataset, one) for one in recording_ids)
    append_rows(recordings_table(folder), _RECORDINGS, rows)


def read_recordings(folder: Path) -> dict[str, set[str]]:
    """Returns dataset -> the recordings of it that a job is about."""
    found: dict[str, set[str]] = {}
    for dataset, recording_id in read_complete_rows(recordings_table(folder), _RECORDINGS):
        found.setdefault(dataset, set()).add(recording_id)
    return found


def open_outputs(folder: Path, stage: str) -> GrowingTable:
    """Returns the table of the files that a stage writes, to add rows of `WrittenFile` to."""
    return GrowingTable(outputs_table(folder, stage), _OUTPUTS)


def read_outputs(folder: Path, stage: str) -> Iterator[WrittenFile]:
    """Yields the files that a stage wrote, one recording's after another's.

    A recording that was done again comes again; its last files count.
    """
    for recording_id, path, size_bytes, sha256 in read_complete_rows(
        outputs_table(folder, stage), _OUTPUTS
    ):
        if size_bytes.isdecimal():
            yield WrittenFile(recording_id, path, int(size_bytes), sha256)


def write_failures(folder: Path, stage: str, reasons: Mapping[str, str]) -> None:
    """Writes which recordings have failed in a stage, and why.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    table = failures_table(folder, stage)
    if not reasons:
        table.unlink(missing_ok=True)
        return
    with replacing(table) as aside, writing_text(aside) as file:
        write_rows(file, _FAILURES, map(on_one_line, sorted(reasons.items())))


def read_failures(folder: Path, stage: str) -> dict[str, str]:
    """Returns the recordings that have failed in a stage, each with the reason."""
    rows = read_complete_rows(failures_table(folder, stage), _FAILURES)
    return {row[0]: row[1] for row in rows}
