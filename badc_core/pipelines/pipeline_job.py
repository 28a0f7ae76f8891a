"""A job that a pipeline works on: its folders, its input, and where paths of stages are in it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.hashing import sha256_bytes
from badc_core.jobs.environment import masked, read_text, variables
from badc_core.jobs.manifest_files import JOB_INFO, load_manifest, secrets_of
from badc_core.jobs.outputs import hash_file
from badc_core.json_texts import parse_object
from badc_core.pipelines.definition import Pipeline, PipelineStage
from badc_core.pipelines.graph import IN_JOB, place_in_job
from badc_core.pipelines.templates import fill_in


@dataclass(frozen=True)
class PipelineJob:
    """A job.

    Attributes:
        job_id: of the job.
        folder: its outputs; all of these paths are absolute.
        log_dir: its logs.
        config: its settings, with secrets, until they are removed.
        backup: its settings without secrets.
        input: what it is about.
    """

    job_id: str
    folder: Path
    log_dir: Path
    config: Path
    backup: Path
    input: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Returns the job in a folder.

        Raises:
            ConfigInvalid: there is no job, or nobody has said what it is about.
        """
        folder = absolute(folder)
        try:
            info = parse_object((folder / JOB_INFO).read_bytes())
            paths = [Path(str(info[name])) for name in ("log_dir", "env_file", "env_backup")]
            job_id = str(info["job_id"])
        except (OSError, ValueError, KeyError) as error:
            remedy = "Create a job with badc job run PIPELINE INPUT"
            raise ConfigInvalid(f"no job is here ({error!r})", folder / JOB_INFO, remedy) from error
        given = (load_manifest(folder) or {}).get("input", {}).get("file")
        if not given:
            remedy = "Start it with badc job run PIPELINE INPUT --resume JOB"
            raise ConfigInvalid("nobody has said what the job is about", folder, remedy)
        log_dir, env_file, backup = map(absolute, paths)
        return cls(job_id, folder, log_dir, env_file, backup, Path(given))

    @property
    def settings(self) -> Path:
        """The settings that stages read: without secrets once the others are removed."""
        return self.config if self.config.exists() else self.backup

    def values(self, pipeline: Pipeline, stage: PipelineStage) -> dict[str, str]:
        """Returns what stands for each placeholder in the texts of a stage."""
        return {
            "input": str(self.input),
            "job": self.job_id,
            "stage": stage.name,
            "output_dir": str(self.folder),
            "log_dir": str(self.log_dir),
            "config": str(self.settings),
            "pipeline_dir": str(pipeline.path.parent),
        }

    def settings_of(self, stage: PipelineStage) -> dict[str, str]:
        """Returns the settings that a stage reads, without secrets; empty texts for those not set.

        Raises:
            ConfigInvalid: the settings cannot be read.
        """
        if not stage.settings:
            return {}
        try:
            given = variables(read_text(self.settings))
        except OSError as error:
            what = f"the job's settings cannot be read ({error.strerror})"
            raise ConfigInvalid(what, self.settings, "Put them back") from error
        read = {name: given.get(name) or "" for name in stage.settings}
        # As the manifest masks them, with which they are compared.
        without_secrets: dict[str, str] = secrets_of(self.folder).mask_json(read)
        return without_secrets

    def hash_input(self, path: Path) -> str | None:
        """Returns the SHA-256 of an input of a stage; None for a folder and what cannot be read.

        Of the job's settings it is that of what stays of them, the copy without secrets.
        """
        if path not in {self.config, self.backup}:
            return hash_file(path)
        with suppress(OSError):
            return sha256_bytes(masked(read_text(path)).encode(errors="surrogateescape"))
        return None

    def input_paths(
        self, pipeline: Pipeline, stage: PipelineStage, *, needed: bool
    ) -> dict[str, Path]:
        """Returns the inputs of a stage by what the pipeline calls them.

        Args:
            pipeline: the stage's.
            stage: reads them.
            needed: those it needs; else those it reads if they are there.
        """
        values = self.values(pipeline, stage)
        texts = stage.inputs if needed else stage.optional_inputs
        return {text: self._place(text, values) for text in texts}

    def output_paths(self, stage: PipelineStage) -> dict[str, Path]:
        """Returns the outputs of a stage by what the pipeline calls them."""
        return {text: self.folder / text.removeprefix(IN_JOB) for text in stage.outputs}

    def stage_log(self, stage: PipelineStage) -> Path:
        """Returns the file to which a stage's process writes."""
        return self.log_dir / f"{stage.name}.log"

    def describe_call(
        self,
        pipeline: Pipeline,
        stage: PipelineStage,
        skipped: tuple[str, ...],
        *,
        has_device: bool,
    ) -> str:
        """Returns the message for a stage's process, as JSON.

        Args:
            pipeline: the stage's.
            stage: that is to run.
            skipped: the stages that were skipped.
            has_device: whether it has a GPU of its own, if there are any.
        """
        inputs = {
            **self.input_paths(pipeline, stage, needed=True),
            **self.input_paths(pipeline, stage, needed=False),
        }
        call: dict[str, Any] = {
            **self.values(pipeline, stage),
            "inputs": {text: str(path) for text, path in inputs.items() if path.exists()},
            "outputs": {text: str(path) for text, path in self.output_paths(stage).items()},
            "skipped": skipped,
            "has_device": has_device,
        }
        return json.dumps(call)

    def _place(self, text: str, values: dict[str, str]) -> Path:
        place = place_in_job(text)
        return Path(fill_in(text, values)) if place is None else self.folder / place
