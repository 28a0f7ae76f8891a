"""`badc run`: everything that is due, from new files to the corpus report."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import RecordingsFolder, make_dataset
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.progress import ShownProgress
from badc_core.cli.report import show_report
from badc_core.cli.run_output import warn_of_species_list, warn_of_stub
from badc_core.cli.setting_options import SettingOptions
from badc_core.datasets.dataset import Dataset
from badc_core.inference.recording_run import STAGE as DETECTING
from badc_core.notices import send_notice, write_notice
from badc_core.recordings.registry import Registry
from badc_core.settings import SETTINGS_FILE
from badc_core.species_names import SpeciesNames
from badc_core.units import counted
from badc_dagster.cli.notices import (
    report_failures,
    show_unused,
    show_way_to_the_web_interface,
    warn_of_new_doubts,
    warn_of_other_home,
)
from badc_dagster.cycle_search import search_for_cycles_less_often
from badc_dagster.run_outcomes import RunOutcome

_ON_CLUSTER = f'slurm.stages=["{DETECTING}"]'
"""The setting that `--slurm` stands for."""


def _nothing(_dataset: Dataset, _registry: Registry) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class RunUse:
    """How a run is used.

    Attributes:
        limit: at most this many recordings; 0 for all.
        name: what to call the dataset in the UI; None for its folder's name.
        n_shown: species shown at the end.
        after_scan: called with the dataset's recordings before they are analysed.
    """

    limit: int = 0
    name: str | None = None
    n_shown: int = 20
    after_scan: Callable[[Dataset, Registry], None] = _nothing


@taking_options
def run(
    dataset: RecordingsFolder,
    options: SettingOptions,
    out: Output,
    limit: Annotated[int, typer.Option(min=0, help="At most this many recordings; 0: all.")] = 0,
    name: Annotated[str | None, typer.Option(help="What to call the dataset in the UI.")] = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Detect on the Slurm cluster that jobs go to from here.")
    ] = False,
) -> None:
    """Analyse new and changed recordings and write all reports."""
    root = make_dataset(dataset, options)
    if slurm and not options.settings(root / SETTINGS_FILE).slurm.stages:
        options = replace(options, assignments=(*options.assignments, _ON_CLUSTER))
    bring_up_to_date(root, options, RunUse(limit, name), out)


def bring_up_to_date(dataset: Path, options: SettingOptions, use: RunUse, out: Output) -> None:
    """Does everything that is due, and prints what came of it.

    Args:
        dataset: its folder.
        options: settings of this run.
        use: how much, and what is shown.
        out: where to.

    Raises:
        PackageMissing: names of species in the language of the reports are not installed.
        typer.Exit: something failed, or nothing could be done.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    options = options.anchored()
    settings = options.settings(dataset / SETTINGS_FILE)  # which refuses an option by its name
    warn_of_stub(settings.detector, out)
    warn_of_species_list(settings.detector, out)
    SpeciesNames.read(
        settings.report.language
    )  # what is not installed is said before hours of work
    search_for_cycles_less_often()  # what is imported next is many objects, too
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    # Ctrl-C while a connection is being closed: SQLAlchemy would print a traceback of it.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    with Project.open(dataset, use.name, options.overrides()) as project:
        scanned = project.scan(out.remark, out.warn)
        out.say(f"{counted(scanned.total, 'recording')}, {len(scanned.added)} new")
        show_unused(out, project.listing, scanned, project.dataset.root)
        warn_of_new_doubts(out, project.dataset, scanned)
        if not scanned.total:
            raise typer.Exit(1)
        use.after_scan(project.dataset, scanned.registry)
        with ShownProgress(out) as shown:
            outcome = project.bring_up_to_date(use.limit, shown.stage, out.remark, out.warn)
    has_corpus = os.path.lexists(project.dataset.corpus.duckdb)
    found = show_report(project.dataset, None, use.n_shown, out) if has_corpus else None
    if outcome.has_old_report:
        out.warn("the report is of an earlier run, and lacks what this one did.")
    show_outcome(outcome, out, started)
    if trouble := _notify(project.dataset, outcome, started):
        out.warn(trouble)
    out.say(outcome.summarise(scanned.total))
    if scanned.added:
        show_way_to_the_web_interface(out)
    out.give(
        {
            "recordings": scanned.total,
            "renamed": scanned.renamed,
            "missing": scanned.missing,
            **vars(outcome),
            "found": found,
        }
    )
    if outcome.nothing_done:
        out.fail("Nothing was done. Run again when the other runs have ended: badc status")
    if outcome.failures or outcome.faults or outcome.unattended or outcome.nothing_done:
        raise typer.Exit(1)


def _notify(dataset: Dataset, outcome: RunOutcome, started: str) -> str:
    """Sends a notice of what failed since the start; returns what went wrong with that."""
    failed = {one.recording_id: one.error for one in outcome.failures if one.failed_at >= started}
    faults = (*outcome.faults, *outcome.unattended)
    if not (failed or faults):
        return ""
    text = write_notice(dataset.root, failed, faults)
    return send_notice(dataset.settings.notify.command, dataset.root, text, outcome.job_id or "")


def show_outcome(outcome: RunOutcome, out: Output, started: str = "") -> None:
    """Prints what a run left, and what went wrong; what failed before it started is called so."""
    if outcome.nothing_to_do:
        is_all = not outcome.n_missing
        out.say(f"Nothing to do: every recording {'' if is_all else 'with a file '}is up to date.")
    if outcome.n_busy:
        out.say(f"{counted(outcome.n_busy, 'recording')} left to other runs, which work on them.")
    for one in outcome.unattended:
        out.fail(one)
    for warning in outcome.warnings:
        out.warn(warning)
    for fault in outcome.faults:
        out.fail(fault)
    report_failures(outcome.failures, out, started)
