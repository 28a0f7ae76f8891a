"""Going on with a job by its files: what it wrote is compared, and only what is due is run.

What is compared is in `badc_core/integrity/job_outputs.py`.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from badc_core.datasets.connections import find_connection
from badc_core.errors import ConfigInvalid, DatasetInvalid
from badc_core.file_names import explain_no_folder
from badc_core.integrity.findings import Finding
from badc_core.integrity.job_outputs import check_job_outputs
from badc_core.jobs import load_manifest
from badc_core.jobs.finding import require_writable
from badc_core.jobs.job_states import RUNS_RECORD
from badc_core.jobs.run_job import RunJob
from badc_core.secret_values import MASK
from badc_core.settings import Settings
from badc_core.settings_section import Section
from badc_dagster.batches import Watch
from badc_dagster.home import home_path
from badc_dagster.job_rest import JobRest
from badc_dagster.run_jobs import mark_open, resuming
from badc_dagster.run_outcomes import RunOutcome
from badc_dagster.runs import Project
from badc_dagster.taking_over import Show


@dataclass
class Resumed:
    """What resuming a job came to.

    Attributes:
        job_id, status, attempt: of the job, now.
        kept: stage -> recordings with which nothing had to be done, or which are gone.
        done_again: stage that ran -> recordings that went through it, none for the corpus.
        left: stage -> recordings that failed, or were not reached.
        damaged: files that were not as they were written.
        outcomes: dataset -> what bringing it up to date came to.
    """

    job_id: str
    status: str = ""
    attempt: int = 1
    kept: dict[str, int] = field(default_factory=dict)
    done_again: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    damaged: list[Finding] = field(default_factory=list)
    outcomes: dict[str, RunOutcome] = field(default_factory=dict)


def open_job(folder: Path) -> RunJob:
    """Returns a job that can be resumed here, by whoever runs this.

    Raises:
        ConfigInvalid: it cannot be.
        OutputUnwritable: it is somebody else's.
        DatasetInvalid: its dataset is no longer where it was.
    """
    job_id = folder.name
    if not (folder / RUNS_RECORD).exists():
        what = "this job's stages are not Dagster runs"
        raise ConfigInvalid(what, job_id, "Run its stages again as they were run")
    require_writable(folder)
    job = RunJob(folder)
    about = job.read()
    home = str(about.get("home", ""))
    if home != str(home_path()):
        remedy = f"Run: DAGSTER_HOME={shlex.quote(home)} badc job resume {job_id}"
        raise ConfigInvalid(f"this job's runs are in another Dagster home, {home}", job_id, remedy)
    if not about.get("datasets"):
        raise ConfigInvalid("this job ended before its first stage", job_id, "Run: badc run")
    for name, dataset in about["datasets"].items():
        root = Path(dataset["root"])
        connection = find_connection(home_path(), root)
        if not root.is_dir() or connection is None or connection.name != name:
            why = explain_no_folder(root) if not root.is_dir() else "no longer in the asset graph"
            remedy = "Move it back there; or, where it is now, run: badc run DATASET"
            raise DatasetInvalid(f"the dataset of job {job_id} has gone ({why})", root, remedy)
    return job


def resume_job(job: RunJob, watch: Watch, show: Show, warn: Show) -> Resumed:
    """Does what of a job is missing or damaged, with the settings that the job had.

    Args:
        job: from `open_job`.
        watch: returns what shows the progress of a stage.
        show: shows a sentence.
        warn: shows a warning.

    Raises:
        RecordingBusy: the job is at work, or somebody resumes it.
        JobBusy: it was archived.
        ConfigInvalid, DatasetInvalid, DetectorMissing: nothing can be run under its settings.
    """
    with resuming(job):
        return _resume(job, watch, show, warn)


def _resume(job: RunJob, watch: Watch, show: Show, warn: Show) -> Resumed:
    resumed = Resumed(job.job_id)
    is_begun = False
    for name, root, settings in _datasets(job):
        with Project.open(root, overrides=settings) as project:
            project.close_lost(warn)
            scoped = project.scoped
            check = check_job_outputs(job.folder, project.dataset, scoped)
            resumed.damaged += check.damaged
            for one in check.damaged:
                warn(f"{one.path}: {one.what}.")
            if not is_begun:
                mark_open(job.folder)
                job.begin_again()
                is_begun = True
            rest = JobRest(job, project.place, check)
            resumed.outcomes[name] = project.bring_up_to_date(0, watch, show, warn, rest)
            for stage, n_settled in rest.current().items():
                resumed.kept[scoped(stage)] = n_settled
                resumed.left[scoped(stage)] = len(rest.recordings) - n_settled
    manifest = load_manifest(job.folder) or {}
    resumed.status, resumed.attempt = manifest["pipeline"]["status"], job.attempt
    for stage, record in manifest["stages"].items():
        if record.get("parts", {}).get("attempt") == job.attempt:
            resumed.done_again[stage] = int(record["metadata"].get("recordings_done", 0))
            if stage in resumed.kept:
                resumed.kept[stage] = max(0, resumed.kept[stage] - resumed.done_again[stage])
    return resumed


def _datasets(job: RunJob) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for name, dataset in job.read()["datasets"].items():
        yield name, Path(dataset["root"]), as_overrides(job.read_settings(name), Settings)


def as_overrides(stored: Mapping[str, Any], section: type[Section]) -> dict[str, Any]:
    """Returns stored settings as overrides: what was not set then is not set now either.

    Values that had a secret in them, which was not stored, are left to the `badc.toml` of now.
    """
    overrides: dict[str, Any] = {}
    for key, setting in section.model_fields.items():
        kind, value = setting.annotation, stored.get(key)
        if isinstance(kind, type) and issubclass(kind, Section):
            overrides[key] = as_overrides(value or {}, kind)
        elif value is not None and MASK not in str(value):
            overrides[key] = value
        elif value is None and setting.default is None:
            overrides[key] = None
    return overrides
