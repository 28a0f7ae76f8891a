"""How fast tasks were, so that the next ones can be packed to a length of time."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

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


SpeedSource: TypeAlias = Literal["measured", "short tasks", "assumed"]
"""Tasks of a minute or more; shorter ones only; none that has analysed sound."""


class Speeds:
    """The speed of the last tasks of each stage, in a file.

    Args:
        work_folder: of the dataset.
    """

    def __init__(self, work_folder: Path) -> None:
        self._folder = work_folder
        self._path = work_folder / "slurm_speeds.json"

    def of(self, stage: str) -> float:
        """Returns seconds of sound that a task does in a second, by the best that is known."""
        known = self._read()
        assumed = _ASSUMED_DETECTOR if STAGES[stage].runs_detector else _ASSUMED_OTHER
        return known.get(stage, known.get(_short(stage), assumed))

    def source(self, stage: str) -> SpeedSource:
        """Returns where that is from."""
        known = self._read()
        if stage in known:
            return "measured"
        return "short tasks" if _short(stage) in known else "assumed"

    def note(self, stage: str, audio_s: float, elapsed_s: float, analysing_s: float) -> None:
        """Writes down how fast a task was, unless it was short and longer ones are known.

        Args:
            stage: whose.
            audio_s: seconds of sound that it did.
            elapsed_s: seconds that it took, from BADC's start to its end.
            analysing_s: of these, from its first chunk on. Of a short task the rest would be most.
        """
        is_short = elapsed_s < _SHORTEST_S
        took_s = analysing_s if is_short else elapsed_s
        if audio_s <= 0 or took_s <= 0 or (is_short and self.source(stage) == "measured"):
            return
        before, name = self.of(stage), _short(stage) if is_short else stage
        speed = min(max(audio_s / took_s, before / _LARGEST_STEP), before * _LARGEST_STEP)
        path = prepare_work_file(self._folder, self._path)
        write_text(path, json.dumps(self._read() | {name: float(f"{speed:.4g}")}) + "\n")

    def _read(self) -> dict[str, float]:
        try:
            known = parse_object(self._path.read_bytes())
            return {name: float(speed) for name, speed in known.items() if float(speed) > 0}
        except (OSError, ValueError, TypeError):
            return {}


def _short(stage: str) -> str:
    return f"{stage}, short tasks"


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
