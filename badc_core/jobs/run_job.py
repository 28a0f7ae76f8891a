"""A job whose stages are runs of an orchestrator: its snapshot, its runs, its attempts, its end.

Beside the manifest the job's folder has

    runs.json        who started the runs, where, with which versions; the datasets; the attempts
    runs.csv         each run, and where the web interface shows it
    run_config.json  what the first run was given
    settings.toml    the settings of the dataset as they were, defaults included

Its folder of logs has one for each attempt, and one for each stage.

What stages record is in `stage_part.py`. No file has a secret in it.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from badc_core.accounts import describe_process, user_name
from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.errors import ConfigInvalid
from badc_core.jobs.job_log import open_log, orchestrator_log
from badc_core.jobs.job_states import RUNS_RECORD, RUNS_TABLE, list_of
from badc_core.jobs.layout import CANCELED, COMPLETED, FAILED, Json
from badc_core.jobs.manifest_files import MANIFEST, load_manifest, read_job, secrets_of, set_aside
from badc_core.jobs.pipeline_manifest import PipelineManifest
from badc_core.jobs.places import JobPlaces, job_user
from badc_core.jobs.recording_tables import (
    append_recordings,
    append_run,
    read_recordings,
    read_run_stages,
)
from badc_core.jobs.stage_part import Part, StagePart, end_lost_parts, runs_lock
from badc_core.jobs.values import SCHEMA_VERSION, now_text, to_json, without_none, write_json
from badc_core.json_texts import parse_object
from badc_core.locks import locked
from badc_core.toml_files import read_toml, render_toml

_CONFIG, _SETTINGS = "run_config.json", "settings.toml"
_MOST_ERRORS = 20
_SETTLING = "nothing was left to do"


class RunJob:
    """A job of runs; every call reads or writes its files, so several processes may have it.

    Attributes:
        folder: the job's.
        attempt: 1, and one more whenever it was resumed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.attempt = int(self.read().get("attempt", 1))

    @classmethod
    def create(
        cls, places: JobPlaces, facts: Mapping[str, Any], mark: Callable[[Path], None]
    ) -> Self:
        """Returns a new job.

        Args:
            places: where jobs are.
            facts: about who starts its runs, and with what.
            mark: is given the folder before anything says that the job is open.

        Raises:
            StorageFull, OutputUnwritable: it cannot be written.
        """
        manager = places.manager()
        # Runs are configured by the dataset's settings, and no file of variables.
        manager.create_job(job_user(), Path(os.devnull))
        manager.cleanup_job_env()
        folder = manager.get_job_output_dir()
        mark(folder)
        secrets = secrets_of(folder)
        about = {
            "schema": SCHEMA_VERSION,
            "job_id": read_job(folder).get("job_id"),
            "attempt": 1,
            "attempts": [_attempt(1)],
            "working_folder": secrets.mask_path(os.getcwd()),  # noqa: PTH109
            **secrets.mask_json(to_json(facts)),
            "datasets": {},
        }
        write_json(folder / RUNS_RECORD, about)
        job = cls(folder)
        job._log(f"began: {facts.get('command') or facts.get('started_by')}")
        return job

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.read().get("job_id", self.folder.name))

    def read(self) -> Json:
        """Returns what `runs.json` says; empty if it cannot be read."""
        with suppress(OSError, ValueError):
            return parse_object((self.folder / RUNS_RECORD).read_bytes())
        return {}

    def add_run(self, run_id: str, job: str, stages: Collection[str], config: Any = None) -> None:
        """Records a run that begins; a job that was over is open again.

        Args:
            run_id: of the run.
            job: what the orchestrator calls what it runs.
            stages: that it runs.
            config: what it was given; kept of the first run.
        """
        self._open_again()
        append_run(self.folder / RUNS_TABLE, run_id, job, stages, self.attempt)
        self._log(f"run {run_id} began: {' '.join(stages) or job}")
        if config and not (self.folder / _CONFIG).exists():
            write_json(self.folder / _CONFIG, secrets_of(self.folder).mask_json(to_json(config)))

    def add_dataset(
        self, name: str, root: Path, settings: Mapping[str, Any], versions: Mapping[str, Any]
    ) -> None:
        """Records a dataset that the job is about, with its settings as they are now."""
        if name in self.read().get("datasets", {}):
            return
        secrets = secrets_of(self.folder)

        def add(about: Json) -> bool:
            if name in about["datasets"]:
                return False
            file = _SETTINGS if not about["datasets"] else f"settings_{name}.toml"
            write_text(
                self.folder / file, render_toml(secrets.mask_settings(without_none(settings)))
            )
            about["datasets"][name] = {"root": str(root), "settings": file}
            about["versions"] = {**about.get("versions", {}), **to_json(versions)}
            return True

        self._change(add)
        with locked(runs_lock(self.folder)):
            if len(self.read()["datasets"]) == 1:
                PipelineManifest(self.folder / MANIFEST).set_input(root, name)

    def read_settings(self, dataset: str) -> Json:
        """Returns the settings of a dataset as they were, without those that were not set.

        Raises:
            ConfigInvalid: they cannot be read.
        """
        file = self.folder / self.read()["datasets"][dataset]["settings"]
        try:
            return read_toml(file)
        except FileNotFoundError as error:
            raise ConfigInvalid("the job's settings are gone", file, "Run the work anew") from error

    def add_recordings(self, dataset: str, recording_ids: Iterable[str]) -> None:
        """Records recordings that the job is about."""
        append_recordings(self.folder, dataset, recording_ids)

    def read_recordings(self, dataset: str) -> set[str]:
        """Returns the recordings of a dataset that the job is about."""
        return read_recordings(self.folder).get(dataset, set())

    def read_stages(self) -> set[str]:
        """Returns the stages that the job's runs were to run, as the orchestrator calls them."""
        return read_run_stages(self.folder / RUNS_TABLE)

    def start(self, part: Part, inputs: Mapping[str, Path]) -> StagePart:
        """Returns a part of a stage that begins."""
        return StagePart(self.folder, part, inputs)

    def skip(self, stage: str, reason: str) -> None:
        """Records that a stage is not run, unless it has a record."""
        if stage not in self._stages():
            manifest = PipelineManifest(self.folder / MANIFEST)
            manifest.set_pipeline_step(stage, enabled=False, reason=reason)

    def fail(self, stage: str, reason: str) -> None:
        """Records that a stage failed before it could say so, unless it has a record."""
        if stage not in self._stages():
            manifest = PipelineManifest(self.folder / MANIFEST)
            manifest.set_pipeline_step(stage, completed=True, status=FAILED, error=reason)

    def settle(self, stage: str, current: Collection[str]) -> None:
        """Ends a stage well of which nothing is left to do: what failed was done elsewhere since.

        Args:
            stage: the stage.
            current: recordings that are as they should be, or gone; others that failed still have.
        """
        record = (load_manifest(self.folder) or {}).get("stages", {}).get(stage, {})
        if record.get("status") == FAILED:
            part = self.start(Part(stage, _SETTLING, self.attempt), {})
            part.forgive(current)
            part.end()

    def begin_again(self) -> int:
        """Begins another attempt and returns its number."""

        def begin(about: Json) -> bool:
            about["attempt"] = int(about.get("attempt", 1)) + 1
            about["attempts"] = [*list_of(about.get("attempts")), _attempt(about["attempt"])]
            about["errors"] = []
            about["ended"] = None
            return True

        self._change(begin)
        self.attempt = int(self.read()["attempt"])
        self._begin_pipeline()
        self._log(f"attempt {self.attempt} began, by {user_name()}")
        return self.attempt

    def finish(self, status: str, errors: Iterable[str] = ()) -> None:
        """Ends the job; parts that are still at work have failed.

        Args:
            status: `completed`, `failed` or `canceled`; with a failed stage it is not completed.
            errors: why, apart from what stages say.
        """
        told = [secrets_of(self.folder).mask_text(one) for one in errors][:_MOST_ERRORS]
        reason = told[0] if told else "canceled" if status == CANCELED else "it did not end"
        for stage in self._stages():
            end_lost_parts(self.folder, stage, None, reason)
        manifest = PipelineManifest(self.folder / MANIFEST)
        manifest.finalize(COMPLETED if status == COMPLETED else FAILED)
        has_failed = manifest.to_dict()["pipeline"]["status"] == FAILED
        ending = FAILED if has_failed and status == COMPLETED else status

        def end(about: Json) -> bool:
            about["errors"] = told
            about["ended"] = {"status": ending, "at": now_text()}
            return True

        self._change(end)
        self._log(": ".join([ending, *told]), "info" if ending == COMPLETED else "error")

    def end_lost(self, run_ids: Iterable[str], reason: str) -> None:
        """Ends what runs were at work on whose process is gone."""
        names = frozenset(run_ids)
        for stage in self._stages():
            end_lost_parts(self.folder, stage, names, reason)

    def _log(self, message: str, level: str = "info") -> None:
        last = [{}, *list_of(self.read().get("attempts"))][-1]
        name = orchestrator_log(last.get("started_at"))
        open_log(self.folder, name, secrets_of(self.folder)).write(level, message)

    def _open_again(self) -> None:
        def open_it(about: Json) -> bool:
            was_over = bool(about.get("ended"))
            about["ended"] = None
            return was_over

        if self._change(open_it):
            self._begin_pipeline()

    def _begin_pipeline(self) -> None:
        for name, dataset in list(self.read().get("datasets", {}).items())[:1]:
            PipelineManifest(self.folder / MANIFEST).set_input(dataset["root"], name)

    def _stages(self) -> list[str]:
        return list((load_manifest(self.folder) or {}).get("stages", {}))

    def _change(self, change: Callable[[Json], bool]) -> bool:
        """Changes what `runs.json` says, unless the change returns False; returns that.

        A damaged file is set aside, and what is still known is written again.

        Raises:
            StorageFull, OutputUnwritable: it cannot be read or written.
        """
        path = self.folder / RUNS_RECORD
        with locked(runs_lock(self.folder)):
            try:
                with naming_storage_trouble(path):
                    about = parse_object(path.read_bytes())
            except (FileNotFoundError, ValueError):
                set_aside(path)
                job_id = read_job(self.folder).get("job_id")
                about = {"schema": SCHEMA_VERSION, "job_id": job_id, "attempt": self.attempt}
                write_json(path, {**about, "datasets": {}})
            about.setdefault("datasets", {})
            is_changed = change(about)
            if is_changed:
                write_json(path, about)
            return is_changed


def _attempt(number: int) -> Json:
    """Returns who begins an attempt, where and when: this process, now."""
    return {"attempt": number, "started_at": now_text(), **describe_process()}
