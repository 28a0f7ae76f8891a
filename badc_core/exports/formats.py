"""The forms in which results can be exported.

Their names, in settings, in `badc export` and of the assets, are those of `export_settings.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from badc_core.exports import audacity, birdnet_csv, guano_sidecar, raven
from badc_core.exports.audacity import write_audacity
from badc_core.exports.birdnet_csv import write_birdnet
from badc_core.exports.camtrap import write_camtrap
from badc_core.exports.guano_sidecar import write_guano
from badc_core.exports.kaleidoscope import write_kaleidoscope
from badc_core.exports.occupancy import write_occupancy
from badc_core.exports.opensoundscape import write_opensoundscape
from badc_core.exports.raven import write_raven
from badc_core.exports.source import ExportSource
from badc_core.exports.study_areas import write_study_areas
from badc_core.exports.wildtrax import write_wildtrax

Write: TypeAlias = Callable[[ExportSource, Path], None]


@dataclass(frozen=True)
class ExportFormat:
    """A form.

    Attributes:
        meaning: what is written, in a few words.
        write: writes the files into an empty folder.
        ending: of the name of a recording's file, after its recording_id; empty for a format whose
            files are about several recordings.
    """

    meaning: str
    write: Write
    ending: str = ""


FORMATS: dict[str, ExportFormat] = {
    "raven": ExportFormat(
        "Raven selection tables, one for each recording", write_raven, raven.ENDING
    ),
    "audacity": ExportFormat(
        "Audacity label tracks, one for each recording", write_audacity, audacity.ENDING
    ),
    "birdnet": ExportFormat(
        "tables as BirdNET-Analyzer writes, one each", write_birdnet, birdnet_csv.ENDING
    ),
    "kaleidoscope": ExportFormat("a table for Kaleidoscope", write_kaleidoscope),
    "study_area": ExportFormat("CSV of each study area, and of all", write_study_areas),
    "occupancy": ExportFormat("detection histories for R's unmarked, with effort", write_occupancy),
    "wildtrax": ExportFormat("tasks and tags to upload to WildTrax", write_wildtrax),
    "opensoundscape": ExportFormat("a table of clips with scores", write_opensoundscape),
    "camtrap": ExportFormat("a data package in the style of Camtrap DP", write_camtrap),
    "guano": ExportFormat(
        "GUANO metadata with species, one file each", write_guano, guano_sidecar.ENDING
    ),
}
