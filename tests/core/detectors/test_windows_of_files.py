"""Windows of chunks that lie in files of their own: those of the recording, each once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.tables import ORIGINAL_COLUMNS, write_rows

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, FilePlace, halve_chunk, plan_chunks
from badc_core.chunks.requests import read_requests
from badc_core.detectors.windows import WindowGrid
from badc_core.inference.manifest_tasks import make_tasks
from badc_core.settings import ChunkSettings

RATE_HZ = 1000
OURS = (*ORIGINAL_COLUMNS, "start_frame", "end_frame", "sample_rate", "parent_sha256")

Windows = dict[tuple[int, int], np.ndarray]


def recording(n_samples: int) -> np.ndarray:
    return np.random.default_rng(8).uniform(-0.5, 0.5, n_samples).astype(np.float32)


def write_files(folder: Path, sound: np.ndarray, cuts: list[tuple[int, int]], ours: bool) -> Path:
    """Writes files of a recording, and their manifest: with frames, or as the original's."""
    rows, before = [], 0
    for start, end in cuts:
        path = folder / f"R_chunk_{start}_{end}.wav"
        sf.write(path, sound[start:end], RATE_HZ, subtype="FLOAT")
        shared = max(0, before - start)
        row = ("R", path.stem, path.name, start, end, shared, "ab" * 32)
        rows.append((*row, "file: WAV", start, end, RATE_HZ, "") if ours else (*row, ""))
        before = end
    columns = OURS if ours else ORIGINAL_COLUMNS
    return write_rows(folder / "m.csv", *rows, columns=columns)


def windows_of_files(manifest: Path, grid: WindowGrid) -> Windows:
    """Returns each window that is scored, by its place in the recording, in all files."""
    ((_, requests),) = read_requests([manifest]).items()
    found: Windows = {}
    for one in make_tasks(requests):
        if not one.task.audio.exists():
            continue
        with AudioFile(one.task.audio, expected_samples=one.task.n_samples) as audio:
            for chunk in halve_chunk(one.task.chunk):  # as where memory is short
                for batch in grid.read(audio, chunk):
                    for row, *place in zip(batch.windows, batch.starts, batch.ends, strict=True):
                        start, end = (it + one.task.chunk.file.start_sample for it in place)
                        assert (start, end) not in found
                        found[start, end] = row
    return dict(sorted(found.items()))


def windows_of_ranges(folder: Path, sound: np.ndarray, grid: WindowGrid) -> Windows:
    sf.write(folder / "whole.wav", sound, RATE_HZ, subtype="FLOAT")
    with AudioFile(folder / "whole.wav") as audio:
        return {
            (start, end): row
            for batch in grid.read(audio, Chunk("R", 0, len(sound), 0, RATE_HZ))
            for row, start, end in zip(batch.windows, batch.starts, batch.ends, strict=True)
        }


def cut(n_samples: int, duration_s: float, overlap_s: float) -> list[tuple[int, int]]:
    settings = ChunkSettings(duration_s=duration_s, overlap_s=overlap_s, min_chunk_s=0)
    chunks = plan_chunks("R", n_samples, RATE_HZ, settings)
    return [(one.start_sample, one.end_sample) for one in chunks]


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("window_overlap_s", [0.0, 1.25])
@pytest.mark.parametrize(
    ("length_s", "duration_s", "overlap_s"),
    [
        (120.0, 50.0, 5.0),
        (61.0, 20.0, 19.0),  # many files hold each window
        (121.7, 50.0, 3.0),  # as long as a window
        (95.3, 10.0, 4.0),
        (40.0, 9.5, 8.1),  # three files hold some windows
        (91.4, 45.5, 5.0),  # the last file holds little that is new
        (2.0, 50.0, 5.0),
        (60.0, 60.0, 5.0),
    ],
)
def test_files_that_overlap_by_a_window_give_the_windows_of_the_recording(
    length_s: float, duration_s: float, overlap_s: float, window_overlap_s: float, ours, tmp_path
) -> None:
    sound, grid = recording(round(length_s * RATE_HZ)), WindowGrid(3.0, window_overlap_s)
    manifest = write_files(tmp_path, sound, cut(len(sound), duration_s, overlap_s), ours)
    found, expected = windows_of_files(manifest, grid), windows_of_ranges(tmp_path, sound, grid)
    assert list(found) == list(expected)
    for place, row in expected.items():
        np.testing.assert_array_equal(found[place], row)


@pytest.mark.parametrize("window_overlap_s", [0.0, 1.25])
@pytest.mark.parametrize(
    "cuts",
    [
        [(0, 50_000), (50_000, 100_000)],  # 49 to 50 s is the start of a window, 50 to 51 its end
        [(0, 50_000), (49_000, 99_000), (98_500, 120_000)],
        [(0, 50_000), (100_000, 150_000)],  # none between them
        [(40_000, 91_000), (91_000, 92_000), (92_000, 93_500)],  # shorter than a window
    ],
)
def test_files_that_overlap_by_less_lose_no_sound_and_score_none_twice(
    cuts: list[tuple[int, int]], window_overlap_s: float, tmp_path
) -> None:
    sound, grid = recording(150_000), WindowGrid(3.0, window_overlap_s)
    found = windows_of_files(write_files(tmp_path, sound, cuts, ours=True), grid)
    expected = windows_of_ranges(tmp_path, sound, grid)
    is_in_a_file = np.zeros(len(sound), bool)
    is_scored = np.zeros(len(sound), bool)
    for start, end in cuts:
        is_in_a_file[start:end] = True
    for start, end in found:
        is_scored[start:end] = True
        assert any(first <= start and end <= last for first, last in expected)
        np.testing.assert_array_equal(found[start, end][: end - start], sound[start:end])
        assert not found[start, end][end - start :].any()
    np.testing.assert_array_equal(is_scored, is_in_a_file)
    for start, end in expected:  # what a file holds whole is scored whole
        if any(first <= start and end <= last for first, last in cuts):
            assert (start, end) in found
    if not window_overlap_s:
        assert all(end <= start for (_, end), (start, _) in pairwise(found))


def test_a_window_stays_with_its_file_where_the_next_cannot_be_read(tmp_path) -> None:
    sound, grid = recording(60_000), WindowGrid(3.0)
    manifest = write_files(tmp_path, sound, [(0, 20_000), (15_000, 60_000)], ours=True)
    assert (18_000, 21_000) in windows_of_files(manifest, grid)
    (tmp_path / "R_chunk_15000_60000.wav").write_bytes(b"damaged")
    (first, second) = make_tasks(*read_requests([manifest]).values())
    assert first.task.chunk.file == FilePlace(0, 0, 0)
    assert second.task.chunk.file == FilePlace(15_000, 5000, 0)
    (tmp_path / "R_chunk_15000_60000.wav").unlink()
    assert list(windows_of_files(manifest, grid))[-1] == (18_000, 20_000)
