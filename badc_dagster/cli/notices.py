"""What several commands print: which home they use, which recordings failed."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from badc_core.cli.output import Output
from badc_core.cli.wording import counted
from badc_core.recordings.failures import StandingFailure
from badc_core.recordings.registry import ScanOutcome
from badc_core.recordings.scan import Listing
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


def report_failures(failures: Iterable[StandingFailure], out: Output) -> None:
    """Prints what failed and why, a line each."""
    for failure in failures:
        out.fail(f"failed  {failure.recording_id}  {failure.error}")


def show_unused(out: Output, listing: Listing, scanned: ScanOutcome, root: Path) -> None:
    """Prints which files are no recordings, and how many recordings have lost their file.

    Args:
        out: where to.
        listing: of the dataset's recordings folders.
        scanned: what the scan found.
        root: of the dataset.
    """
    if passed_over := listing.explain_passed_over():
        out.remark(passed_over)
    if scanned.missing:
        forget = f"badc scan --prune {shlex.quote(str(root))}"
        lost = counted(len(scanned.missing), "recording")
        out.warn(
            f"{lost} missing, such as {scanned.missing[0]}; what they gave stays in the reports. "
            f"Put the files back, or forget them: {forget}"
        )
    if not scanned.total:
        out.fail(f"No recordings in {root}: nothing to analyse.")
