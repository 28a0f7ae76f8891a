"""How commands word what they print."""

from badc_core.chunks.writer import WrittenChunks
from badc_core.units import counted


def reason_alone(message: str, chunk_id: str) -> str:
    """Returns an error on one line, without the chunk_id it may begin with."""
    return " ".join(message.split()).removeprefix(f"{' '.join(chunk_id.split())}: ")


def describe_written(done: WrittenChunks) -> str:
    """Describes the result of writing a recording's chunks."""
    stale = f", {done.n_removed} of other settings removed" if done.n_removed else ""
    kept = done.n_chunks - done.n_written
    written, were = counted(done.n_written, "chunk"), "was" if kept == 1 else "were"
    return f"{done.recording_id}: {written} written, {kept} {were} there{stale}"
