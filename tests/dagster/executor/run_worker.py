"""The process of one run of a job of `steps.py`, as Dagster's own run workers are.

Its one argument is JSON: the job, its run configuration, a name to find the run by, and the steps
to run or the id of the run whose failure is to be made good.
"""

import json
import sys
from pathlib import Path

import dagster as dg

STEPS = Path(__file__).with_name("steps.py")


def main() -> None:
    """Runs it to its end."""
    task = json.loads(sys.argv[1])
    job = dg.build_reconstructable_job(
        "run_worker",
        "find_job",
        reconstructor_working_directory=str(STEPS.parent),
        reconstructable_args=(task["job"],),
    )
    after = task.get("after")
    with dg.DagsterInstance.get() as instance:
        dg.execute_job(
            job,
            instance,
            run_config=task["config"],
            tags={"name": task["name"]},
            op_selection=task.get("select") or None,
            reexecution_options=dg.ReexecutionOptions.from_failure(after, instance)
            if after
            else None,
        )


def find_job(name: str) -> dg.JobDefinition:
    """Returns a job, wherever this is imported."""
    from steps import defs  # noqa: PLC0415  (needs this folder on the path, which Dagster puts there)

    return defs.resolve_job_def(name)


if __name__ == "__main__":
    main()
