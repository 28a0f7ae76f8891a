"""`badc chunk orchestrate`: plans a dataset's chunk files, and writes them."""

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from badc_core.chunks.array_script import render_chunk_array
from badc_core.chunks.orchestrate import (
    PLAN_COLUMNS,
    ChunkPlan,
    DatasetCut,
    cut_dataset,
    plan_dataset,
)
from badc_core.chunks.place import ChunkPlace
from badc_core.chunks.status import name_status
from badc_core.cli.array_options import ArrayOptions
from badc_core.cli.disabled_datalad import read_disabled_datalad
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, print_error
from badc_core.cli.plan_use import PlanUse, conclude
from badc_core.cli.tables import make_table
from badc_core.cli.wording import describe_written
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.plan_files import Entry
from badc_core.provenance.commits import Commits, size_commits
from badc_core.provenance.datalad import require_datalad_dataset
from badc_core.stages.step_records import commit_dataset_files, commit_leftovers
from badc_core.units import counted

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
    array: ArrayOptions,
    out: Output,
    workers: Annotated[int, typer.Option(min=1, help="Recordings written at once.")] = 1,
    record_datalad: RecordDatalad = None,
) -> None:
    """Plan the chunk files of a dataset's recordings; with --apply write them."""
    use.require_one_use()
    array.require_fitting(use)
    if array.sockeye_script is not None and record_datalad:
        raise OptionInvalid("excludes --record-datalad", "--sockeye-script")
    plan = plan_dataset(cut, register=use.apply or array.sockeye_script is not None)
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
    use.save(PLAN_COLUMNS, plan.entries(), out)
    render = partial(render_chunk_array, plan, array.job())
    array.write(len(plan.places), render, out, plan.dataset)
    if not use.apply and not use.print_datalad_run:
        out.give(plan.entries())
    if use.print_datalad_run:
        require_datalad_dataset(plan.dataset.root)
        out.print_commands(plan.commands())
    elif use.apply:
        _write(plan, workers, out)


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
    commit_leftovers(plan.dataset, commits)
    waiting: list[str] = []

    def commit(at_least: int) -> None:
        if commits.are_made and len(waiting) >= at_least:
            record = plan.record(waiting)
            commits.commit([plan.dataset.root / one for one in record.outputs], record)
            waiting.clear()

    try:
        for outcome in cut_dataset(plan, n_workers):
            if outcome.error is not None:
                n_failed += 1
                print_error(outcome.error)
            else:
                written.append(outcome.require())
                out.say(describe_written(written[-1]))
                waiting.append(outcome.recording_id)
                commit(size_commits(len(plan.places)))
    finally:
        commit(1)
    out.give(written)
    anew = "--include-existing" if plan.cut.include_existing else ""
    conclude(len(plan.places), n_failed, anew, out)


def _chunk_cells(entry: Entry, place: ChunkPlace) -> tuple[str, ...]:
    keys = ("recording_id", "audio_path", "manifest_path", "chunk_output_dir")
    return (*(entry[key] for key in keys), name_status(place.folder) or "none")
