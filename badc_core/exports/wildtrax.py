"""Tasks and tags to upload to WildTrax.

A task is a recording, or the first half hour of a longer one. The method is `None`, which lets a
species be tagged as often as it is detected.

Source: columns as `wt_make_aru_tasks` and `wt_songscope_tags` of wildrtrax 1.x name them; the
former takes tasks of 1 s up to less than 1800 s.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from badc_core.atomic import writing_text
from badc_core.csv_tables import append_rows, write_rows
from badc_core.exports.rows import Found, RecordingResults, SourceRecording
from badc_core.exports.source import ExportSource
from badc_core.units import counted

TASK_COLUMNS = (
    *("location", "recording_date_time", "task_method", "recording_sample_frequency"),
    *("task_duration", "task_is_complete", "observer", "task_comments", "internal_task_id"),
)
TAG_COLUMNS = (
    *("location", "recording_date_time", "task_method", "task_duration", "observer"),
    *("species_code", "individual_number", "vocalization", "abundance", "tag_start_time"),
    *("tag_duration", "min_tag_freq", "max_tag_freq", "species_individual_comments"),
    *("tag_is_hidden_for_verification", "recording_sample_frequency", "internal_tag_id"),
)
LONGEST_TASK_S = 1799
_METHOD, _OBSERVER = "None", "Not Assigned"
_EARLIEST_S = 0.1
"""WildTrax takes no tag that begins with the recording."""
_EARLIEST_END_S = 0.2
"""So that a tag that would end before that still lasts."""


def write_wildtrax(source: ExportSource, folder: Path) -> None:
    """Writes the tables; recordings that cannot be tasks and tags outside a task are noted."""
    left_out: dict[str, list[SourceRecording]] = {}
    n_outside = 0
    is_coded = True
    with (
        writing_text(folder / "tasks.csv") as tasks,
        writing_text(folder / "tags.csv") as tags,
    ):
        write_rows(tasks, TASK_COLUMNS, ())
        write_rows(tags, TAG_COLUMNS, ())
        for one in source.read():
            recording = one.recording
            task_s = min(int(recording.duration_s), LONGEST_TASK_S)
            why = _explain_no_task(recording, task_s)
            if why:
                left_out.setdefault(why, []).append(recording)
                continue
            append_rows(tasks, [_task(recording, task_s)])
            rows = list(_tags(one, task_s))
            append_rows(tags, rows)
            n_outside += len(one.found) - len(rows)
            is_coded = is_coded and all(found.label_code for found in one.found)
    for why, recordings in left_out.items():
        source.note_left_out(why, recordings)
    if n_outside:
        what = counted(n_outside, "tag")
        source.notes.append(f"{what} left out: they begin after their task ends")
    if not is_coded:
        source.notes.append("species_code has names, since the detector has no codes")


def _explain_no_task(recording: SourceRecording, task_s: int) -> str:
    """Returns why WildTrax cannot have a recording as a task; empty if it can."""
    if not recording.location:
        return "the station is not known"
    if recording.start_local is None:
        return "the clock is not known"
    return "" if task_s else "it is shorter than a second"


def _about(recording: SourceRecording) -> tuple[str, str]:
    return recording.location or "", f"{recording.start_local:%Y-%m-%d %H:%M:%S}"


def _task(recording: SourceRecording, task_s: int) -> tuple[object, ...]:
    rate_hz = recording.sample_rate_hz
    return (*_about(recording), _METHOD, rate_hz, task_s, "FALSE", "", "", "")


def _tags(one: RecordingResults, task_s: int) -> Iterator[tuple[object, ...]]:
    numbers: Counter[str] = Counter()
    for found in one.found:
        if found.start_s < task_s:
            numbers[found.label] += 1
            yield _tag(one.recording, found, task_s, numbers[found.label])


def _tag(recording: SourceRecording, found: Found, task_s: int, number: int) -> tuple[object, ...]:
    start_s = max(found.start_s, _EARLIEST_S)
    end_s = min(max(found.end_s, _EARLIEST_END_S), task_s)
    highest_hz = recording.sample_rate_hz / 2
    return (
        *(*_about(recording), _METHOD, task_s, _OBSERVER),
        *(found.label_code or found.label_name, number, "", 1),
        *(round(start_s, 3), round(end_s - start_s, 3)),
        *(found.min_freq_hz or 0, min(found.max_freq_hz or highest_hz, highest_hz)),
        f"{found.runner} {found.model_version}, score {found.score:.4f}",
        *("FALSE", recording.sample_rate_hz, ""),
    )
