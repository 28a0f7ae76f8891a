"""`badc slurm collect`: what the tasks of array scripts did, into the asset graph."""

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_dagster.cli.notices import warn_of_other_home


@taking_options
def collect(dataset: DatasetFolder, out: Output) -> None:
    """Show in Dagster what array scripts, and badc chunk and badc infer by hand, have done.

    badc scan, badc run and the sensor do so too.
    """
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    with Project.open(dataset) as project:
        outcome = project.collect(out.warn)
    out.say(outcome.describe() if outcome.n_events else "Nothing new was done by hand.")
    out.give(outcome)
