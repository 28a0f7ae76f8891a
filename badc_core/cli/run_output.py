"""What `badc infer run` prints: what came of it, which chunks failed, where files are."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badc_core.cli.wording import counted, reason_alone
from badc_core.manifest_runs.run_spec import RunResult, RunSpec
from badc_core.telemetry.summary import summary_path
from badc_core.units import format_duration

_FAILED_SHOWN = 20


def print_run_result(made: RunResult, console: Console) -> None:
    """Prints what came of a run.

    Args:
        made: what came of it.
        console: where to.
    """
    for warning in made.warnings:
        console.print(f"[yellow]Warning[/] {escape(warning)}", soft_wrap=True, highlight=False)
    if made.n_orphans:
        say(console, f"{counted(made.n_orphans, 'chunk')} of the summary: not in the manifest.")
    if made.n_redone:
        redone = counted(made.n_redone, "chunk")
        say(console, f"{redone} it calls done: done again, there is no such result.")
    if made.n_skipped == made.n_chunks:
        have = (
            "the one chunk has its"
            if made.n_chunks == 1
            else f"all {made.n_chunks} chunks have their"
        )
        say(console, f"Nothing to do: {have} result.")
    elif made.workers:
        console.print(_workers(made))
    told = f"{made.n_succeeded} ok, {len(made.failed)} failed, {made.n_skipped} skipped"
    say(console, f"{counted(made.n_detections, 'detection')}; chunks: {told}")
    if made.totals.audio_s and made.wall_s:
        amount, took = format_duration(made.totals.audio_s), format_duration(made.wall_s)
        speed = made.totals.audio_s / made.wall_s
        say(console, f"{amount} of sound in {took}: {speed:.1f}x real time")


def print_places(order: RunSpec, console: Console) -> None:
    """Prints where a run's files are, as far as there are any.

    Args:
        order: what was run.
        console: where to.
    """
    log = order.telemetry_log
    places = {
        "Results": order.output.folder,
        "Telemetry": log,
        "Summary": summary_path(log),
    }
    for name, path in places.items():
        if path.exists():
            say(console, f"{name}: {path}")


def print_troubled(made: RunResult, console: Console) -> None:
    """Prints the chunks that failed, or did so at first, each once.

    Args:
        made: what came of the run.
        console: where to.
    """
    if made.retried.hotspots:
        say(console, "Done, but not at the first attempt:")
    for one in made.retried.hotspots:
        say(console, f"  {one.chunk_id}: {reason_alone(one.last_error or '', one.chunk_id)}")
    if made.retried.n_more:
        say(console, f"  and {made.retried.n_more} more: see the summary")
    if not made.failed:
        return
    say(console, f"{len(made.failed)} of {counted(made.n_chunks, 'chunk')} failed:")
    for chunk_id, reason in made.failed[:_FAILED_SHOWN]:
        say(console, f"  {chunk_id}: {reason_alone(reason, chunk_id)}")
    if len(made.failed) > _FAILED_SHOWN:
        say(console, f"  and {len(made.failed) - _FAILED_SHOWN} more: see the summary")
    if made.n_kept:
        kept = counted(made.n_kept, "file")
        say(console, f"{kept} of these left as before, with an earlier result.")
    say(console, "Everything else is kept; run again to try just these.")


def say(console: Console, text: str) -> None:
    """Prints a line as it is, however long."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _workers(made: RunResult) -> Table:
    table = Table(title="Workers", title_justify="left")
    table.add_column("Worker")
    for name in ("Jobs", "Failures", "Retries", "Failed attempts"):
        table.add_column(name, justify="right")
    for label, one in made.workers.items():
        cells = (one.jobs, one.failure, one.retries, one.failed_retries)
        table.add_row(escape(label), *map(str, cells))
    return table
