"""What several commands print: which home they use, which recordings failed."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from badc_core.cli.output import Output
from badc_core.datasets.dataset import Dataset
from badc_core.provenance.repository_state import RepositoryState
from badc_core.recordings.explain import doubt_stations, read_paths
from badc_core.recordings.failures import StandingFailure
from badc_core.recordings.registry import ScanOutcome
from badc_core.recordings.scan import Listing
from badc_core.units import counted
from badc_dagster.home import explain_other_home, home_path, is_checkout_home


def warn_of_other_home(out: Output) -> None:
    """Warns where `dagster`, started here, would use another Dagster home."""
    if warning := explain_other_home():
        out.warn(warning)


def show_way_to_the_web_interface(out: Output) -> None:
    """Prints how to see the asset graph in a browser."""
    if is_checkout_home():
        out.say("Web interface: make dev")
    else:
        home = shlex.quote(str(home_path()))
        out.say(f"Web interface: DAGSTER_HOME={home} dagster dev -m badc_dagster")


def warn_of_unverified(out: Output, root: Path, state: RepositoryState | None) -> None:
    """Warns of special remotes that git-annex does not use yet."""
    for name in state.unverified if state else ():
        run = f"git -C {shlex.quote(str(root))} annex verifyremote {shlex.quote(name)}"
        out.warn(f"git-annex uses {name} only when you have said that it is safe. Run: {run}")


def report_failures(failures: Iterable[StandingFailure], out: Output, since: str = "") -> None:
    """Prints what failed and why, a line each.

    Args:
        failures: of recordings.
        out: where to.
        since: what failed before that moment is called so; in UTC, ISO 8601.
    """
    for failure in failures:
        when = "failed" if failure.failed_at >= since else "failed before"
        out.fail(f"{when}  {failure.recording_id}  {failure.error}")


def show_unused(out: Output, listing: Listing, scanned: ScanOutcome, root: Path) -> None:
    """Prints which files are no recordings, and which recordings were renamed or lost their file.

    Args:
        out: where to.
        listing: of the dataset's recordings folders.
        scanned: what the scan found.
        root: of the dataset.
    """
    if passed_over := listing.explain_passed_over():
        out.remark(passed_over)
    if scanned.renamed:
        one, before = next(iter(scanned.renamed.items()))
        renamed = counted(len(scanned.renamed), "recording")
        now = scanned.registry.require(one).path
        out.say(f"{renamed} renamed, such as {before} -> {now}; what was found in them is kept")
    warn_of_missing(out, scanned.missing, scanned.total, root)
    if not scanned.total:
        out.fail(f"No recordings in {root}: nothing to analyse.")


def warn_of_new_doubts(out: Output, dataset: Dataset, scanned: ScanOutcome) -> None:
    """Warns of doubtful stations, as `badc scan` does, after a scan that found something new.

    Reading the paths of a large archive takes seconds, to say what was said before.
    """
    if scanned.added or scanned.renamed:
        readings = read_paths(dataset, scanned.paths_here)
        for doubt in doubt_stations(dataset, readings):
            out.warn(doubt)


def warn_of_missing(out: Output, missing: Sequence[str], total: int, root: Path) -> None:
    """Warns of recordings that have lost their file, if there are any.

    Args:
        out: where to.
        missing: recording_ids.
        total: recordings of the dataset.
        root: of the dataset.
    """
    if not missing:
        return
    if len(missing) == total:
        out.warn(
            f"{counted(total, 'recording')} missing, which is all of them: is the disk with the "
            "audio files there? Nothing was forgotten; what they gave stays in the reports."
        )
        return
    forget = f"badc scan --prune {shlex.quote(str(root))}"
    out.warn(
        f"{counted(len(missing), 'recording')} missing, such as {missing[0]}; what they gave stays "
        f"in the reports. Put the files back, or forget them: {forget}"
    )
