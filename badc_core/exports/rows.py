"""What exports are made of: recordings with what was found in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from badc_core.corpus.parts import PartKey
from badc_core.intervals import Interval, length_of
from badc_core.recordings.clock import clock_after

_LONGER_THAN_A_DAY_MS = 26 * 3_600_000


@dataclass(frozen=True)
class SourceRecording:
    """A recording with results.

    Attributes:
        path: relative to the dataset, with forward slashes.
        is_stub: no model ran on it, but the stub runner.
    """

    recording_id: str
    path: str
    sha256: str
    study_area: str | None
    location: str | None
    start_local: datetime | None
    start_utc: datetime | None
    utc_offset_min: int | None
    timezone: str | None
    duration_s: float
    sample_rate_hz: int
    audio_format: str
    lat: float | None
    lon: float | None
    elevation_m: float | None
    device_make: str | None
    device_model: str | None
    device_serial: str | None
    is_stub: bool

    @property
    def file_name(self) -> str:
        """The name of its file, without folders."""
        return self.path.rpartition("/")[2]

    @property
    def part(self) -> PartKey:
        """The part of the corpus that it is in."""
        return PartKey.of(self.study_area, self.location, self.start_local)

    def local_time(self, ms: int) -> datetime | None:
        """Returns what clocks at the station show so long after the start; None if not known."""
        if self.start_local is None:
            return None
        elapsed = timedelta(milliseconds=ms)
        return clock_after(self.start_local, self.start_utc, self.timezone, elapsed)

    def split_by_day(self, intervals: Sequence[Interval]) -> dict[date, int]:
        """Returns local day -> milliseconds of the intervals, also where clocks are changed.

        Days without any are not there; none are without a clock.
        """
        if self.start_local is None:
            return {}
        by_day: dict[date, int] = defaultdict(int)
        for start, end in intervals:
            place = start
            while place < end:
                day, until = self._day_at(self.start_local, place)
                by_day[day] += min(until, end) - place
                place = until
        return dict(by_day)

    def _day_at(self, start_local: datetime, ms: int) -> tuple[date, int]:
        """Returns the local day of a moment, and when the next one begins.

        That is searched for, since clocks may be changed before midnight, or at it.
        """

        def day_of(ms: int) -> date:
            return (self.local_time(ms) or start_local).date()

        today, last, first = day_of(ms), ms, ms + _LONGER_THAN_A_DAY_MS
        while first - last > 1:
            middle = (last + first) // 2
            if day_of(middle) == today:
                last = middle
            else:
                first = middle
        return today, first


@dataclass(frozen=True)
class Found:
    """A detection; times are from the recording's start."""

    recording_id: str
    start_ms: int
    end_ms: int
    label: str
    label_code: str | None
    label_name: str
    scientific_name: str | None
    ebird_code: str | None
    score: float
    min_freq_hz: float | None
    max_freq_hz: float | None
    is_expected: bool | None
    runner: str
    model_version: str
    config_hash: str
    detection_id: str

    @property
    def start_s(self) -> float:
        """Start in seconds."""
        return self.start_ms / 1000

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return self.end_ms / 1000


@dataclass(frozen=True)
class SourceLabel:
    """Something that was detected."""

    label: str
    label_name: str
    scientific_name: str | None


@dataclass(frozen=True)
class RecordingResults:
    """A recording, what was found in it, and where it was analysed (milliseconds)."""

    recording: SourceRecording
    found: list[Found]
    analysed: tuple[Interval, ...]

    @property
    def analysed_ms(self) -> int:
        """How much was analysed."""
        return length_of(self.analysed)
