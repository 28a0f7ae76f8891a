"""Preparing a job for a media file: its settings, and what it works on.

A part of the file is cut in `badc_core/audio/clips.py`, which is given to us as a function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.atomic import new_folder
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.jobs.environment import masked, read_text, with_values, write_private
from badc_core.jobs.layout import FAILED, Json
from badc_core.jobs.manifest_files import MANIFEST
from badc_core.jobs.old_layout import parse_title
from badc_core.jobs.pipeline_manifest import PipelineManifest
from badc_core.jobs.places import JobPlaces
from badc_core.jobs.values import explain_ending
from badc_core.units import write_seconds

STEP = "prepare"
_MEDIA = "media"
PREPARED = ("INPUT_FILE", "CLIP_START_S", "CLIP_END_S", "CLIP_FILE", "WORKFLOW", "DEVICE")
"""The variables that say in a job's settings what it was prepared for."""


@dataclass(frozen=True)
class Preparation:
    """What a job is to be about.

    Attributes:
        media: the file.
        user: whose job it is.
        start_s, end_s: of the part of it that counts; None for its beginning and its end.
        workflow: what is to be done with it; empty if that is not said.
        device: to compute on.
    """

    media: Path
    user: str
    start_s: float | None
    end_s: float | None
    workflow: str
    device: str

    def settings(self) -> dict[str, str]:
        """Returns the variables by which stages find it in the job's settings."""
        given = {
            "INPUT_FILE": str(absolute(self.media)),
            "CLIP_START_S": None if self.start_s is None else write_seconds(self.start_s),
            "CLIP_END_S": None if self.end_s is None else write_seconds(self.end_s),
            "WORKFLOW": self.workflow or None,
            "DEVICE": self.device,
        }
        return {name: value for name, value in given.items() if value is not None}


def prepare_job(places: JobPlaces, wanted: Preparation, cut: Callable[[Path], None] | None) -> Json:
    """Creates a job for a media file, and returns what `job_info.json` says of it.

    Args:
        places: where jobs are.
        wanted: what it is to be about.
        cut: writes the part of the file that counts to a path; None for the whole file.

    Raises:
        ConfigInvalid: there is no such file.
        UnreadableRecording: the part cannot be cut; the job says so, and has failed.
        StorageFull, OutputUnwritable: something cannot be written.
    """
    if not wanted.media.is_file():
        raise ConfigInvalid("there is no such file", wanted.media, "Name a sound or video file")
    manager = places.manager()
    job = manager.create_job(wanted.user)
    folder = manager.get_job_output_dir()
    _add_settings(Path(job["env_file"]), Path(job["env_backup"]), wanted.settings())
    manifest = PipelineManifest(folder / MANIFEST)
    media = absolute(wanted.media)
    title, year = parse_title(media.stem)
    manifest.set_input(media, title, year)
    if cut is not None:
        try:
            with new_folder(folder / _MEDIA) as aside:
                aside.mkdir()
                cut(aside / media.name)
        except BaseException as error:
            why = explain_ending(error)
            manifest.set_pipeline_step(STEP, completed=True, status=FAILED, error=why)
            manifest.finalize(FAILED)
            manager.cleanup_job_env()
            raise
        manifest.set_input(folder / _MEDIA / media.name, title, year)
        _add_settings(
            Path(job["env_file"]),
            Path(job["env_backup"]),
            {"CLIP_FILE": str(absolute(folder / _MEDIA / media.name))},
        )
    return {**job, "input": _input_of(manifest)}


def _input_of(manifest: PipelineManifest) -> Any:
    return manifest.to_dict().get("input")


def _add_settings(env_file: Path, backup: Path, values: Mapping[str, str]) -> None:
    text = with_values(read_text(env_file), values)
    write_private(env_file, text)
    write_private(backup, masked(text))
