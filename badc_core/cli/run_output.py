"""What `badc infer run` prints: its result, which chunks failed, where files are."""

from pathlib import Path
from typing import Any

from rich.table import Table

from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.cli.wording import reason_alone
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors import stub
from badc_core.inference.run_spec import RunResult, RunSpec
from badc_core.inference.select import Selection
from badc_core.telemetry.summary import summary_path
from badc_core.units import counted, format_duration

_FAILED_SHOWN = 20


def warn_of_stub(detector: DetectorSettings, out: Output) -> None:
    """Warns where no model is to run."""
    if detector.name == stub.NAME:
        out.warn("no model runs: the stub runner finds nothing; results are marked stub.")


def warn_of_species_list(detector: DetectorSettings, out: Output) -> None:
    """Warns of species in the user's list that the detector does not know.

    Raises:
        ConfigInvalid: that list, or another file of the detector's, cannot be used.
    """
    if detector.files and (remark := Selection(detector).remark):
        out.warn(f"{remark}.")


def show_run_result(result: RunResult, out: Output) -> None:
    """Prints the result of a run, the chunks that failed on standard error."""
    for warning in result.warnings:
        out.warn(warning)
    if result.n_orphans:
        out.say(f"{counted(result.n_orphans, 'chunk')} of the summary: not in the manifest.")
    if result.n_redone:
        redone = counted(result.n_redone, "chunk")
        out.say(f"{redone} it calls done: done again, there is no such result.")
    if result.n_skipped == result.n_chunks:
        chunks = "the one chunk has its" if result.n_chunks == 1 else _all_have(result.n_chunks)
        out.say(f"Nothing to do: {chunks} result.")
    elif result.workers:
        out.show(_workers(result))
    out.say(describe_counts(result))
    if result.audio_s and result.wall_s:
        amount, took = format_duration(result.audio_s), format_duration(result.wall_s)
        speed = result.audio_s / result.wall_s
        out.say(f"{amount} of sound in {took}: {speed:.1f}x real time")


def describe_counts(result: RunResult) -> str:
    """Returns how much a run found, and how many chunks it took, in one line."""
    chunks = f"{result.n_succeeded} ok, {len(result.failed)} failed, {result.n_skipped} skipped"
    return f"{counted(result.n_detections, 'detection')}; chunks: {chunks}"


def find_places(spec: RunSpec) -> dict[str, Path]:
    """Returns where a run's files are, as far as there are any."""
    log = spec.telemetry_log
    places = {"Results": spec.output.folder, "Telemetry": log, "Summary": summary_path(log)}
    return {name: path for name, path in places.items() if path.exists()}


def report_failed_chunks(result: RunResult, out: Output) -> None:
    """Prints the chunks that failed, or did so at first, each once, on standard error."""
    if result.retried.hotspots:
        out.remark("Done, but not at the first attempt:")
    for one in result.retried.hotspots:
        out.remark(f"  {one.chunk_id}: {reason_alone(one.last_error or '', one.chunk_id)}")
    if result.retried.n_more:
        out.remark(f"  and {result.retried.n_more} more: see the summary")
    if not result.failed:
        return
    out.fail(f"{len(result.failed)} of {counted(result.n_chunks, 'chunk')} failed:")
    for chunk_id, reason in result.failed[:_FAILED_SHOWN]:
        out.fail(f"  {chunk_id}: {reason_alone(reason, chunk_id)}")
    if len(result.failed) > _FAILED_SHOWN:
        out.fail(f"  and {len(result.failed) - _FAILED_SHOWN} more: see the summary")
    if result.n_kept:
        kept = counted(result.n_kept, "file")
        out.fail(f"{kept} of these left as before, with an earlier result.")
    out.remark("Everything else is kept; run again to try just these.")


def describe_result(result: RunResult) -> dict[str, Any]:
    """Returns the result of a run for JSON."""
    return {
        "chunks": result.n_chunks,
        "succeeded": result.n_succeeded,
        "skipped": result.n_skipped,
        "detections": result.n_detections,
        "failed": [{"chunk_id": chunk, "error": error} for chunk, error in result.failed],
        "audio_s": result.audio_s,
        "wall_s": result.wall_s,
        "workers": result.workers,
    }


def _all_have(n_chunks: int) -> str:
    return f"all {n_chunks} chunks have their"


def _workers(result: RunResult) -> Table:
    columns = ("Worker", "Jobs", "Failures", "Retries", "Failed attempts")
    rows = [
        (label, one.jobs, one.failure, one.retries, one.failed_retries)
        for label, one in result.workers.items()
    ]
    return make_table("Workers", columns, rows)
