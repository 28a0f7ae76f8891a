"""`badc chunk orchestrate` and `badc infer orchestrate`: plans for a dataset, and doing them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badc_core.chunks import orchestrate as chunk_plans
from badc_core.chunks.orchestrate import ChunkPlan, DatasetCut, cut_dataset, plan_dataset
from badc_core.chunks.place import ChunkPlace
from badc_core.chunks.status import name_status
from badc_core.cli.consoles import wide_console
from badc_core.cli.detector_options import DetectorOptions, OptionInvalid
from badc_core.cli.options import refusing_options, taking_options, to_argv
from badc_core.cli.run_bar import shown_progress, told_once
from badc_core.cli.run_output import print_troubled, say
from badc_core.cli.wording import counted, told_written
from badc_core.errors import BadcError
from badc_core.manifest_runs import orchestrate as infer_plans
from badc_core.manifest_runs.orchestrate import DatasetRun, InferPlan, plan_inference, run_plan
from badc_core.manifest_runs.run_spec import RunResult
from badc_core.options import OptionSpec
from badc_core.plan_files import Entry, write_plan_csv, write_plan_json
from badc_core.settings import SETTINGS_FILE
from badc_core.units import format_duration


@dataclass(frozen=True)
class PlanUse:
    """What is to be done with a plan."""

    apply: Annotated[bool, OptionSpec("Do it; else the plan is only shown.")] = False
    plan_csv: Annotated[Path | None, OptionSpec("Save the plan as CSV.")] = None
    plan_json: Annotated[Path | None, OptionSpec("Save the plan as JSON.")] = None
    print_datalad_run: Annotated[
        bool, OptionSpec("Print a datalad run command for each recording, and nothing else.")
    ] = False

    def require_one(self) -> None:
        """Raises OptionInvalid where commands are to be printed and run at once."""
        if self.apply and self.print_datalad_run:
            raise OptionInvalid("excludes --apply", "--print-datalad-run")

    def save(self, columns: Sequence[str], entries: Sequence[Entry], console: Console) -> None:
        """Writes the files that are asked for, and says where they are."""
        if self.plan_csv is not None:
            write_plan_csv(self.plan_csv, columns, entries)
        if self.plan_json is not None:
            write_plan_json(self.plan_json, entries)
        for path in filter(None, (self.plan_csv, self.plan_json)):
            say(console, f"Plan: {path}")


@dataclass(frozen=True)
class DatasetRunOptions(DetectorOptions):
    """What is to be run over a dataset; relative folders begin at the dataset."""

    command: ClassVar[str] = "badc infer orchestrate"

    dataset: Annotated[Path, OptionSpec("The folder that holds audio/.", metavar="DATASET")]
    manifest_dir: Annotated[Path, OptionSpec("Holds chunk manifests, *.csv.")] = Path("manifests")
    chunk_plan: Annotated[
        Path | None,
        OptionSpec("Take the manifests of this plan, CSV or JSON, in place of --manifest-dir."),
    ] = None
    output_dir: Annotated[Path, OptionSpec("Holds a folder for each recording.")] = Path(
        "artifacts/infer"
    )
    telemetry_dir: Annotated[Path, OptionSpec("Holds infer/<recording_id>.jsonl.")] = Path(
        "artifacts/telemetry"
    )
    include_existing: Annotated[bool, OptionSpec("Also recordings of which no chunk is left.")] = (
        False
    )
    limit: Annotated[int, OptionSpec("At most so many recordings; 0: all.", least=0)] = 0

    def request(self) -> DatasetRun:
        """Returns what is to be run.

        Raises:
            OptionInvalid: options that exclude each other, or a value outside its limits.
            ConfigInvalid: the same in `badc.toml`.
        """
        return DatasetRun(
            dataset=self.dataset,
            settings=self.settings(self.dataset / SETTINGS_FILE),
            manifest_dir=self.manifest_dir,
            chunk_plan=self.chunk_plan,
            chunks_dir=self.chunks_dir or Path("artifacts/chunks"),
            output_dir=self.output_dir,
            telemetry_dir=self.telemetry_dir,
            include_existing=self.include_existing,
            limit=self.limit,
            resume=self.resume_completed,
            allow_partial_chunks=self.allow_partial_chunks,
        )


@taking_options
def orchestrate_chunks(
    cut: DatasetCut,
    use: PlanUse,
    workers: Annotated[int, typer.Option(min=1, help="Recordings written at once.")] = 1,
) -> None:
    """Plan the chunk files of a dataset's recordings; with --apply write them."""
    with refusing_options():
        use.require_one()
    plan = plan_dataset(cut, register=use.apply)
    notes = _notes(use)
    if plan.places and not use.print_datalad_run:
        _print_table(
            f"Chunks of {counted(len(plan.places), 'recording')}",
            ("Recording", "Audio", "Manifest", "Chunks dir", "Status"),
            (_chunk_cells(*one) for one in zip(plan.entries(), plan.places, strict=True)),
        )
    if plan.n_finished:
        say(notes, f"{counted(plan.n_finished, 'recording')} left out: the chunks are there.")
    if plan.n_unmatched:
        others = counted(plan.n_unmatched, "other audio file")
        say(notes, f"{others} not matched by --pattern {cut.pattern}.")
    _warn_of_ranges(plan, use.apply)
    if not plan.places:
        say(notes, "Nothing to do.")
    use.save(chunk_plans.PLAN_COLUMNS, plan.entries(), notes)
    if use.print_datalad_run:
        _print_lines(plan.commands())
    elif use.apply:
        _write(plan, workers)


@taking_options
def orchestrate_inference(options: DatasetRunOptions, use: PlanUse) -> None:
    """Plan detecting over a dataset's chunk manifests; with --apply run it."""
    with refusing_options():
        use.require_one()
        options = options.anchored()
        plan = plan_inference(options.request())
    notes = _notes(use)
    if plan.entries and not use.print_datalad_run:
        _print_inference(plan)
    if plan.n_finished:
        say(notes, f"{counted(plan.n_finished, 'recording')} left out: all chunks have a result.")
    if plan.n_unplanned:
        others = f"{counted(plan.n_unplanned, 'manifest')} in {options.manifest_dir}"
        say(notes, f"{others} left out: not in this plan.")
    if not plan.entries:
        say(notes, "Nothing to do.")
    use.save(infer_plans.PLAN_COLUMNS, list(plan.rows()), notes)
    if use.apply:
        _run(plan, "--no-resume-completed" if not options.resume_completed else "")
        return
    for one in plan.entries:
        if one.error is not None:
            _print_error(one.error)
    if use.print_datalad_run:
        _print_lines(plan.commands(to_argv(options, DetectorOptions)))


def _warn_of_ranges(plan: ChunkPlan, is_applied: bool) -> None:
    """Says how many manifests of another way of working go when the plan is carried out."""
    if n_replaced := plan.count_replaced():
        manifests, where = counted(n_replaced, "manifest"), plan.cut.manifest_dir
        when = "replaced" if is_applied else "to be replaced"
        told = f"{manifests} of ranges in {where}, such as badc run makes, {when}"
        say(Console(stderr=True), f"Warning: {told}; with another --manifest-dir both are kept.")


def _write(plan: ChunkPlan, n_workers: int) -> None:
    n_failed = 0
    for outcome in cut_dataset(plan, n_workers):
        if outcome.error is not None:
            n_failed += 1
            _print_error(outcome.error)
        else:
            say(Console(), told_written(outcome.require()))
    anew = "--include-existing" if plan.cut.include_existing else ""
    _conclude(len(plan.places), n_failed, anew)


def _run(plan: InferPlan, anew: str) -> None:
    console, failed = Console(), 0
    with shown_progress(plan.audio_s, console), told_once():
        for outcome in run_plan(plan):
            if outcome.error is not None:
                _print_error(outcome.error)
            else:
                _print_made(outcome.recording_id, outcome.require(), console)
            failed += outcome.error is not None or outcome.require().is_failure
    _conclude(len(plan.entries), failed, anew)


def _print_made(recording_id: str, made: RunResult, console: Console) -> None:
    told = f"{made.n_succeeded} ok, {len(made.failed)} failed, {made.n_skipped} skipped"
    say(console, f"{recording_id}: {counted(made.n_detections, 'detection')}; chunks: {told}")
    errors = Console(stderr=True)
    for warning in made.warnings:
        say(errors, f"Warning {warning}")
    print_troubled(made, errors)


def _conclude(n_recordings: int, n_failed: int, anew: str) -> None:
    """Says what came of a plan; ends with exit code 1 if anything failed.

    Args:
        n_recordings: of the plan.
        n_failed: of them.
        anew: the option by which everything was done anew, and would be again; empty for none.
    """
    recordings = counted(n_recordings, "recording")
    if n_failed:
        line = f"{n_failed} of {recordings} failed; what is done is kept"
        how = f"Run again without {anew}" if anew else "Run again"
        say(Console(stderr=True), f"{line}. {how} to try just these.")
        raise typer.Exit(1)
    if n_recordings:
        say(Console(), f"{recordings} done.")


def _chunk_cells(entry: Entry, place: ChunkPlace) -> tuple[str, ...]:
    named = ("recording_id", "audio_path", "manifest_path", "chunk_output_dir")
    return (*(entry[name] for name in named), name_status(place.folder) or "none")


def _print_inference(plan: InferPlan) -> None:
    detector, length = plan.settings.detector, format_duration(plan.audio_s)
    words = " ".join([detector.name, *detector.hawkears.arguments])
    _print_table(
        f"{counted(len(plan.entries), 'recording')}, {length} of sound, with {words}",
        ("Recording", "Manifest", "Output", "Telemetry", "Chunks left", "Chunk files"),
        (_infer_cells(one) for one in plan.rows()),
    )


def _infer_cells(row: Entry) -> tuple[str, ...]:
    named = ("recording_id", "manifest_path", "recording_output_dir", "telemetry_log")
    left = "cannot be run" if row["error"] else f"{row['n_left']} of {row['n_chunks']}"
    return (*(row[name] for name in named), left, row["chunk_status"] or "none")


def _print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    wide_console().print(table)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        say(Console(), line)


def _print_error(error: BadcError) -> None:
    line = f"[bold red]Error[/] {escape(str(error))}"
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def _notes(use: PlanUse) -> Console:
    """Returns where remarks go: not between commands that a shell is to read."""
    return Console(stderr=use.print_datalad_run)
