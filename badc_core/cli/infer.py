"""`badc infer`: running detectors over chunk manifests, and gathering what they found."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from badc_core.cli.telemetry import monitor
from badc_core.detections.gather import Gathering, gather
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.run_options import RunOptions, find_root, read_run_config
from badc_core.inference.run_order import RunMade, RunOrder
from badc_core.telemetry.progress import watched_by
from badc_core.telemetry.summary import summary_path
from badc_core.units import format_duration

infer = typer.Typer(
    help="Run detectors over chunk manifests, watch them, gather results.", no_args_is_help=True
)
infer.command("monitor")(monitor)

_FAILED_SHOWN = 20


@infer.command("run")
def run(  # noqa: PLR0913, PLR0917  (a command line's options)
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A chunk manifest.")],
    detector: Annotated[
        str | None, typer.Option(help="A registered detector.", show_default="badc.toml's")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Weakest score kept, 0 to 1.", show_default="badc.toml's")
    ] = None,
    runner_cmd: Annotated[
        str | None,
        typer.Option(help="A program of yours, called with --input CHUNK.wav --output OUT.json."),
    ] = None,
    use_hawkears: Annotated[
        bool, typer.Option("--use-hawkears", help="HawkEars 2, or 1 if it is given arguments.")
    ] = False,
    hawkears_arg: Annotated[
        list[str] | None,
        typer.Option(help="Passed to HawkEars 1's analyze.py; may be given again."),
    ] = None,
    max_gpus: Annotated[
        int | None, typer.Option(min=0, help="At most so many GPUs; 0: all.")
    ] = None,
    worker_per_gpu: Annotated[int | None, typer.Option(min=1, help="Workers on each GPU.")] = None,
    cpu_workers: Annotated[
        int | None, typer.Option(min=0, help="Workers on the CPU; 0: one per core without GPUs.")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Holds a folder for each recording, or is named for the one.",
            show_default="artifacts/infer, in the dataset if there is one",
        ),
    ] = None,
    telemetry_log: Annotated[
        Path | None,
        typer.Option(
            help="What is measured; the summary is written beside it.",
            show_default="a new one in artifacts/telemetry/infer or data/telemetry/infer",
        ),
    ] = None,
    max_retries: Annotated[
        int | None,
        typer.Option(min=0, help="How often a failed chunk is tried again.", show_default="2"),
    ] = None,
    max_failed_fraction: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Exit with 1 if more of the chunks failed.", show_default="0"
        ),
    ] = None,
    resume_summary: Annotated[
        Path | None,
        typer.Option(help="Skip what succeeded according to this summary and has its result."),
    ] = None,
    resume_completed: Annotated[
        bool, typer.Option(help="Skip what an earlier run with these settings has analysed.")
    ] = True,
    allow_partial_chunks: Annotated[
        bool,
        typer.Option("--allow-partial-chunks", help="Also run chunk files that are not complete."),
    ] = False,
    chunks_dir: Annotated[
        Path | None,
        typer.Option(
            help="Holds a folder of chunk files for each recording.",
            show_default="artifacts/chunks, in the dataset if there is one",
        ),
    ] = None,
    dataset_root: Annotated[
        Path | None,
        typer.Option(
            help="Where relative paths begin.",
            show_default="the folder above MANIFEST with badc.toml or audio/",
        ),
    ] = None,
) -> None:
    """Run a detector over the chunks of a manifest."""
    options = RunOptions(
        manifest=manifest,
        dataset_root=dataset_root,
        output_dir=output_dir,
        telemetry_log=telemetry_log,
        chunks_dir=chunks_dir,
        detector=detector,
        min_score=min_score,
        runner_cmd=runner_cmd,
        use_hawkears=use_hawkears,
        hawkears_args=tuple(hawkears_arg or ()),
        max_gpus=max_gpus,
        workers_per_gpu=worker_per_gpu,
        cpu_workers=cpu_workers,
        max_retries=max_retries,
        max_failed_fraction=max_failed_fraction,
        resume_completed=resume_completed,
        resume_summary=resume_summary,
        allow_partial_chunks=allow_partial_chunks,
    )
    _run(options.order(), Console())


@infer.command("run-config")
def run_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML with a section [runner].")],
) -> None:
    """Run a detector as a TOML file says; see `badc infer run`."""
    _run(read_run_config(file).order(), Console())


@infer.command("aggregate")
def aggregate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds chunks' JSON files.")],
    output: Annotated[Path, typer.Option(help="The table as CSV.")] = Path(
        "artifacts/aggregate/summary.csv"
    ),
    parquet: Annotated[
        Path | None, typer.Option(help="The detections as Parquet, too.", show_default="none")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Tells of chunks what their files do not.")
    ] = None,
    dataset_root: Annotated[
        Path | None,
        typer.Option(
            help="Tells of recordings where and when they are from.",
            show_default="the folder above DIR with badc.toml or audio/",
        ),
    ] = None,
) -> None:
    """Gather the detections of all chunks below a folder into one table."""
    root = dataset_root or find_root(folder.absolute() / "-")
    made = gather(Gathering(folder, output, parquet, manifest, root))
    if not made.n_files:
        _say(Console(stderr=True), f"No chunk's JSON file below {folder}; nothing written.")
        return
    console = Console()
    _say(
        console,
        f"{made.n_detections} detections in {made.n_chunks} chunks of "
        f"{made.n_recordings} recordings, {made.n_failed} chunks failed",
    )
    for path in filter(None, (output, parquet)):
        _say(console, f"Table: {path}")


class _Amount(ProgressColumn):
    """How much sound is done of how much, and how fast it goes."""

    def render(self, task: Task) -> Text:
        speed = f"  {task.speed:.0f}x real time" if task.speed else ""
        total = format_duration(task.total or 0.0)
        return Text(f"{format_duration(task.completed)} of {total}{speed}")


class _Bar:
    """A watcher that moves a progress bar by seconds of sound."""

    def __init__(self, bars: Progress, audio_s: float) -> None:
        self._bars = bars
        self._task = bars.add_task("detecting", total=audio_s)

    def analysed(self, audio_s: float) -> None:
        """Moves the bar."""
        self._bars.advance(self._task, audio_s)

    def ended(self) -> None:
        """Does nothing: a recording's end moves no bar."""


def _run(order: RunOrder, console: Console) -> None:
    prepared = ManifestRun(order)
    with (
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as bars,
        watched_by(_Bar(bars, prepared.audio_s)),
    ):
        made = prepared.run()
    _print_made(made, console)
    _say(console, f"Results: {order.output.folder}")
    if order.telemetry_log.exists():
        _say(console, f"Telemetry: {order.telemetry_log}")
    _say(console, f"Summary: {summary_path(order.telemetry_log)}")
    if made.is_failure:
        _print_failed(made)
        raise typer.Exit(1)


def _print_made(made: RunMade, console: Console) -> None:
    for warning in made.warnings:
        console.print(f"[yellow]Warning[/] {escape(warning)}", soft_wrap=True, highlight=False)
    if made.n_orphans:
        _say(console, f"{made.n_orphans} chunks of the summary are not in the manifest.")
    if made.n_redone:
        _say(console, f"{made.n_redone} chunks it calls done have no such result: done again.")
    if made.n_skipped == made.n_chunks:
        _say(console, f"Nothing to do: all {made.n_chunks} chunks have their result.")
    elif made.workers:
        console.print(_workers(made))
    n_failed = len(made.failed)
    chunks = f"{made.n_succeeded} ok, {n_failed} failed, {made.n_skipped} skipped"
    _say(console, f"{made.n_detections} detections; chunks: {chunks}")
    if made.totals.audio_s and made.wall_s:
        amount, took = format_duration(made.totals.audio_s), format_duration(made.wall_s)
        speed = made.totals.audio_s / made.wall_s
        _say(console, f"{amount} of sound in {took}: {speed:.1f}x real time")


def _workers(made: RunMade) -> Table:
    table = Table(title="Workers", title_justify="left")
    table.add_column("Worker")
    for name in ("Jobs", "Failures", "Retries", "Failed attempts"):
        table.add_column(name, justify="right")
    for label, one in made.workers.items():
        cells = (one.jobs, one.failure, one.retries, one.failed_retries)
        table.add_row(escape(label), *map(str, cells))
    return table


def _print_failed(made: RunMade) -> None:
    console = Console(stderr=True)
    _say(console, f"{len(made.failed)} of {made.n_chunks} chunks failed:")
    for chunk_id, reason in made.failed[:_FAILED_SHOWN]:
        _say(console, f"  {chunk_id}: {reason}")
    if len(made.failed) > _FAILED_SHOWN:
        _say(console, f"  and {len(made.failed) - _FAILED_SHOWN} more: see the summary")
    _say(console, "Everything else is kept; run again to try just these.")


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
