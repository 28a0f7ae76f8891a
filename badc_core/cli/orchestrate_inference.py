"""`badc infer orchestrate`: plans detecting over a dataset's chunk manifests, and runs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.table import Table

from badc_core.chunks.status import STATUS_FILE
from badc_core.cli.array_options import InferArrayOptions
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, print_error
from badc_core.cli.plan_use import PlanUse, conclude
from badc_core.cli.progress import shown_detecting
from badc_core.cli.report_tables import roll_up
from badc_core.cli.run_options import InferOptions
from badc_core.cli.run_output import (
    describe_counts,
    describe_result,
    report_failed_chunks,
    warn_of_stub,
)
from badc_core.cli.tables import make_table
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.file_names import absolute
from badc_core.inference.array_script import (
    ArrayOutputs,
    count_without_status,
    render_infer_array,
)
from badc_core.inference.datalad_commands import render_plan
from badc_core.inference.orchestrate import (
    PLAN_COLUMNS,
    DatasetRun,
    InferEntry,
    InferPlan,
    plan_inference,
    run_plan,
)
from badc_core.inference.run_records import FinishedRun, RunCommits
from badc_core.inference.run_spec import RunResult
from badc_core.options import OptionSpec, to_argv
from badc_core.outcomes import attempt
from badc_core.plan_files import Entry
from badc_core.provenance.datalad import below, require_datalad_dataset
from badc_core.reports.after_inference import ROLLUP_FOLDER, HandBundles, is_of_an_asset
from badc_core.settings import SETTINGS_FILE
from badc_core.units import counted, format_duration


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

    def write(
        self, root: Path, entries: Sequence[InferEntry], commits: RunCommits, out: Output
    ) -> list[str]:
        """Writes and commits what is wanted; returns what failed of it, as sentences."""
        if not (self.bundle or self.bundle_rollup):
            return []
        folder = absolute(root / self.bundle_aggregate_dir)
        bundles = HandBundles(root, folder, self.bundle_bucket_minutes)
        done = set()
        for outcome in bundles.write(entries):
            if outcome.error is not None:
                print_error(outcome.error)
            else:
                out.say(f"{outcome.recording_id}: bundle of {outcome.value}")
                done.add(outcome.recording_id)
        for record in bundles.records([one for one in entries if one.recording_id in done]):
            commits.commit_made_of_them([root / one for one in record.outputs], record)
        n_failed = len(entries) - len(done)
        failed = [f"{counted(n_failed, 'recording')} without a bundle."] if n_failed else []
        if self.bundle_rollup and folder.is_dir():
            failed += self._roll_up(bundles, commits, out)
        return failed

    def _roll_up(self, bundles: HandBundles, commits: RunCommits, out: Output) -> list[str]:
        given, folder, limit = (
            self.bundle_rollup_export_dir,
            bundles.folder,
            self.bundle_rollup_limit,
        )
        where = folder / ROLLUP_FOLDER if given is None else absolute(bundles.root / given)
        outcome = attempt(ROLLUP_FOLDER, lambda _: roll_up(folder, limit, where, out))
        if outcome.error is not None:
            print_error(outcome.error)
            return ["The tables are not summed up."]
        commits.commit_made_of_them([where], bundles.rollup_record(where))
        return []


@taking_options
def orchestrate_inference(
    options: DatasetRunOptions,
    use: PlanUse,
    bundles: BundleUse,
    array: InferArrayOptions,
    out: Output,
) -> None:
    """Plan detecting over a dataset's chunk manifests; with --apply run it."""
    use.require_one_use()
    bundles.require_apply(use)
    array.require_fitting(use)
    _require_fitting(options, array)
    options = options.anchored(options.dataset)
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
    use.save(PLAN_COLUMNS, list(plan.rows()), out)
    _write_array(plan, options, array, out)
    if use.apply:
        _run(plan, "--no-resume-completed" if not options.resume_completed else "", bundles, out)
        return
    for one in plan.entries:
        if one.error is not None:
            print_error(one.error)
    if use.print_datalad_run:
        require_datalad_dataset(plan.root)
        # DataLad itself records what it runs.
        out.print_commands(render_plan(plan, to_argv(options.unrecorded(), InferOptions)))
    else:
        out.give(list(plan.rows()))


def _require_fitting(options: DatasetRunOptions, array: InferArrayOptions) -> None:
    """Raises OptionInvalid for options of tasks that exclude options of all commands."""
    if array.sockeye_resume_completed and not options.resume_completed:
        raise OptionInvalid("excludes --no-resume-completed", "--sockeye-resume-completed")
    if array.sockeye_log_dir and options.record_datalad:  # telemetry comes after the commit
        raise OptionInvalid("excludes --record-datalad", "--sockeye-log-dir")


def _write_array(
    plan: InferPlan, options: DatasetRunOptions, array: InferArrayOptions, out: Output
) -> None:
    entries = [one for one in plan.entries if one.error is None]
    folder = absolute(plan.root / array.sockeye_bundle_aggregate_dir)
    bundles = HandBundles(plan.root, folder, array.sockeye_bundle_bucket_minutes)
    for table in (bundles.table(one.recording_id) for one in entries):
        if array.sockeye_bundle and is_of_an_asset(table):
            option = "--sockeye-bundle-aggregate-dir"
            raise OptionInvalid(f"must be another folder: badc run wrote {table}", option)
    outputs = ArrayOutputs(
        resume_completed=array.sockeye_resume_completed,
        bundle_folder=below(plan.root, folder) if array.sockeye_bundle else None,
        bucket_minutes=bundles.bucket_minutes,
        log_dir=array.sockeye_log_dir,
    )
    # Tasks on several nodes would wait for each other's commits.
    words = to_argv(replace(options, record_datalad=bool(options.record_datalad)), InferOptions)
    job = array.job(array.sockeye_gres)
    dataset = None if options.record_datalad else Dataset(plan.root, plan.settings)
    array.write(len(entries), lambda: render_infer_array(plan, words, job, outputs), out, dataset)
    if array.sockeye_script is not None and (n_refused := count_without_status(plan)):
        refused = f"tasks refuse {counted(n_refused, 'recording')} with exit code 2"
        out.warn(f"{refused}: no {STATUS_FILE} of chunk files; or give --allow-partial-chunks.")


def _run(plan: InferPlan, anew: str, bundles: BundleUse, out: Output) -> None:
    results, failed = {}, set()
    dataset = Dataset(plan.root, plan.settings)
    entries = {one.recording_id: one for one in plan.entries}
    commits = RunCommits(dataset, False, len(entries), out.warn)
    commits.commit_leftovers()
    with commits, shown_detecting(plan.audio_s, out):
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
    with_result = [one for one in plan.entries if one.recording_id in results]
    unbundled = bundles.write(plan.root, [*plan.finished, *with_result], commits, out)
    out.give(results)
    conclude(len(plan.entries), len(failed), anew, out)
    for line in unbundled:
        out.fail(line)
    if unbundled:
        raise typer.Exit(1)


def _show_result(recording_id: str, result: RunResult, out: Output) -> None:
    out.say(f"{recording_id}: {describe_counts(result)}")
    for warning in result.warnings:
        out.warn(warning)
    report_failed_chunks(result, out)


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
