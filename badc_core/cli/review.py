"""The group `badc review`: checking detections by ear, and what that says of the detector."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.review_options import QueueOptions
from badc_core.cli.tables import make_table
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.provenance.commits import Commits
from badc_core.reviews.apply import apply_results
from badc_core.reviews.commits import commit_queue, commit_results, commit_verdicts
from badc_core.reviews.cuts import Cuts
from badc_core.reviews.misspelt import find_misspelt
from badc_core.reviews.precision import Proportion
from badc_core.reviews.queue import Queue, add_sounds, draw_queue, next_name, read_queue
from badc_core.reviews.results import (
    DEFAULT_PRECISION,
    LabelResult,
    ReviewResults,
    summarize_reviews,
    write_results,
)
from badc_core.reviews.verdicts import Imported, import_verdicts, list_verdict_files
from badc_core.units import counted

_SHOWN = 3

WantedPrecision = Annotated[
    float,
    typer.Option(
        "--precision", min=0, max=1, help="Which share of the kept detections should be right."
    ),
]

review = make_group("Check detections by ear; choose thresholds by what was right.")


@review.command("queue")
@taking_options
def queue(dataset: DatasetFolder, options: QueueOptions, out: Output) -> None:
    """Draw detections to check, with sounds, pictures and a page to judge them on."""
    opened, order = Dataset.open(dataset), options.order()
    if options.renew:
        drawn = read_queue(opened, options.renew)
    else:
        drawn = draw_queue(opened, options.name or next_name(opened), order)
    try:
        cuts = add_sounds(opened, drawn)
    finally:
        commit_queue(drawn, Commits(opened, out.warn))
    _show_queue(dataset, drawn, cuts, out)


@review.command("import")
@taking_options
def add_verdicts(
    dataset: DatasetFolder,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="What a gallery saved, or a queue.csv.")
    ],
    out: Output,
) -> None:
    """Copy files of verdicts into the dataset."""
    opened = Dataset.open(dataset)
    imported = [import_verdicts(opened, one) for one in files]
    commit_verdicts([one.path for one in imported], Commits(opened, out.warn))
    for one in imported:
        known = "" if one.is_new else ", which was there already"
        out.say(f"{counted(one.n_verdicts, 'verdict')} in {one.path}{known}")
        _warn_of_verdicts(opened, one, out)
    out.say(f"Next: badc review results {shlex.quote(str(dataset))}")
    out.give(imported)


@review.command("results")
@taking_options
def results(
    dataset: DatasetFolder, out: Output, precision: WantedPrecision = DEFAULT_PRECISION
) -> None:
    """Show how many detections are right, and recommend thresholds; nothing is changed by it."""
    opened, found = _summarize(dataset, precision)
    paths = write_results(opened, found)
    commit_results(opened, "results", precision, paths, Commits(opened, out.warn))
    show_results(found, out)
    for path in paths:
        out.say(f"Table: {path}")
    if any(not one.is_complete for one in found.labels):
        out.say("Where a label has a dash, the last two tables say why: mostly too few verdicts.")
    out.give({"wanted": precision, "labels": found.labels, "left_out": found.left_out})


@review.command("apply")
@taking_options
def apply(
    dataset: DatasetFolder,
    out: Output,
    precision: WantedPrecision = DEFAULT_PRECISION,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace tables that somebody changed.")
    ] = False,
) -> None:
    """Write thresholds and probabilities into tables that badc.toml can name; it is not changed."""
    opened, found = _summarize(dataset, precision)
    applied = apply_results(opened, found, overwrites=overwrite)
    commit_results(opened, "apply", precision, applied.files, Commits(opened, out.warn))
    _warn_left_out(found, out)
    for label, score in applied.thresholds.items():
        before = applied.before.get(label)
        was = "" if before in (None, score) else f", was {before:g}"
        out.say(f"{label}: {score:g} and more are kept{was}")
    for label in applied.before.keys() - applied.thresholds.keys():
        out.warn(f"{label} has no threshold any more, was {applied.before[label]:g}")
    out.say(f"{counted(len(applied.calibrated), 'label')} with probabilities")
    out.say("Put these lines under [detector] in badc.toml:", *applied.settings)
    out.say(f"Then: badc run {shlex.quote(str(dataset))}")
    out.give(applied)


def show_results(found: ReviewResults, out: Output) -> None:
    """Prints a row for each label."""
    title = f"{counted(len(found.judged), 'detection')} judged; precision with 95 % intervals"
    columns = (
        *("Label", "Judged", "Right", "Wrong", "Unclear", "Precision"),
        *(f"Score for {found.wanted:g}", "Calibrated"),
    )
    out.show(make_table(title, columns, map(_row, found.labels)))
    partial = [one for one in found.labels if one.n_unjudged]
    if partial:
        n = counted(sum(one.n_unjudged for one in partial), "detection")
        labels = counted(len(partial), "label")
        out.say(f"The precision leaves out {n} of {labels}, with scores of which none was judged.")
    if n_gone := sum(not one.is_kept for one in found.judged):
        n = counted(n_gone, "judged detection")
        out.say(f"The precision leaves out {n} that today's results do not have.")
    _warn_left_out(found, out)


def _warn_of_verdicts(dataset: Dataset, imported: Imported, out: Output) -> None:
    if imported.n_outdated:
        n = counted(imported.n_outdated, "verdict")
        out.warn(f"{n} do not count: the same person gave another one later (reviewed_at)")
    misspelt = find_misspelt(dataset.settings.detector, imported.corrected_labels)
    for name, near in misspelt.items():
        meant = ", ".join(near)
        out.warn(f"corrected_label {name!r} is none of the detector's labels; perhaps: {meant}")


def _warn_left_out(found: ReviewResults, out: Output) -> None:
    for why, n in found.left_out.items():
        out.warn(f"{counted(n, 'verdict')} left out: {why}")


def _summarize(folder: Path, precision: float) -> tuple[Dataset, ReviewResults]:
    dataset = Dataset.open(folder)
    if not list_verdict_files(dataset):
        remedy = f"Begin with: badc review queue {shlex.quote(str(folder))}"
        raise DatasetInvalid("there are no verdicts yet", dataset.reviews.verdict_files, remedy)
    return dataset, summarize_reviews(dataset, precision)


def _row(one: LabelResult) -> tuple[Any, ...]:
    threshold = one.recommendation.threshold
    score = "-" if threshold is None else f"{threshold:g}"
    unclear = one.uncertain + one.disputed
    return (
        *(one.label, one.judged, one.correct, one.incorrect, unclear, _share(one.precision)),
        *(score, "yes" if one.calibration.is_usable else "-"),
    )


def _share(precision: Proportion | None) -> str:
    if precision is None:
        return "-"
    return f"{precision.value:.2f} ({precision.low:.2f}-{precision.high:.2f})"


def _show_queue(dataset: Path, drawn: Queue, cuts: Cuts, out: Output) -> None:
    labels = counted(len(drawn.population), "label")
    out.say(f"{counted(len(cuts.made), 'detection')} of {labels} in {drawn.paths.folder}")
    if cuts.left_out:
        first = list(cuts.left_out.items())[:_SHOWN]
        why = "; ".join(f"{recording_id}: {reason}" for recording_id, reason in first)
        out.warn(f"nothing could be cut out of {counted(len(cuts.left_out), 'recording')}: {why}")
    out.say(f"Open in a browser: {drawn.paths.page}")
    out.say(f"Then: badc review import {shlex.quote(str(dataset))} SAVED_FILE")
    out.give(
        {
            "name": drawn.name,
            "folder": drawn.paths.folder,
            "page": drawn.paths.page,
            "drawn": len(drawn.rows),
            "with_sound": len(cuts.made),
            "population": drawn.population,
            "left_out": cuts.left_out,
        }
    )
