"""What each output was made from, in one string per stage and recording.

An output is current if its fingerprint is the one given here for today's file, settings and code.
A stage that keeps weak scores down to a floor says so at the end of its fingerprint, `@0.1`: it is
current as long as that floor is not above the weakest score that today's settings keep. An output
that lacks chunks that failed has `-incomplete-` in it: it is used, and due all the same. The
description of a recording that was cut off has `-truncated` in it: current only while such
recordings are accepted, so that a change of that setting makes no other recording due.
Fingerprints of files are in `hashing.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from pathlib import PurePosixPath
from typing import Any, cast

from badc_core.datasets.dataset import Dataset
from badc_core.hashing import digest_json
from badc_core.recordings.deployments import read_deployments
from badc_core.recordings.folders import read_place
from badc_core.recordings.identity import below_root
from badc_core.recordings.naming import read_file_name
from badc_core.recordings.registered import RegisteredRecording
from badc_core.stages.stage import STAGES, Stage

_INCOMPLETE = "-incomplete-"
_TRUNCATED = "-truncated"
_FLOOR = "@"


def lacks_chunks(fingerprint: str) -> bool:
    """Whether an output lacks chunks that failed, whatever it was made from."""
    return _INCOMPLETE in fingerprint


def mark_incomplete(fingerprint: str, failed_chunks: Iterable[str]) -> str:
    """Returns the fingerprint of an output that lacks chunks: never current, yet usable.

    Args:
        fingerprint: of the output if nothing had failed.
        failed_chunks: their chunk_ids.
    """
    digest, at, floor = fingerprint.partition(_FLOOR)
    return f"{digest}{_INCOMPLETE}{digest_json(sorted(failed_chunks))[:8]}{at}{floor}"


def mark_truncated(fingerprint: str) -> str:
    """Returns the fingerprint of the description of a recording that was cut off."""
    return f"{fingerprint}{_TRUNCATED}"


def as_source(fingerprint: str) -> str:
    """Returns what the fingerprint of an output counts for in those made from it: not its floor."""
    return fingerprint.partition(_FLOOR)[0]


def add_floor(fingerprint: str, floor: float) -> str:
    """Returns the fingerprint of an output that keeps scores down to a floor."""
    return f"{fingerprint}{_FLOOR}{floor!r}"


class Fingerprints:
    """Fingerprints under one dataset's settings.

    Raises:
        DetectorMissing: the detector that would run is not installed.
        ConfigInvalid: the deployments table or a path template is wrong.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._settings = {stage.name: _hash_settings(stage, dataset) for stage in STAGES.values()}
        self._floor = dataset.settings.detector.floor
        self._weakest = dataset.settings.detector.lowest_score
        self._accepts_truncated = dataset.settings.recordings.accept_truncated
        self._roots = dataset.settings.recordings.roots
        self._templates = dataset.settings.recordings.templates
        self._stations = {
            location: asdict(station)
            for location, station in read_deployments(dataset.deployments).items()
        }

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Everything that decides fingerprints, beside recordings; to be compared."""
        reach = self._floor, self._weakest, self._accepts_truncated
        return self._settings, *reach, self._roots, self._templates, self._stations

    def of_row(self, row: RegisteredRecording) -> str:
        """Returns what a recording is described from, as the registry knows it."""
        return self.of_file(row.path, row.fingerprint or "", is_renamed=row.is_renamed)

    def of_file(self, path: str, content: str, *, is_renamed: bool = False) -> str:
        """Returns what a recording is described from: its file, its station's row, its path.

        Of the table of stations only that row, so that a new station in `deployments.csv` makes
        no other recording due. Where neither folder nor file name gives the station, any row
        could be the one.

        Args:
            path: of the recording, relative to the dataset.
            content: fingerprint of its file.
            is_renamed: whether it had another path when it got its name. Only then the path
                counts, so that no recording is due that is where it always was.
        """
        station = self._station(path) if self._stations else None
        about = [*([station] if station else []), *([{"path": path}] if is_renamed else [])]
        return digest_json([content, *about]) if about else content

    def _station(self, path: str) -> Mapping[str, Any] | None:
        """Returns the station's row, or all rows where the path does not give the station."""
        place = read_place(below_root(path, self._roots), self._templates) or {}
        name = read_file_name(PurePosixPath(path).name).fields
        location = place.get("location") or cast("str | None", name.get("location"))
        return self._stations if location is None else self._stations.get(location)

    def of(self, stage: str, *sources: str) -> str:
        """Returns the fingerprint that a stage's output should have.

        Args:
            stage: its name.
            sources: fingerprints of the outputs it is made from, in the order of its inputs; of a
                stage without inputs `of_file`. After them the recording's `choices`.
        """
        return next(self.of_each(stage, [[one] for one in sources], [()]))

    def of_each(
        self,
        stage: str,
        sources: Iterable[Iterable[str]],
        choices: Iterable[Sequence[str]],
    ) -> Iterator[str]:
        """Yields the fingerprint of each of many outputs.

        The same as `digest_json` of lists, in a tenth of the time: archives are large.

        Args:
            stage: its name.
            sources: for each source of `of`, its fingerprint for each output.
            choices: of each output's recording.
        """
        encode = encode_basestring_ascii
        end = f", {encode(self._settings[stage])}]"
        floor = add_floor("", self._floor) if STAGES[stage].has_floor else ""
        columns = [map(encode, [one.partition(_FLOOR)[0] for one in some]) for some in sources]
        for texts, chosen in zip(zip(*columns, strict=True), choices, strict=False):
            more = [*texts, *(encode(one.partition(_FLOOR)[0]) for one in chosen)]
            yield sha256(f"[{', '.join(more)}{end}".encode()).hexdigest()[:32] + floor

    def choices(self, stage: str, recording_id: str) -> tuple[str, ...]:
        """Returns what the settings come to for one recording, beside what they are for all.

        So a setting that concerns some recordings makes no others due.
        """
        choose = STAGES[stage].choices
        return choose(self._dataset, recording_id) if choose else ()

    def is_current(self, recorded: str | None, wanted: str) -> bool:
        """Whether an output serves as the one that is wanted.

        Args:
            recorded: fingerprint of the output that is there, if any.
            wanted: fingerprint it should have.
        """
        if recorded is None or recorded == wanted:
            return recorded == wanted
        if recorded == mark_truncated(wanted):
            return self._accepts_truncated
        return as_source(recorded) == as_source(wanted) and self._reaches_down(recorded)

    def is_incomplete(self, recorded: str | None, wanted: str) -> bool:
        """Whether an output is the one that is wanted, except for chunks that failed."""
        start = as_source(wanted) + _INCOMPLETE
        return recorded is not None and recorded.startswith(start) and self._reaches_down(recorded)

    def settings_hash(self, stage: str) -> str:
        """Returns the hash of the settings and the code version of one stage alone."""
        return self._settings[stage]

    def _reaches_down(self, recorded: str) -> bool:
        """Whether an output keeps every score that today's settings keep."""
        floor = recorded.partition(_FLOOR)[2]
        return not floor or float(floor) <= self._weakest


def _hash_settings(stage: Stage, dataset: Dataset) -> str:
    content = {"stage": stage.name, "code": stage.code_version, **stage.settings(dataset)}
    return digest_json(content)
