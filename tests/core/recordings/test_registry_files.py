"""recordings.csv as spreadsheets and strangers write it."""

from pathlib import Path

import pytest

from badc_core.errors import DatasetInvalid
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registry import read_registry

HEADER = "recording_id,path,size_bytes,modified_ns,fingerprint\n"


def write(tmp_path: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "recordings.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_table_is_read_with_or_without_a_byte_order_mark(tmp_path: Path, encoding) -> None:
    path = write(tmp_path, "a,audio/Été.wav,1,2,ff", encoding=encoding)
    assert read_registry(path).require("a").path == "audio/Été.wav"


@pytest.mark.parametrize(
    "recording_id",
    [
        *("../../../evil", "/etc/evil", "a/b", "a\\b", "..", ".", ".hidden", "a\0b", "a\x1bb"),
        *("x" * 241, "é" * 121),
    ],
    ids=range(11),
)
def test_a_name_that_leads_elsewhere_is_refused_with_its_line(tmp_path: Path, recording_id) -> None:
    path = write(tmp_path, "a,audio/a.wav,,,", f"{recording_id},audio/b.wav,,,")
    with pytest.raises(DatasetInvalid, match="line 3: recording_id: cannot name files") as caught:
        read_registry(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "place", ["../evil.wav", "/etc/evil.wav", "audio/../../a.wav", "a\0.wav", ""]
)
def test_a_path_that_leaves_the_dataset_is_refused_with_its_line(tmp_path: Path, place) -> None:
    path = write(tmp_path, f"a,{place},,,")
    with pytest.raises(DatasetInvalid, match="line 2: path: is not a path inside the dataset"):
        read_registry(path)


def test_an_unreadable_table_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").mkdir()
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        read_registry(tmp_path / "recordings.csv")


@pytest.mark.parametrize("rows", ["9" * 5000, "1e999", "NaN"])
def test_an_odd_number_is_one_clear_error(tmp_path: Path, rows) -> None:
    with pytest.raises(DatasetInvalid, match="line 2: size_bytes"):
        read_registry(write(tmp_path, f"a,audio/a.wav,{rows},,"))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}", b"\0", b"[]"])
def test_a_spoilt_description_is_one_clear_error(tmp_path: Path, content) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DatasetInvalid, match="not a recording description"):
        read_recording(path)
