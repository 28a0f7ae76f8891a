"""`badc infer`: running detectors over chunk manifests, gathering and comparing what they found."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.compare import compare
from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.orchestrate_inference import orchestrate_inference
from badc_core.cli.output import Output
from badc_core.cli.progress import shown_detecting
from badc_core.cli.run_config import read_run_config
from badc_core.cli.run_options import RunOptions, find_dataset_above
from badc_core.cli.run_output import (
    describe_result,
    find_places,
    report_failed_chunks,
    show_run_result,
    warn_of_stub,
)
from badc_core.cli.telemetry import monitor
from badc_core.errors import DetectionsInvalid
from badc_core.inference.aggregation import AggregationRequest, aggregate_chunks
from badc_core.inference.datalad_commands import render_run
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.manifest_runs import run_and_commit
from badc_core.inference.run_spec import RunSpec
from badc_core.reports.after_inference import require_handmade
from badc_core.units import counted

infer = make_group("Run detectors over chunk manifests. Aggregate and compare results.")
infer.command("orchestrate")(orchestrate_inference)
infer.command("monitor")(monitor)
infer.command("compare")(compare)

PrintDatalad = Annotated[
    bool,
    typer.Option("--print-datalad-run", help="Print a datalad run command, and nothing else."),
]


@infer.command("run")
@taking_options
def run(options: RunOptions, out: Output, print_datalad_run: PrintDatalad = False) -> None:
    """Run a detector over the chunks of a manifest."""
    _run(options, print_datalad_run, out)


@infer.command("run-config")
@taking_options
def run_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML with a section [runner].")],
    out: Output,
    print_datalad_run: PrintDatalad = False,
) -> None:
    """Run a detector as a TOML file says; see `badc infer run`."""
    _run(read_run_config(file), print_datalad_run, out)


@infer.command("aggregate")
@taking_options
def aggregate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds chunks' JSON files.")],
    out: Output,
    output: Annotated[Path, typer.Option(help="The table as CSV.")] = Path(
        "artifacts/aggregate/summary.csv"
    ),
    parquet: Annotated[
        Path | None, typer.Option(help="The detections as Parquet, too.", show_default="none")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Has what the chunks' files do not say.")
    ] = None,
    dataset_root: Annotated[
        Path | None,
        typer.Option(
            help="Has places and times of recordings.",
            show_default="the folder above DIR with badc.toml or audio/",
        ),
    ] = None,
) -> None:
    """Gather the detections of all chunks below a folder into one table."""
    root = dataset_root or find_dataset_above(folder.absolute() / "-")
    if parquet is not None:
        require_handmade(parquet)
    result = aggregate_chunks(AggregationRequest(folder, output, parquet, manifest, root))
    if not result.n_files:
        what = "no chunk's JSON file below this folder"
        raise DetectionsInvalid(what, folder, "Give the folder of badc infer run")
    out.give(result)
    found, chunks = counted(result.n_detections, "detection"), counted(result.n_chunks, "chunk")
    recordings = counted(result.n_recordings, "recording")
    failed = counted(result.n_failed, "chunk")
    out.say(f"{found} in {chunks} of {recordings}; {failed} failed and have no result")
    if result.n_left_out:
        out.say(f"{counted(result.n_left_out, 'chunk')} left out: not in the manifest.")
    if result.n_settings > 1:
        kinds = f"{result.n_settings} different settings, see the column config_hash"
        out.warn(f"these results are of {kinds}.")
    if result.n_stub:
        out.warn(f"no model ran on {counted(result.n_stub, 'chunk')}, but the stub runner.")
    if result.n_repeated:
        twice = f"{counted(result.n_repeated, 'detection')} more than once"
        out.warn(f"chunks that were cut in several ways have {twice}.")
    out.say(*(f"Table: {path}" for path in (output, parquet) if path is not None))


def _run(options: RunOptions, is_only_printed: bool, out: Output) -> None:
    spec = options.order()
    prepared = ManifestRun(spec)
    if is_only_printed:
        out.print_commands([render_run(prepared, options.words(spec))])
        return
    warn_of_stub(spec.settings.detector, out)
    with shown_detecting(prepared.audio_s, out), _reporting_interruption(prepared, spec, out):
        result = run_and_commit(prepared, out.warn)
    places = find_places(spec)
    show_run_result(result, out)
    out.say(*(f"{name}: {path}" for name, path in places.items()))
    out.give({**describe_result(result), "files": places})
    report_failed_chunks(result, out)
    if result.is_failure:
        raise typer.Exit(1)


@contextmanager
def _reporting_interruption(prepared: ManifestRun, spec: RunSpec, out: Output) -> Iterator[None]:
    """Prints how far a run came that is interrupted, and where its files are."""
    try:
        yield
    except KeyboardInterrupt:
        out.remark(f"{prepared.n_done} of {counted(prepared.n_chunks, 'chunk')} done.")
        for name, path in find_places(spec).items():
            out.remark(f"{name}: {path}")
        raise
