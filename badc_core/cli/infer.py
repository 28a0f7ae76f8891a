"""`badc infer`: running detectors over chunk manifests, gathering and comparing what they found."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from badc_core.cli.compare import compare
from badc_core.cli.options import refusing_options, taking_options
from badc_core.cli.orchestrate import orchestrate_inference
from badc_core.cli.plain_help import PlainHelp
from badc_core.cli.run_bar import shown_progress, told_once
from badc_core.cli.run_config import read_run_config
from badc_core.cli.run_options import RunOptions, find_root
from badc_core.cli.run_output import print_places, print_run_result, print_troubled, say
from badc_core.cli.telemetry import monitor
from badc_core.cli.wording import counted
from badc_core.manifest_runs.aggregation import AggregationRequest, aggregate_chunks
from badc_core.manifest_runs.manifest_run import ManifestRun
from badc_core.manifest_runs.run_spec import RunSpec

infer = typer.Typer(
    help="Run detectors over chunk manifests, watch them, aggregate_chunks and compare results.",
    no_args_is_help=True,
)
infer.command("orchestrate", cls=PlainHelp)(orchestrate_inference)
infer.command("monitor", cls=PlainHelp)(monitor)
infer.command("compare", cls=PlainHelp)(compare)


@infer.command("run", cls=PlainHelp)
@taking_options
def run(options: RunOptions) -> None:
    """Run a detector over the chunks of a manifest."""
    with refusing_options():
        order = options.order()
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
    made = aggregate_chunks(AggregationRequest(folder, output, parquet, manifest, root))
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
    if made.n_repeated:
        twice = f"{counted(made.n_repeated, 'detection')} more than once"
        say(Console(stderr=True), f"Warning: chunks that were cut in several ways have {twice}.")
    for path in filter(None, (output, parquet)):
        say(console, f"Table: {path}")


def _run(order: RunSpec, console: Console) -> None:
    prepared = ManifestRun(order)
    with shown_progress(prepared.audio_s, console), told_once(), _telling_how_far(prepared, order):
        made = prepared.run()
    print_run_result(made, console)
    print_places(order, console)
    print_troubled(made, Console(stderr=True))
    if made.is_failure:
        raise typer.Exit(1)


@contextmanager
def _telling_how_far(prepared: ManifestRun, order: RunSpec) -> Iterator[None]:
    """Tells of a run that is interrupted what it has done and where that is."""
    try:
        yield
    except KeyboardInterrupt:
        console = Console(stderr=True)
        say(console, f"{prepared.n_done} of {counted(prepared.n_chunks, 'chunk')} done.")
        print_places(order, console)
        raise
