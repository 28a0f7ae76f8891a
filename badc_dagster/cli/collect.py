"""`badc slurm collect`: what the tasks of array scripts did, into the asset graph."""

import shlex

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.units import counted
from badc_dagster.cli.notices import warn_of_other_home

_SHOWN = 10
"""Failures that are named."""


@taking_options
def collect(dataset: DatasetFolder, out: Output) -> None:
    """Show in the web interface what array scripts, badc chunk and badc infer have done.

    They only leave notes. badc scan, badc run and the sensor collect these too.
    """
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    with Project.open(dataset) as project:
        outcome = project.collect(out.warn)
    out.say(outcome.describe() if outcome.n_events else "Nothing new to collect.")
    failures = [one for some in outcome.failures.values() for one in some.items()]
    for recording_id, why in sorted(failures)[:_SHOWN]:
        out.warn(f"{recording_id} failed: {why}")
    if failures:
        out.say(f"{counted(len(dict(failures)), 'recording')} failed.")
        if outcome.jobs:
            logs = f"badc slurm logs {shlex.quote(str(dataset))} RECORDING"
            out.say(f"What a task printed: {logs}")
        out.say("To try again, write a new script, or repeat the command.")
    out.give(outcome)
