"""How fast tasks were, so that the next ones can be packed to a length of time."""

import json
from collections.abc import Iterable
from pathlib import Path

from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import BadcError
from badc_core.json_texts import parse_object
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import read_rows
from badc_core.stages.stage import STAGES

_ASSUMED_DETECTOR, _ASSUMED_OTHER = 20.0, 200.0
_SHORTEST_S, _LARGEST_STEP = 60.0, 4.0
_BYTES_PER_S = 96_000
"""Of a recording that nothing is known of: 48 kHz, 16 bits, one channel."""


class Speeds:
    """The speed of the last tasks of each stage, in a file.

    Args:
        work_folder: of the dataset.
    """

    def __init__(self, work_folder: Path) -> None:
        self._folder = work_folder
        self._path = work_folder / "slurm_speeds.json"

    def of(self, stage: str) -> float:
        """Returns seconds of sound that a task does in a second; an assumption before the first."""
        measured = self._read().get(stage)
        if measured is not None:
            return measured
        return _ASSUMED_DETECTOR if STAGES[stage].runs_detector else _ASSUMED_OTHER

    def is_measured(self, stage: str) -> bool:
        """Returns whether a task of the stage has run."""
        return stage in self._read()

    def note(self, stage: str, audio_s: float, elapsed_s: float) -> None:
        """Writes down how fast a task was, from its start to its end; short ones tell nothing.

        Args:
            stage: whose.
            audio_s: seconds of sound that it did.
            elapsed_s: seconds that it took.
        """
        if audio_s <= 0 or elapsed_s < _SHORTEST_S:
            return
        before = self.of(stage)
        speed = min(max(audio_s / elapsed_s, before / _LARGEST_STEP), before * _LARGEST_STEP)
        path = prepare_work_file(self._folder, self._path)
        write_text(path, json.dumps(self._read() | {stage: float(f"{speed:.4g}")}) + "\n")

    def _read(self) -> dict[str, float]:
        try:
            known = parse_object(self._path.read_bytes())
            return {stage: float(speed) for stage, speed in known.items() if float(speed) > 0}
        except (OSError, ValueError, TypeError):
            return {}


def lengths_s(dataset: Dataset, recording_ids: Iterable[str]) -> dict[str, float]:
    """Returns the seconds of sound in recordings, guessed from its size where nobody decoded it."""
    found: dict[str, float] = {}
    unread = []
    for one in recording_ids:
        try:
            found[one] = read_recording(dataset.recording(one)).duration_s
        except BadcError:
            unread.append(one)
    rows = read_rows(dataset.registry, unread) if unread else {}
    return found | {one: _guess_s(dataset, rows.get(one)) for one in unread}


def _guess_s(dataset: Dataset, row: RegisteredRecording | None) -> float:
    try:
        return dataset.audio(row.path).stat().st_size / _BYTES_PER_S if row else 0.0
    except OSError:
        return 0.0
