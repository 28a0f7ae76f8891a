"""HawkEars 2, kept loaded in a process of its own environment.

The environment is found in `home.py` and installed in `install.py`; the program that runs in it is
`worker.py`. HawkEars 1 is another detector, `hawkears1.py`.

HawkEars reads files: each chunk is written to scratch, mono, and removed when it is analysed. Its
labels last as long as the sound does, so where chunks overlap they are cut at the border: a chunk
covers all of itself except what the chunk before holds too.
"""

import logging
import tempfile
from dataclasses import replace
from typing import Any

from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.chunk_files import ChunkFile, FoundInFile, place_detections
from badc_core.detectors.hawkears import LONGEST_WHOLE_S
from badc_core.detectors.hawkears.child import CHECK, ChildEnded, HawkEarsChild
from badc_core.detectors.hawkears.home import HawkEarsHome, find_home
from badc_core.detectors.interface import (
    Detection,
    DetectorIdentity,
    DetectorReport,
    Label,
)
from badc_core.detectors.programs import ProgramPerChunk
from badc_core.errors import DetectorFailed, OutOfMemory

USES_GPU = True
HEARS_AT_ONCE_S = LONGEST_WHOLE_S

WINDOW_S = 3.0
LICENCE = "MIT"

_log = logging.getLogger(__name__)


class HawkEars(ProgramPerChunk):
    """HawkEars' ensemble in memory, in another process; `identity` is its version and networks."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Starts HawkEars and waits until it is ready.

        Raises:
            DetectorMissing: it is not installed, or cannot be loaded.
            ConfigInvalid: there are fewer networks than asked for, or no such region.
            OutOfMemory: its networks do not fit the device.
        """
        super().__init__()
        self.identity = identify(settings)
        self._home = find_home(settings.runtime)
        self._settings = settings
        self._labels: dict[str, Label] = {}
        self._child: HawkEarsChild | None = self._start()

    @property
    def hello(self) -> dict[str, Any]:
        """HawkEars' message when it was ready: `versions`, `device`, `networks`, `ready_s`."""
        return {} if self._child is None else self._child.hello

    def close(self) -> None:
        """Ends HawkEars; a second call does nothing."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _run(self, batch: ChunkFile) -> list[Detection]:
        """Returns what is in the file; after a crash HawkEars is started again, in 5 to 10 s."""
        restarted = self._child is None
        child = self._child = self._child or self._start()
        answer = self._ask(child, batch)
        self._report = DetectorReport(
            command=child.command,
            stderr=child.stderr_tail,
            peak_vram_mib=answer.get("peak_vram_mib"),
            peak_rss_mib=answer.get("peak_rss_mib"),
            notes=(*["HawkEars was started again"] * restarted, *answer.get("notes", ())),
        )
        if answer["kind"] != "result":
            raise self._failure(answer, batch)
        return self._detections(answer["detections"], batch.chunk)

    def _start(self) -> HawkEarsChild:
        settings = self._settings.hawkears
        child = HawkEarsChild(
            self._home,
            {
                "data_root": str(self._home.data_root),
                "models": settings.models,
                "low_band": settings.low_band,
                "block_size": settings.block_size,
                "min_score": self._settings.min_score,
                "region": settings.region if settings.use_occurrence else "",
                "scratch": tempfile.gettempdir(),
            },
        )
        self._labels = {code: Label(name, code, sci) for code, name, sci in child.hello["classes"]}
        return child

    def _ask(self, child: HawkEarsChild, batch: ChunkFile) -> dict[str, Any]:
        question: dict[str, Any] = {
            "path": str(batch.path),
            "output": str(batch.output),
            "duration_s": batch.chunk.duration_s,
        }
        if self._settings.hawkears.use_occurrence:
            recording_context = batch.recording_context
            question |= {
                "latitude": recording_context.latitude,
                "longitude": recording_context.longitude,
                "date": recording_context.date,
            }
        try:
            return child.ask(question)
        except ChildEnded as error:
            self._child = None
            self._report = DetectorReport(
                command=child.command, returncode=child.returncode, stderr=child.stderr_tail
            )
            raise DetectorFailed(str(error), batch.chunk.chunk_id, CHECK) from error
        except BaseException:  # its answer would pass for that to the next question
            self.close()
            raise

    def _failure(self, answer: dict[str, Any], batch: ChunkFile) -> DetectorFailed:
        """Returns the error to raise; after an unexpected one HawkEars is started afresh."""
        message, where = str(answer["message"]), batch.chunk.chunk_id
        if answer["reason"] == "oom":
            remedy = "Use shorter chunks, fewer networks, or fewer workers on the device"
            return OutOfMemory(message, where, remedy)
        if answer["reason"] != "bad_audio":
            self.close()
        return DetectorFailed(message, where, CHECK)

    def _detections(self, rows: list[list[Any]], chunk: Chunk) -> list[Detection]:
        overlap_s = chunk.overlap_samples / chunk.sample_rate_hz
        found = []
        for start_s, end_s, code, score, is_expected, occurrence in rows:
            one = FoundInFile(
                start_s, end_s, self._labels[code], min(1.0, score), is_expected, occurrence
            )
            found.append(_without_overlap(one, overlap_s))
        return place_detections(chunk, found)


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns HawkEars' version and networks without starting it.

    Raises:
        DetectorMissing: it is not installed.
        ConfigInvalid: there are fewer networks than asked for.
    """
    home = find_home(settings.runtime)
    home.require(settings.hawkears)
    return DetectorIdentity(
        "hawkears",
        _version(home, settings),
        home.networks_sha256(settings.hawkears),
        LICENCE,
        WINDOW_S,
        uses_gpu=USES_GPU,
    )


def load(settings: DetectorSettings) -> HawkEars:
    """Returns HawkEars, loaded; raises DetectorMissing, ConfigInvalid or OutOfMemory."""
    loaded = HawkEars(settings)
    if find_home(settings.runtime).has_random_weights:
        _log.warning(
            "HawkEars %s: its networks have random weights; results mean nothing",
            loaded.identity.version,
        )
    return loaded


def labels(settings: DetectorSettings) -> tuple[Label, ...]:
    """Returns every label there is, as its tables say; raises DetectorMissing."""
    home = find_home(settings.runtime)
    home.require(settings.hawkears)
    return tuple(Label(name, code, sci) for code, name, sci in home.classes())


def _version(home: HawkEarsHome, settings: DetectorSettings) -> str:
    """Returns HawkEars' version with its ensemble: `2.3.0+3`, `2.3.0+6.lowband`."""
    parts = [str(settings.hawkears.models)]
    if settings.hawkears.low_band:
        parts.append("lowband")
    if home.has_random_weights:
        parts.append("random")
    return f"{home.version()}+{'.'.join(parts)}"


def _without_overlap(one: FoundInFile, overlap_s: float) -> FoundInFile:
    """Returns what is left of a label after the part of the file that the chunk before holds.

    A label wholly in that part is unchanged: `place_detections` leaves it out.
    """
    if one.start_s < overlap_s < one.end_s:
        return replace(one, start_s=overlap_s)
    return one
