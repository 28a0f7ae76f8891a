"""The journal of a recording's chunks: torn at any byte, shared, spoilt, full, and read again."""

import dataclasses
import json
import multiprocessing
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badc_core.chunks.plan import Chunk, FilePlace
from badc_core.detectors.interface import NO_CONTEXT, Detection, Label, RecordingContext
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import DetectorFailed, StorageFull
from badc_core.inference.journal import Journal, chunk_key

RATE_HZ = 16_000
SONG = Detection(0, 48_000, Label('Été\'s "song"\n', "ÉTÉ", "Avis aestatis"), 0.1 + 0.2)


def task(number: int) -> ChunkTask:
    start = number * RATE_HZ
    return ChunkTask(Path("a.wav"), 10**9, Chunk("a", start, start + RATE_HZ, 0, RATE_HZ))


def key(
    number: int, config_hash: str = "settings", recording_context: RecordingContext = NO_CONTEXT
) -> str:
    return chunk_key(config_hash, f"sha of chunk {number}", recording_context=recording_context)


def result(number: int, *detections: Detection) -> ChunkResult:
    return ChunkResult(task(number), detections, None, 0.25 + number, f"cpu-{number}", number + 1)


def failure(number: int) -> ChunkResult:
    error = DetectorFailed("it broke", "a", "Mend it")
    return ChunkResult(task(number), (), error, 0.5, "cpu-0", 3)


def known(path: Path, n_chunks: int = 9, **bound_to) -> dict[int, ChunkResult]:
    keys = {key(number, **bound_to): number for number in range(n_chunks)}
    found = Journal(path).known({one: task(number) for one, number in keys.items()})
    return {keys[one]: each for one, each in found.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "infer" / "a" / "journal.jsonl"


def written(path: Path, n_chunks: int = 3) -> Journal:
    journal = Journal(path)
    for number in range(n_chunks):
        journal.append(key(number), result(number, SONG))
    return journal


def test_no_file_means_that_nothing_is_known_and_makes_none(path: Path) -> None:
    assert known(path) == {}
    assert not path.parent.exists()


def test_what_was_found_comes_back_as_it_was_and_says_that_it_is_resumed(path: Path) -> None:
    written(path)
    expected = {
        number: dataclasses.replace(result(number, SONG), is_resumed=True) for number in range(3)
    }
    assert known(path) == expected


def test_torn_at_any_byte_the_lines_with_an_end_count_and_the_next_line_is_whole(
    path: Path,
) -> None:
    written(path)
    content = path.read_bytes()
    assert content.count(b"\n") == 3
    for n_bytes in range(len(content) + 1):
        path.write_bytes(content[:n_bytes])
        n_complete = content[:n_bytes].count(b"\n")
        assert known(path).keys() == set(range(n_complete))
        Journal(path).append(key(7), result(7, SONG))
        after = known(path)
        # A line that lacks nothing but its end gets it from the one that follows.
        lacks_its_end = content[n_bytes : n_bytes + 1] == b"\n"
        assert after.keys() == {*range(n_complete + lacks_its_end), 7}
        assert all(one.detections == (SONG,) for one in after.values())


REST = b'"runtime_s":1,"worker":"w","attempt":1,"peak_rss_mib":1}'
GARBAGE = [
    b"",
    b"\0" * 500,
    b"\xff\xfe{\0}\0",
    b"\xc3(",
    b"null",
    b"[]",
    b"7",
    b"{}",
    b'{"status":"success"}',
    b'{"status":"success","key":["a","list"]}',
    b'{"status":"success","key":{}}',
    b'{"status":"success","key":"KEY"}',
    b'{"status":"success","key":"KEY","detections":5,' + REST,
    b'{"status":"success","key":"KEY","detections":[[1,2]],' + REST,
    b'{"status":"success","key":"KEY","detections":[[1,2,3,4,5,6,7,8,9]],' + REST,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=[str(one[:40]) for one in GARBAGE])
def test_spoilt_bytes_in_the_middle_cost_only_the_lines_they_lie_in(
    path: Path, garbage: bytes
) -> None:
    written(path)
    first, second, third, _ = path.read_bytes().split(b"\n")
    spoilt = garbage.replace(b"KEY", key(5).encode())
    path.write_bytes(b"\n".join([first, spoilt, second[:-9] + spoilt, third, b""]))
    assert known(path).keys() == {0, 2}
    Journal(path).append(key(5), result(5, SONG))
    assert known(path).keys() == {0, 2, 5}


@given(st.data())
def test_any_byte_changed_never_gives_another_detection(
    tmp_path_factory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    written(path)
    content = bytearray(path.read_bytes())
    starts = [0, *(index + 1 for index, byte in enumerate(content) if byte == ord("\n"))]
    position = data.draw(st.integers(0, len(content) - 1))
    touched = sum(start <= position for start in starts) - 1
    content[position] = data.draw(st.sampled_from([0, 10, 34, 44, 0x80, 0xFF]))
    path.write_bytes(content)
    found = known(path)
    # Where a line lost its end, it costs the one it runs into too.
    assert set(range(3)) - {touched, touched + 1} <= found.keys()
    assert all(one.detections == (SONG,) for one in found.values())


@pytest.mark.parametrize(
    ("written_as", "spoilt_as"), [(r',"checksum":"\w+"', ""), ('"attempt":2', '"attempt":3')]
)
def test_a_line_without_its_checksum_or_with_another_is_as_if_not_there(
    path: Path, caplog, written_as: str, spoilt_as: str
) -> None:
    written(path)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    spoilt = re.sub(written_as, spoilt_as, lines[1])
    assert spoilt != lines[1]
    path.write_text(lines[0] + spoilt + lines[2], "utf-8")
    for _ in range(2):
        assert known(path).keys() == {0, 2}
    assert caplog.text.count("damaged lines are left out") == 1


@pytest.mark.parametrize(
    "other",
    [
        chunk_key("other settings", "sha of chunk 0"),
        chunk_key("settings", "another sha"),
        chunk_key(
            "settings", "sha of chunk 0", recording_context=RecordingContext(62.4, -121.0, None)
        ),
        chunk_key("settings", "sha of chunk 0", 480),
        chunk_key("settings", "sha of chunk 0", place=FilePlace(48_000)),
        chunk_key(
            "settings",
            "sha of chunk 0",
            recording_context=RecordingContext(None, None, "2024-05-28"),
        ),
    ],
)
def test_lines_under_other_settings_of_other_sound_or_another_context_do_not_count(
    path: Path, other: str
) -> None:
    journal = Journal(path)
    journal.append(other, result(0, SONG))
    assert known(path) == {}
    journal.append(key(0), result(0))
    assert known(path)[0].detections == ()


def test_every_part_of_a_context_makes_another_key() -> None:
    occasions = [
        RecordingContext(latitude, longitude, date)
        for latitude in (None, 0.0, 60.25)
        for longitude in (None, 0.0, 60.25)
        for date in (None, "", "2024-05-28")
    ]
    assert len({key(0, recording_context=one) for one in occasions}) == len(occasions)


def test_failures_are_written_down_and_not_known(path: Path) -> None:
    journal = Journal(path)
    journal.append(key(0), failure(0))
    assert known(path) == {}
    (line,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (line["status"], line["chunk_id"], line["attempt"]) == ("failure", "a_chunk_0_1000", 3)
    assert line["error"] == "a: it broke. Mend it"
    journal.append(key(0), result(0, SONG))
    assert known(path)[0].detections == (SONG,)
    journal.append(key(0), failure(0))
    assert known(path)[0].detections == (SONG,)


def test_of_two_results_of_a_chunk_one_counts(path: Path) -> None:
    journal = Journal(path)
    journal.append(key(0), result(0, SONG))
    journal.append(key(0), result(0, SONG))
    assert known(path).keys() == {0}


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
DETECTIONS = st.builds(
    Detection,
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.builds(Label, TEXTS, TEXTS, TEXTS),
    st.floats(0, 1),
    st.sampled_from([None, True, False]),
    st.none() | st.floats(0, 1),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(DETECTIONS, max_size=5),
    st.floats(0, 1e6),
    TEXTS,
    st.integers(1, 99),
)
def test_detections_come_back_to_the_last_bit(
    tmp_path_factory, detections, runtime_s: float, worker: str, attempt: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    made = ChunkResult(task(0), tuple(detections), None, runtime_s, worker, attempt)
    Journal(path).append(key(0), made)
    assert path.read_bytes().count(b"\n") == 1
    (back,) = known(path).values()
    assert back.detections == made.detections
    assert [type(one.is_expected) for one in back.detections] == [
        type(one.is_expected) for one in made.detections
    ]
    assert (back.task, back.worker, back.attempt) == (made.task, worker, attempt)
    assert back.runtime_s == pytest.approx(runtime_s, abs=1e-4)
    assert (back.error, back.is_resumed) == (None, True)


def test_a_full_disk_is_told_by_name_and_leaves_what_is_known(path: Path, lacking) -> None:
    full = Path("/dev/full")
    if not full.exists():
        lacking("/dev/full, which is a disk without space")
    written(path)
    kept = path.rename(path.with_name("kept"))
    path.symlink_to(full)
    with pytest.raises(StorageFull) as caught:
        Journal(path).append(key(5), result(5, SONG))
    assert str(path) in str(caught.value)
    path.unlink()
    kept.rename(path)
    assert known(path).keys() == {0, 1, 2}


N_LINES = 200


def write_many(path: Path, first: int) -> None:
    journal = Journal(path)
    for number in range(first, first + N_LINES):
        journal.append(key(number), result(number, *[SONG] * (number % 7)))


def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, first)) for first in (0, N_LINES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = known(path, 2 * N_LINES)
    assert found.keys() == set(range(2 * N_LINES))
    assert all(one.detections == (SONG,) * (number % 7) for number, one in found.items())


def test_removing_leaves_journals_of_other_recordings(path: Path) -> None:
    journal = written(path)
    other = path.with_name("b.jsonl")
    other.write_text("{}")
    keys = {key(number) for number in range(3)}
    journal.forget(keys)
    assert list(path.parent.iterdir()) == [other]
    journal.forget(keys)
    assert other.exists()


def test_forgetting_leaves_the_results_of_other_models(path: Path) -> None:
    journal = written(path)
    journal.append(key(0, "another model"), result(0, SONG, SONG))
    journal.append(key(3), failure(3))
    journal.forget({key(number) for number in range(4)})
    assert known(path) == {}
    (kept,) = known(path, config_hash="another model").values()
    assert kept.detections == (SONG, SONG)
    assert len(path.read_text().splitlines()) == 1


def test_results_that_were_kept_down_to_less_are_not_known(path: Path) -> None:
    journal = Journal(path)
    journal.append(key(0), dataclasses.replace(result(0), floor=0.1))
    journal.append(key(1), result(1))
    tasks = {key(number): task(number) for number in range(2)}
    assert journal.known(tasks, floor=0.05).keys() == {key(1)}
    assert journal.known(tasks, floor=0.1).keys() == set(tasks)
    assert journal.known(tasks, floor=0.2)[key(0)].floor == 0.1
