import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.store import (
    FINGERPRINT_KEY,
    read_detections,
    read_effort,
    read_metadata,
    write_detections,
    write_effort,
)
from badc_core.errors import DetectionsInvalid


def test_what_is_written_is_read_back(tmp_path, make_detections, make_effort):
    path = tmp_path / "l'été 1" / "rec.parquet"
    write_detections(path, make_detections(), {FINGERPRINT_KEY: "abc"})
    table = read_detections(path)
    assert table.schema.equals(DETECTIONS)
    assert table.to_pylist() == make_detections().to_pylist()
    assert read_metadata(path) == {FINGERPRINT_KEY: "abc", "badc.schema": "3"}
    write_effort(path, make_effort())
    assert read_effort(path).schema.equals(EFFORT)
    assert read_effort(path).to_pylist() == make_effort().to_pylist()


@pytest.mark.parametrize("n", [0, 500])
def test_equal_input_gives_equal_bytes(tmp_path, make_detections, n):
    plain = make_detections(n)
    encoded = pa.concat_tables([plain.slice(n // 2), plain]).slice(n - n // 2)
    encoded = encoded.select(sorted(encoded.column_names)).cast(
        pa.schema([DETECTIONS.field(name) for name in sorted(DETECTIONS.names)])
    )
    for name, table in (("a", plain), ("b", encoded)):
        write_detections(tmp_path / name, table, {FINGERPRINT_KEY: "abc"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_column_is_named(tmp_path, make_detections):
    with pytest.raises(DetectionsInvalid, match="has no column confidence"):
        write_detections(tmp_path / "x", make_detections().drop_columns(["confidence"]))
    assert not (tmp_path / "x").exists()


def test_an_unknown_column_is_named(tmp_path, make_detections):
    table = make_detections().append_column("extra", pa.array([1, 2, 3]))
    with pytest.raises(DetectionsInvalid, match="has an unknown column extra"):
        write_detections(tmp_path / "x", table)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("confidence", ["high"] * 3, "column confidence is string, not double"),
        ("end_ms", [0.5] * 3, "column end_ms is double, not int64"),
        ("label", [None, "a", "b"], "column label is empty in 1 rows"),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(tmp_path, make_detections, column, values, message):
    table = make_detections()
    table = table.set_column(table.column_names.index(column), column, pa.array(values))
    with pytest.raises(DetectionsInvalid, match=message):
        write_detections(tmp_path / "x", table)


def test_a_file_of_another_schema_version_is_refused_by_name(tmp_path, make_detections):
    path = tmp_path / "rec.parquet"
    pq.write_table(make_detections().replace_schema_metadata({"badc.schema": "4"}), path)
    with pytest.raises(DetectionsInvalid, match=r"rec\.parquet: follows schema 4, expected 3"):
        read_detections(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 not really PAR1"])
def test_a_corrupt_file_names_itself(tmp_path, content):
    path = tmp_path / "rec.parquet"
    path.write_bytes(content)
    with pytest.raises(DetectionsInvalid, match=r"rec\.parquet: not a readable Parquet file"):
        read_detections(path)


def test_a_file_damaged_in_its_middle_names_itself(tmp_path, make_detections):
    path = tmp_path / "rec.parquet"
    write_detections(path, make_detections(500))
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    with pytest.raises(DetectionsInvalid, match=r"rec\.parquet: not a readable"):
        read_detections(path)


def test_an_absent_file_names_itself(tmp_path):
    with pytest.raises(DetectionsInvalid, match="there is no such file"):
        read_effort(tmp_path / "rec.parquet")
