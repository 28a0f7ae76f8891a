"""`badc chunk orchestrate` and `badc infer orchestrate`: plans for a dataset, and doing them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.table import Table

from badc_core.chunks import orchestrate as chunk_plans
from badc_core.chunks.orchestrate import ChunkPlan, DatasetCut, cut_dataset, plan_dataset
from badc_core.chunks.place import ChunkPlace
from badc_core.chunks.source import absolute
from badc_core.chunks.status import name_status
from badc_core.cli.disabled_datalad import read_disabled_datalad
from badc_core.cli.options import taking_options, to_argv
from badc_core.cli.output import Output, print_error
from badc_core.cli.progress import shown_detecting
from badc_core.cli.report_tables import roll_up
from badc_core.cli.run_options import InferOptions
from badc_core.cli.run_output import (
    describe_counts,
    describe_result,
    report_failed_chunks,
    warn_of_stub,
)
from badc_core.cli.setting_options import OptionInvalid
from badc_core.cli.tables import make_table
from badc_core.cli.wording import counted, describe_written
from badc_core.datasets.dataset import Dataset
from badc_core.inference import orchestrate as infer_plans
from badc_core.inference.orchestrate import (
    DatasetRun,
    InferEntry,
    InferPlan,
    plan_inference,
    run_plan,
)
from badc_core.inference.run_records import FinishedRun, RunCommits
from badc_core.inference.run_spec import RunResult
from badc_core.options import OptionSpec
from badc_core.plan_files import Entry, write_plan_csv, write_plan_json
from badc_core.provenance.commits import Commits, size_commits
from badc_core.provenance.datalad import require_datalad_dataset
from badc_core.reports.after_inference import ROLLUP_FOLDER, HandBundles
from badc_core.settings import SETTINGS_FILE
from badc_core.stages.step_records import commit_dataset_files
from badc_core.units import format_duration


@dataclass(frozen=True)
class PlanUse:
    """What to do with a plan."""

    apply: Annotated[bool, OptionSpec("Do it; else the plan is only shown.")] = False
    plan_csv: Annotated[Path | None, OptionSpec("Save the plan as CSV.")] = None
    plan_json: Annotated[Path | None, OptionSpec("Save the plan as JSON.")] = None
    print_datalad_run: Annotated[
        bool, OptionSpec("Print a datalad run command for each recording, and nothing else.")
    ] = False

    def require_one_use(self) -> None:
        """Raises OptionInvalid where commands are to be printed and run at once."""
        if self.apply and self.print_datalad_run:
            raise OptionInvalid("excludes --apply", "--print-datalad-run")

    def save(self, columns: Sequence[str], entries: Sequence[Entry], out: Output) -> None:
        """Writes the files that are asked for, and prints where they are."""
        if self.plan_csv is not None:
            write_plan_csv(self.plan_csv, columns, entries)
        if self.plan_json is not None:
            write_plan_json(self.plan_json, entries)
        for path in filter(None, (self.plan_csv, self.plan_json)):
            self.note(f"Plan: {path}", out)

    def note(self, line: str, out: Output) -> None:
        """Prints a remark; not between commands that a shell is to read."""
        if self.print_datalad_run:
            out.remark(line)
        else:
            out.say(line)


@dataclass(frozen=True)
class DatasetRunOptions(InferOptions):
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
    limit: Annotated[int, OptionSpec("At most this many recordings; 0: all.", least=0)] = 0

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


RecordDatalad = Annotated[
    bool | None,
    typer.Option(
        "--record-datalad/--no-record-datalad",
        help="Commit results with records, or fail where that is impossible; or never.",
        show_default="where git-annex keeps the dataset",
    ),
]


def _with_record(dataset: Dataset, record: bool | None) -> Dataset:
    """Returns a dataset with the setting that an option, or else the environment, says."""
    given = {} if record is None else {"record": "require" if record else "off"}
    over = {**read_disabled_datalad().get("datalad", {}), **given}
    datalad = dataset.settings.datalad.model_copy(update=over)
    settings = dataset.settings.model_copy(update={"datalad": datalad})
    return replace(dataset, settings=settings)


@taking_options
def orchestrate_chunks(
    cut: DatasetCut,
    use: PlanUse,
    out: Output,
    workers: Annotated[int, typer.Option(min=1, help="Recordings written at once.")] = 1,
    record_datalad: RecordDatalad = None,
) -> None:
    """Plan the chunk files of a dataset's recordings; with --apply write them."""
    use.require_one_use()
    plan = plan_dataset(cut, register=use.apply)
    plan = replace(plan, dataset=_with_record(plan.dataset, record_datalad))
    if plan.places and not use.print_datalad_run:
        columns = ("Recording", "Audio", "Manifest", "Chunks dir", "Status")
        rows = [_chunk_cells(*one) for one in zip(plan.entries(), plan.places, strict=True)]
        out.show(make_table(f"Chunks of {counted(len(rows), 'recording')}", columns, rows))
    if plan.n_finished:
        use.note(f"{counted(plan.n_finished, 'recording')} left out: the chunks are there.", out)
    if plan.n_unmatched:
        others = counted(plan.n_unmatched, "other audio file")
        use.note(f"{others} not matched by --pattern {cut.pattern}.", out)
    _warn_of_ranges(plan, use.apply, out)
    if not plan.places:
        use.note("Nothing to do.", out)
    use.save(chunk_plans.PLAN_COLUMNS, plan.entries(), out)
    if not use.apply and not use.print_datalad_run:
        out.give(plan.entries())
    if use.print_datalad_run:
        require_datalad_dataset(plan.dataset.root)
        out.print_commands(plan.commands())
    elif use.apply:
        _write(plan, workers, out)


@dataclass(frozen=True)
class BundleUse:
    """Whether tables and bundles are written after inference, and where."""

    bundle: Annotated[
        bool, OptionSpec("With --apply: a table and a bundle of each recording afterwards.")
    ] = False
    bundle_aggregate_dir: Annotated[Path, OptionSpec("Holds them; relative to the dataset.")] = (
        Path("artifacts/aggregate")
    )
    bundle_bucket_minutes: Annotated[
        int, OptionSpec("Width of a timeline bucket.", least=1, most=1440)
    ] = 60
    bundle_rollup: Annotated[
        bool, OptionSpec("Then sum up all tables of that folder; implies --bundle.")
    ] = False
    bundle_rollup_limit: Annotated[int, OptionSpec("Rows shown of the rollup.", least=1)] = 20
    bundle_rollup_export_dir: Annotated[
        Path | None,
        OptionSpec("Where the rollup goes.", "aggregate_summary/ in --bundle-aggregate-dir"),
    ] = None

    def require_apply(self, use: PlanUse) -> None:
        """Raises OptionInvalid where bundles are wanted of a plan that is not carried out."""
        if (self.bundle or self.bundle_rollup) and not use.apply:
            raise OptionInvalid("needs --apply", "--bundle" if self.bundle else "--bundle-rollup")

    def write(self, root: Path, entries: list[InferEntry], out: Output) -> int:
        """Writes what is wanted, and returns of how many recordings it failed."""
        if not (self.bundle or self.bundle_rollup):
            return 0
        folder = absolute(root / self.bundle_aggregate_dir)
        bundles = HandBundles(root, folder, self.bundle_bucket_minutes)
        n_failed = 0
        for outcome in bundles.write(entries):
            if outcome.error is not None:
                n_failed += 1
                print_error(outcome.error)
            else:
                out.say(f"{outcome.recording_id}: bundle of {outcome.value}")
        if self.bundle_rollup and folder.is_dir():
            export_dir = self.bundle_rollup_export_dir
            where = folder / ROLLUP_FOLDER if export_dir is None else absolute(root / export_dir)
            roll_up(folder, self.bundle_rollup_limit, where, out)
        return n_failed


@taking_options
def orchestrate_inference(
    options: DatasetRunOptions, use: PlanUse, bundles: BundleUse, out: Output
) -> None:
    """Plan detecting over a dataset's chunk manifests; with --apply run it."""
    use.require_one_use()
    bundles.require_apply(use)
    options = options.anchored()
    plan = plan_inference(options.request())
    warn_of_stub(plan.settings.detector, out)
    if plan.entries and not use.print_datalad_run:
        out.show(_plan_table(plan))
    if plan.finished:
        left_out = f"{counted(len(plan.finished), 'recording')} left out"
        use.note(f"{left_out}: all chunks have a result.", out)
    if plan.n_unplanned:
        others = f"{counted(plan.n_unplanned, 'manifest')} in {options.manifest_dir}"
        use.note(f"{others} left out: not in this plan.", out)
    if not plan.entries:
        use.note("Nothing to do.", out)
    use.save(infer_plans.PLAN_COLUMNS, list(plan.rows()), out)
    if use.apply:
        _run(plan, "--no-resume-completed" if not options.resume_completed else "", bundles, out)
        return
    for one in plan.entries:
        if one.error is not None:
            print_error(one.error)
    if use.print_datalad_run:
        require_datalad_dataset(plan.root)
        unrecorded = replace(options, record_datalad=False)  # DataLad itself does
        out.print_commands(plan.commands(to_argv(unrecorded, InferOptions)))
    else:
        out.give(list(plan.rows()))


def _warn_of_ranges(plan: ChunkPlan, is_applied: bool, out: Output) -> None:
    """Says how many manifests of another way of working carrying out the plan replaces."""
    if n_replaced := plan.count_replaced():
        manifests, where = counted(n_replaced, "manifest"), plan.cut.manifest_dir
        when = "replaced" if is_applied else "to be replaced"
        replaced = f"{manifests} of ranges in {where}, such as badc run makes, {when}"
        out.warn(f"{replaced}; with another --manifest-dir both are kept.")


def _write(plan: ChunkPlan, n_workers: int, out: Output) -> None:
    written, n_failed = [], 0
    commits = Commits(plan.dataset, out.warn)
    commit_dataset_files(plan.dataset, commits)
    waiting: list[str] = []

    def commit(at_least: int) -> None:
        if commits.are_made and len(waiting) >= at_least:
            record = plan.record(waiting)
            commits.commit([plan.dataset.root / one for one in record.outputs], record)
            waiting.clear()

    for outcome in cut_dataset(plan, n_workers):
        if outcome.error is not None:
            n_failed += 1
            print_error(outcome.error)
        else:
            written.append(outcome.require())
            out.say(describe_written(written[-1]))
            waiting.append(outcome.recording_id)
            commit(size_commits(len(plan.places)))
    commit(1)
    out.give(written)
    anew = "--include-existing" if plan.cut.include_existing else ""
    _conclude(len(plan.places), n_failed, anew, out)


def _run(plan: InferPlan, anew: str, bundles: BundleUse, out: Output) -> None:
    results, failed = {}, set()
    dataset = Dataset(plan.root, plan.settings)
    entries = {one.recording_id: one for one in plan.entries}
    commits = RunCommits(dataset, False, len(entries), out.warn)
    with shown_detecting(plan.audio_s, out):
        for outcome in run_plan(plan):
            if outcome.error is not None:
                print_error(outcome.error)
            else:
                result = outcome.require()
                _show_result(outcome.recording_id, result, out)
                results[outcome.recording_id] = describe_result(result)
                entry = entries[outcome.recording_id]
                commits.add(FinishedRun(entry.order, (entry.recording_id,), entry.sources))
            if outcome.error is not None or outcome.require().is_failure:
                failed.add(outcome.recording_id)
    commits.commit()
    with_result = [one for one in plan.entries if one.recording_id in results]
    n_unbundled = bundles.write(plan.root, [*plan.finished, *with_result], out)
    out.give(results)
    _conclude(len(plan.entries), len(failed), anew, out)
    if n_unbundled:
        out.fail(f"{counted(n_unbundled, 'recording')} without a bundle.")
        raise typer.Exit(1)


def _show_result(recording_id: str, result: RunResult, out: Output) -> None:
    out.say(f"{recording_id}: {describe_counts(result)}")
    for warning in result.warnings:
        out.warn(warning)
    report_failed_chunks(result, out)


def _conclude(n_recordings: int, n_failed: int, anew: str, out: Output) -> None:
    """Prints how a plan ended; ends with exit code 1 if anything failed.

    Args:
        n_recordings: of the plan.
        n_failed: of them.
        anew: the option by which everything was done anew, and would be again; empty for none.
        out: where to.
    """
    recordings = counted(n_recordings, "recording")
    if n_failed:
        line = f"{n_failed} of {recordings} failed; what is done is kept"
        how = f"Run again without {anew}" if anew else "Run again"
        out.fail(f"{line}. {how} to try just these.")
        raise typer.Exit(1)
    if n_recordings:
        out.say(f"{recordings} done.")


def _chunk_cells(entry: Entry, place: ChunkPlace) -> tuple[str, ...]:
    keys = ("recording_id", "audio_path", "manifest_path", "chunk_output_dir")
    return (*(entry[key] for key in keys), name_status(place.folder) or "none")


def _plan_table(plan: InferPlan) -> Table:
    detector, length = plan.settings.detector, format_duration(plan.audio_s)
    words = " ".join([detector.name, *detector.hawkears.arguments])
    return make_table(
        f"{counted(len(plan.entries), 'recording')}, {length} of sound, with {words}",
        ("Recording", "Manifest", "Output", "Telemetry", "Chunks left", "Chunk files"),
        [_infer_cells(one) for one in plan.rows()],
    )


def _infer_cells(row: Entry) -> tuple[str, ...]:
    keys = ("recording_id", "manifest_path", "recording_output_dir", "telemetry_log")
    left = "cannot be run" if row["error"] else f"{row['n_left']} of {row['n_chunks']}"
    return (*(row[key] for key in keys), left, row["chunk_status"] or "none")
