"""`badc chunk`: cutting recordings into chunks, as manifests or as files, and checking them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from badc_core.chunks.place import CutRequest
from badc_core.chunks.source import ChunkSource, plan_file, write_virtual_manifest
from badc_core.chunks.status import STATUS_FILE, read_status
from badc_core.chunks.validate import check_chunks
from badc_core.chunks.writer import plan_chunk_files, write_chunks
from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.orchestrate_chunks import orchestrate_chunks
from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.cli.wording import describe_written
from badc_core.probing.probe import ESTIMATED, ProbeOutcome, ProbeRequest, probe
from badc_core.units import counted, format_duration

chunk = make_group("Cut recordings into chunks, and check chunks.")
chunk.command("orchestrate")(orchestrate_chunks)

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
@taking_options
def split(file: File, out: Output, chunk_duration: Duration = 60.0, overlap: Overlap = 0.0) -> None:
    """List the chunks of a file; nothing is written."""
    _show_chunks(plan_file(file, chunk_duration, overlap), out)


@chunk.command("manifest")
@taking_options
def manifest(
    file: File,
    out: Output,
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
    out.say(f"{counted(len(source.chunks), 'chunk')} of {source.name.recording_id}: {path}")
    out.give({"manifest": path, "chunks": _describe_chunks(source)})


@chunk.command("run")
@taking_options
def run(
    file: File,
    request: CutRequest,
    out: Output,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write no sound; only a manifest you name.")
    ] = False,
) -> None:
    """Write the chunks of a file as WAV files, with a manifest."""
    if dry_run:
        _show_chunks(plan_chunk_files(file, request), out)
        return
    written = write_chunks(file, request)
    out.say(describe_written(written), f"Chunks: {written.folder}", f"Manifest: {written.manifest}")
    out.give(written)


@chunk.command("status")
@taking_options
def status(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Holds chunk files, or folders of them.")
    ],
    out: Output,
) -> None:
    """Show how far the writing of chunk files has come."""
    found = [read_status(path.parent) for path in sorted(folder.rglob(STATUS_FILE))]
    statuses = [one for one in found if one is not None]
    rows = [(one.recording_id, one.status, one.chunk_output_dir) for one in statuses]
    out.show(make_table(counted(len(rows), "recording"), ("Recording", "Status", "Chunks"), rows))
    out.give(statuses)


@chunk.command("validate")
@taking_options
def validate(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A chunk manifest.")],
    out: Output,
    hash_files: Annotated[
        bool, typer.Option("--hash", help="Also read every file and compare its hash.")
    ] = False,
) -> None:
    """Compare a manifest with its files; exit with 1 if anything is wrong."""
    problems = check_chunks(manifest, hash_files)
    out.give({"manifest": manifest, "problems": problems})
    if not problems:
        out.say(f"{manifest}: everything is as it says")
        return
    rows = [(one.chunk_id, one.what, str(one.path)) for one in problems]
    out.show(make_table(counted(len(problems), "problem"), ("Chunk", "Problem", "File"), rows))
    raise typer.Exit(1)


@chunk.command("probe")
@taking_options
def probe_length(file: File, request: ProbeRequest, out: Output) -> None:
    """Find how long a chunk may be so that the detector's memory suffices."""
    outcome = probe(file, request)
    first = outcome.attempts[0]
    _show_attempts(outcome, out)
    if outcome.longest_s is None:
        out.say("Not even the shortest length tried fits.")
    else:
        again = ", as measured before" if outcome.is_recalled else ""
        length = f"{outcome.longest_s:.2f} s ({format_duration(outcome.longest_s)})"
        out.say(f"Longest chunk: {length}{again}")
    if first.strategy == ESTIMATED:
        out.say("Estimated from the sound alone; without --no-measure the detector is run.")
    out.say(f"Log: {outcome.log}")
    out.give(outcome)
    if outcome.longest_s is None:
        raise typer.Exit(1)


def _show_chunks(source: ChunkSource, out: Output) -> None:
    amount = f"{counted(len(source.chunks), 'chunk')} in {format_duration(source.duration_s)}"
    columns = ("Chunk", "Start s", "End s", "First sample", "End sample", "Overlap s")
    rows = [
        (
            one.chunk_id,
            f"{one.start_ms / 1000:.3f}",
            f"{one.end_ms / 1000:.3f}",
            one.start_sample,
            one.end_sample,
            f"{one.overlap_ms / 1000:.3f}",
        )
        for one in source.chunks
    ]
    out.show(make_table(f"{amount} at {source.sample_rate_hz} Hz", columns, rows))
    out.give(_describe_chunks(source))


def _describe_chunks(source: ChunkSource) -> list[dict[str, Any]]:
    names = ("chunk_id", "start_ms", "end_ms", "start_sample", "end_sample", "overlap_ms")
    return [{name: getattr(one, name) for name in names} for one in source.chunks]


def _show_attempts(outcome: ProbeOutcome, out: Output) -> None:
    first = outcome.attempts[0]
    place = "the CPU" if first.gpu_index is None else f"GPU {first.gpu_index} ({first.gpu_name})"
    title = f"{first.detector} on {place}, {first.memory_limit_mb:.0f} MiB usable"
    columns = ("Length s", "Estimate MiB", "Memory MiB", "GPU MiB", "Fits", "Reason")
    rows = [
        (
            f"{one.duration_s:.2f}",
            f"{one.estimated_vram_mb:.1f}",
            *(
                "" if peak is None else f"{peak:.0f}"
                for peak in (one.peak_rss_mb, one.peak_vram_mb)
            ),
            "yes" if one.fits else "no",
            one.reason,
        )
        for one in outcome.attempts
    ]
    out.show(make_table(title, columns, rows))
