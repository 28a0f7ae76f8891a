"""`badc infer`: running detectors over chunk manifests, and gathering what they found."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from badc_core.cli.plain_help import PlainHelp
from badc_core.cli.run_output import print_made, print_places, print_troubled, say
from badc_core.cli.telemetry import monitor
from badc_core.cli.wording import counted
from badc_core.detections.gather import Gathering, gather
from badc_core.inference import accounts
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.run_config import read_run_config
from badc_core.inference.run_options import OptionInvalid, RunOptions, find_root
from badc_core.inference.run_order import RunOrder
from badc_core.telemetry.progress import watched_by
from badc_core.units import format_duration

infer = typer.Typer(
    help="Run detectors over chunk manifests, watch them, gather results.", no_args_is_help=True
)
infer.command("monitor", cls=PlainHelp)(monitor)


@infer.command("run", cls=PlainHelp)
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
    try:
        order = options.order()
    except OptionInvalid as error:
        raise typer.BadParameter(error.what, param_hint=error.where) from error
    _run(order, Console())


@infer.command("run-config", cls=PlainHelp)
def run_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML with a section [runner].")],
) -> None:
    """Run a detector as a TOML file says; see `badc infer run`."""
    _run(read_run_config(file).order(), Console())


@infer.command("aggregate", cls=PlainHelp)
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
        say(Console(stderr=True), f"No chunk's JSON file below {folder}; nothing written.")
        return
    console = Console()
    found, chunks = counted(made.n_detections, "detection"), counted(made.n_chunks, "chunk")
    recordings, failed = counted(made.n_recordings, "recording"), counted(made.n_failed, "chunk")
    say(console, f"{found} in {chunks} of {recordings}; {failed} failed and have no result")
    if made.n_settings > 1:
        kinds = f"{made.n_settings} different settings, see the column config_hash"
        say(Console(stderr=True), f"Warning: these results were made with {kinds}.")
    for path in filter(None, (output, parquet)):
        say(console, f"Table: {path}")


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
        _told_once(),
        _telling_how_far(prepared, order),
    ):
        made = prepared.run()
    print_made(made, console)
    print_places(order, console)
    print_troubled(made, Console(stderr=True))
    if made.is_failure:
        raise typer.Exit(1)


@contextmanager
def _told_once() -> Iterator[None]:
    """Keeps the log from telling of troubled chunks what is printed at the end."""
    log = logging.getLogger(accounts.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _telling_how_far(prepared: ManifestRun, order: RunOrder) -> Iterator[None]:
    """Tells of a run that is interrupted what it has done and where that is."""
    try:
        yield
    except KeyboardInterrupt:
        console = Console(stderr=True)
        say(console, f"{prepared.n_done} of {counted(prepared.n_chunks, 'chunk')} done.")
        print_places(order, console)
        raise
