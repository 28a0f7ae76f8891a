"""`badc chunk`: cutting recordings into chunks, as manifests or as files, and checking them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badc_core.chunks.place import CutRequest
from badc_core.chunks.source import ChunkSource, plan_file, write_virtual_manifest
from badc_core.chunks.validate import check_chunks
from badc_core.chunks.writer import plan_chunk_files, write_chunks
from badc_core.cli.consoles import wide_console
from badc_core.cli.options import taking_options
from badc_core.cli.orchestrate import orchestrate_chunks
from badc_core.cli.plain_help import PlainHelp
from badc_core.cli.wording import counted, told_written
from badc_core.probing.probe import ESTIMATED, ProbeAttempt, ProbeRequest, probe
from badc_core.units import format_duration

chunk = typer.Typer(help="Cut recordings into chunks, and check chunks.", no_args_is_help=True)
chunk.command("orchestrate", cls=PlainHelp)(orchestrate_chunks)

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="An audio file of any format; last and behind -- if its name begins with a dash.",
    ),
]
Duration = Annotated[float, typer.Option("--chunk-duration", help="Length of a chunk, seconds.")]
Overlap = Annotated[
    float, typer.Option("--overlap", help="How much a chunk repeats of the one before, seconds.")
]


@chunk.command("split")
def split(file: File, chunk_duration: Duration = 60.0, overlap: Overlap = 0.0) -> None:
    """List the chunks of a file; nothing is written."""
    _print_chunks(plan_file(file, chunk_duration, overlap), wide_console())


@chunk.command("manifest")
def manifest(
    file: File,
    chunk_duration: Duration = 60.0,
    overlap: Overlap = 0.0,
    output: Annotated[Path, typer.Option(help="The manifest to write.")] = Path(
        "chunk_manifest.csv"
    ),
    hash_chunks: Annotated[
        bool, typer.Option(help="Decode the sound and hash each chunk's samples.")
    ] = False,
) -> None:
    """Write the manifest of a file's chunks without copying sound."""
    source = plan_file(file, chunk_duration, overlap)
    path = write_virtual_manifest(source, output, hash_chunks)
    _say(f"{counted(len(source.chunks), 'chunk')} of {source.name.recording_id}: {path}")


@chunk.command("run")
@taking_options
def run(
    file: File,
    request: CutRequest,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write no sound; only a manifest you name.")
    ] = False,
) -> None:
    """Write the chunks of a file as WAV files, with a manifest."""
    if dry_run:
        _print_chunks(plan_chunk_files(file, request), wide_console())
        return
    done = write_chunks(file, request)
    _say(told_written(done))
    _say(f"Chunks: {done.folder}")
    _say(f"Manifest: {done.manifest}")


@chunk.command("validate")
def validate(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A chunk manifest.")],
    hash_files: Annotated[
        bool, typer.Option("--hash", help="Also read every file and compare its hash.")
    ] = False,
) -> None:
    """Compare a manifest with its files; exit with 1 if anything is wrong."""
    problems = check_chunks(manifest, hash_files)
    if not problems:
        _say(f"{manifest}: everything is as it says")
        return
    table = Table(title=counted(len(problems), "problem"), title_justify="left")
    for name in ("Chunk", "Problem", "File"):
        table.add_column(name, overflow="fold")
    for problem in problems:
        table.add_row(*map(escape, (problem.chunk_id, problem.what, str(problem.path))))
    wide_console().print(table)
    raise typer.Exit(1)


@chunk.command("probe")
@taking_options
def probe_length(file: File, request: ProbeRequest) -> None:
    """Find how long a chunk may be so that the detector's memory suffices."""
    outcome = probe(file, request)
    first = outcome.attempts[0]
    place = "the CPU" if first.gpu_index is None else f"GPU {first.gpu_index} ({first.gpu_name})"
    title = f"{first.detector} on {place}, {first.memory_limit_mb:.0f} MiB usable"
    _print_attempts(outcome.attempts, title)
    if outcome.longest_s is None:
        _say("Not even the shortest length tried fits.")
    else:
        again = ", as measured before" if outcome.is_recalled else ""
        _say(
            f"Longest chunk: {outcome.longest_s:.2f} s "
            f"({format_duration(outcome.longest_s)}){again}"
        )
    if first.strategy == ESTIMATED:
        _say("Estimated from the sound alone; without --no-measure the detector is run.")
    _say(f"Log: {outcome.log}")
    if outcome.longest_s is None:
        raise typer.Exit(1)


def _print_chunks(source: ChunkSource, console: Console) -> None:
    title = f"{counted(len(source.chunks), 'chunk')} in {format_duration(source.duration_s)}"
    table = Table(title=f"{title} at {source.sample_rate_hz} Hz", title_justify="left")
    table.add_column("Chunk", overflow="fold")
    for name in ("Start s", "End s", "First sample", "End sample", "Overlap s"):
        table.add_column(name, justify="right")
    for one in source.chunks:
        numbers = (one.start_ms / 1000, one.end_ms / 1000, one.overlap_ms / 1000)
        start, end, shared = (f"{number:.3f}" for number in numbers)
        table.add_row(one.chunk_id, start, end, str(one.start_sample), str(one.end_sample), shared)
    console.print(table)


def _print_attempts(attempts: tuple[ProbeAttempt, ...], title: str) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("Length s", "Estimate MiB", "Memory MiB", "GPU MiB"):
        table.add_column(name, justify="right")
    table.add_column("Fits")
    table.add_column("Reason", overflow="fold")
    for one in attempts:
        table.add_row(
            f"{one.duration_s:.2f}",
            f"{one.estimated_vram_mb:.1f}",
            *(
                "" if peak is None else f"{peak:.0f}"
                for peak in (one.peak_rss_mb, one.peak_vram_mb)
            ),
            "yes" if one.fits else "no",
            escape(one.reason),
        )
    wide_console().print(table)


def _say(line: str) -> None:
    wide_console().print(line, soft_wrap=True, markup=False)
