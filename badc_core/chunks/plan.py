"""Where chunks begin and end: pure arithmetic on integer samples.

Manifests are in `manifest.py`.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from badc_core.errors import ConfigInvalid
from badc_core.settings import ChunkSettings
from badc_core.units import samples_to_ms, seconds_to_samples

_MAX_CHUNKS = 1_000_000


@dataclass(frozen=True)
class FilePlace:
    """Where a file that holds one chunk alone lies in its recording.

    Attributes:
        start_sample: of the file, from the recording's start.
        held_before: how many samples of its start earlier files hold too.
        held_after: how many samples of its end a later file holds too, which goes on after it.
    """

    start_sample: int
    held_before: int = 0
    held_after: int = 0


@dataclass(frozen=True)
class Chunk:
    """A slice of a recording, the unit of retry.

    Attributes:
        recording_id: whose slice.
        start_sample, end_sample: half-open, at the recording's own rate, from the start of the
            recording or, with `file`, of that file.
        overlap_samples: how much of the start the chunk before holds too.
        sample_rate_hz: the recording's own rate.
        name: what others called it; empty for BADC's own name.
        file: where its file lies in the recording; None where the file is the recording.
    """

    recording_id: str
    start_sample: int
    end_sample: int
    overlap_samples: int
    sample_rate_hz: int
    name: str = ""
    file: FilePlace | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Returns the chunk whose fields these are."""
        place = content.get("file")
        return cls(**{**content, "file": FilePlace(**place) if place else None})

    def to_json(self) -> dict[str, Any]:
        """Returns its fields; without `file` where that is None."""
        content = asdict(self)
        if self.file is None:
            del content["file"]
        return content

    @property
    def n_samples(self) -> int:
        """Length per channel."""
        return self.end_sample - self.start_sample

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz

    @property
    def start_ms(self) -> int:
        """Start in milliseconds from the recording's start."""
        return samples_to_ms(self.start_sample, self.sample_rate_hz)

    @property
    def end_ms(self) -> int:
        """End in milliseconds from the recording's start."""
        return samples_to_ms(self.end_sample, self.sample_rate_hz)

    @property
    def overlap_ms(self) -> int:
        """Overlap with the chunk before, in milliseconds."""
        return samples_to_ms(self.overlap_samples, self.sample_rate_hz)

    @property
    def chunk_id(self) -> str:
        """Unique in the dataset and the same on every machine."""
        return self.name or f"{self.recording_id}_chunk_{self.start_ms}_{self.end_ms}"


def halve_chunk(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """Returns the two halves of a chunk of at least two samples; windows stay the same."""
    middle = chunk.start_sample + chunk.n_samples // 2
    overlap = min(chunk.overlap_samples, middle - chunk.start_sample)
    rest = chunk.overlap_samples - overlap
    return (
        replace(chunk, end_sample=middle, overlap_samples=overlap, name=""),
        replace(chunk, start_sample=middle, overlap_samples=rest, name=""),
    )


def plan_chunks(
    recording_id: str, n_samples: int, sample_rate_hz: int, settings: ChunkSettings
) -> tuple[Chunk, ...]:
    """Returns the chunks of a recording, in order; their union is the recording exactly.

    No chunk lies wholly inside the one before. A tail shorter than `min_chunk_s` is merged into
    the chunk before; a recording shorter than that is one chunk.

    Args:
        recording_id: whose chunks.
        n_samples: length of the recording per channel, > 0.
        sample_rate_hz: its rate, > 0.
        settings: duration, overlap and shortest tail.

    Raises:
        ConfigInvalid: there would be more than a million.
    """
    duration = max(1, seconds_to_samples(settings.duration_s, sample_rate_hz))
    overlap = min(seconds_to_samples(settings.overlap_s, sample_rate_hz), duration - 1)
    shortest = seconds_to_samples(settings.min_chunk_s, sample_rate_hz)
    step = duration - overlap
    if n_samples // step > _MAX_CHUNKS:
        raise ConfigInvalid(
            f"{n_samples / sample_rate_hz:.0f} s would be {n_samples // step} chunks",
            recording_id,
            f"Choose longer chunks; at most {_MAX_CHUNKS} are made of a recording",
        )
    starts = [0]
    while starts[-1] + duration < n_samples:
        tail_start = starts[-1] + step
        if n_samples - tail_start < shortest:
            break
        starts.append(tail_start)
    ends = [start + duration for start in starts[:-1]] + [n_samples]
    return tuple(
        Chunk(recording_id, start, end, overlap if start else 0, sample_rate_hz)
        for start, end in zip(starts, ends, strict=True)
    )


def parse_times(chunk_id: str) -> tuple[int | None, int | None]:
    """Returns start and end in ms as a chunk_id such as `REC_chunk_0_60000` ends with them."""
    words = chunk_id.rsplit("_", 2)
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():  # noqa: PLR2004
        start_ms, end_ms = int(words[1]), int(words[2])
        if start_ms < end_ms:
            return start_ms, end_ms
    return None, None
