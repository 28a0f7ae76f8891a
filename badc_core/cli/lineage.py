"""`badc data lineage`, `badc data export-crate`: where results come from, and publishing that."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.datasets.dataset import Dataset
from badc_core.lineage.crate import export_crate as write_crate
from badc_core.lineage.detectors_used import DetectorUsed
from badc_core.lineage.tracing import Lineage, StepDone, trace
from badc_core.provenance.history import Commit
from badc_core.recordings.recording import Recording
from badc_core.units import counted, format_duration

_SHOWN_DIGITS = 12


@taking_options
def lineage(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A report page, table, database or recording."),
    ],
    out: Output,
) -> None:
    """Show where what a file says came from: sound, model, settings, stages, commits."""
    found = trace(file)
    out.say(f"{found.file}: {found.what}", *_describe(found))
    if found.steps:
        columns = ("Stage", "File", "State", "Code", "Made from", "Commit", "By")
        out.show(make_table("Stages", columns, [_row(one) for one in found.steps]))
    out.say(*_describe_commit(found.commit))
    for one in found.unknown:
        out.warn(one)
    out.give(found)


def _describe(found: Lineage) -> Iterator[str]:
    if found.sha256:
        yield f"  sha256 {found.sha256}"
    if found.registered is not None:
        yield f"Sound: {found.registered.path}"
    if found.recording is not None:
        yield from _describe_recording(found.recording)
    if found.n_recordings is not None:
        yield f"Recordings: {found.n_recordings}; for one of them, name one of its files"
    for one in found.detectors:
        yield from _describe_detector(one)


def _describe_recording(recording: Recording) -> Iterator[str]:
    yield f"  sha256 {recording.sha256}, when it was analysed"
    yield (
        f"  {format_duration(recording.duration_s)}, {recording.audio_format} "
        f"{recording.sample_rate_hz} Hz, {counted(recording.n_channels, 'channel')}"
    )
    recorder = (recording.device_make, recording.device_model, recording.device_serial)
    start = recording.start_local.isoformat(" ") if recording.start_local else "start not known"
    place = recording.location or "station not known"
    yield f"  {place}, {start} {recording.timezone or ''}".rstrip()
    yield f"  recorder: {' '.join(filter(None, recorder)) or 'not known'}"


def _describe_detector(one: DetectorUsed) -> Iterator[str]:
    yield f"Detector: {one.name or 'not known'} {one.version}".rstrip()
    yield f"  model: {_describe_model(one.model_sha256)}"
    if one.settings:
        yield f"  settings: {_write_settings(one.settings)}"
    yield f"  config_hash: {one.config_hash or 'not known'}"
    if one.licence:
        yield f"  licence: {one.licence}"


def _describe_model(sha256: str | None) -> str:
    if sha256 is None:
        return "not known"
    return f"sha256 {sha256}" if sha256 else "no model file"


def _write_settings(settings: Any) -> str:
    given = {name: value for name, value in settings.items() if value not in ("", [], {}, None)}
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _row(step: StepDone) -> tuple[str, ...]:
    commit = step.commit
    return (
        step.name,
        step.file,
        step.state,
        step.code_version,
        step.fingerprint[:_SHOWN_DIGITS],
        commit.sha[:_SHOWN_DIGITS] if commit else "",
        f"{commit.author}, {commit.date[:10]}" if commit else "",
    )


def _describe_commit(commit: Commit | None) -> Iterator[str]:
    if commit is None:
        yield "Commit: none that has this file as it is"
        return
    yield f"Commit: {commit.sha}, {commit.date}, {commit.author}: {commit.subject}"
    if commit.command:
        folder = f"cd {shlex.quote(commit.folder)} &&"
        yield f"  made by: {folder} {commit.command}"
        yield f"  again: {folder} datalad rerun {commit.sha}"


@taking_options
def export_crate(
    dataset: DatasetFolder,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The crate; an older one is replaced.")
    ],
    out: Output,
    licence: Annotated[
        str,
        typer.Option(help="Of the results: a URL or a sentence.", show_default="none was chosen"),
    ] = "",
) -> None:
    """Write the results of all recordings as an RO-Crate, which says what they were made of."""
    written = write_crate(Dataset.open(dataset), folder, licence)
    recordings = counted(written.n_recordings, "recording")
    out.say(f"RO-Crate of {recordings}, {counted(written.n_files, 'file')}: {written.folder}")
    if not licence:
        out.warn("it says that no licence was chosen; give one with --licence")
    for one in written.unknown:
        out.warn(one)
    out.give(written)
