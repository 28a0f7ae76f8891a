"""What the orchestrator of a pipeline records, and asks before it starts a stage."""

from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid
from badc_core.jobs.layout import (
    COMPLETED,
    FAILED,
    SKIPPED,
    SUCCESS,
    Json,
    attempt_of,
    status_of,
    step_status,
)
from badc_core.jobs.manifest_files import MANIFEST, Parts, load_manifest, secrets_of, write_joined
from badc_core.jobs.values import now_text, to_json

_ENDS = (COMPLETED, FAILED)


class PipelineManifest:
    """The manifest of a pipeline; every call writes or reads the file, nothing is kept in memory.

    So what stages record meanwhile is never overwritten.

    Args:
        path: of `manifest.json`, in the folder of the job or the movie.

    Raises:
        ConfigInvalid: the file has another name, under which stages would not find it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if self.path.name != MANIFEST:
            raise ConfigInvalid("manifests have one name", self.path, f"Call it {MANIFEST}")
        self._folder = self.path.parent
        self._secrets = secrets_of(self._folder)

    def set_input(
        self, file: str | Path, title: str | None = None, year: int | None = None
    ) -> None:
        """Records what the pipeline works on; a pipeline that was over begins again."""
        about = {"file": str(file), "title": title, "year": year}
        self._set(input=self._masked(about), finished={})

    def set_output_dir(self, output_dir: str | Path) -> None:
        """Records where the outputs go."""
        self._set(output_dir=self._secrets.mask_path(str(output_dir)))

    def is_stage_completed(self, stage: str) -> bool:
        """Returns whether a stage has succeeded, and has neither failed nor been started since."""
        return self.get_stage_status(stage) == SUCCESS

    def get_stage_status(self, stage: str) -> str | None:
        """Returns `running`, `success`, `failed` or `skipped`; None for a stage not yet begun."""
        return status_of(self.to_dict(), stage)

    def set_pipeline_step(self, step_name: str, enabled: bool = True, **details: Any) -> None:
        """Records what the orchestrator does about a stage.

        Its status counts until the stage is started again, so a stage that was killed can be marked
        as failed, and one that may fail as skipped. What is completed stays so if it is skipped.

        Args:
            step_name: the stage.
            enabled: False if it is not to run; it is skipped then.
            details: `completed`, whether it is over; `status` and `error` of its end;
                `next_stage`; anything else is kept with it.
        """
        now = now_text()
        step = {"enabled": enabled, **self._masked(details), "at": now}
        if details.get("completed"):
            step["completed_at"] = now
        is_next = enabled and not details.get("completed")

        def change(parts: Parts) -> None:
            steps = parts.pipeline.setdefault("steps", {})
            step["attempt"] = attempt_of(parts.stages.get(step_name, {}))
            is_done = step_status(steps.get(step_name, {"completed": False})) == SUCCESS
            if not (is_done and step_status(step) == SKIPPED):
                steps[step_name] = step
            parts.pipeline["current_stage"] = step_name if is_next else None
            parts.pipeline["next_stage"] = details.get("next_stage")

        write_joined(self._folder, change)

    def finalize(self, status: str = COMPLETED) -> None:
        """Records that the pipeline is over; one with a failed stage has failed in any case.

        Args:
            status: `completed` or `failed`.

        Raises:
            ConfigInvalid: there is no such status.
        """
        if status not in _ENDS:
            raise ConfigInvalid("not a status of a pipeline", status, f"Use {' or '.join(_ENDS)}")
        now = now_text()
        self._set(finished={"status": status, "at": now}, current_stage=None, next_stage=None)

    def to_dict(self) -> Json:
        """Returns the manifest; empty if nothing was recorded yet."""
        return load_manifest(self._folder) or {}

    def _masked(self, content: dict[str, Any]) -> Json:
        masked: Json = self._secrets.mask_json(to_json(content))
        return masked

    def _set(self, **values: Any) -> None:
        write_joined(self._folder, lambda parts: parts.pipeline.update(values))
