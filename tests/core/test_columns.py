"""Writing tables."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from badc_core.columns import write_parquet


@pytest.mark.parametrize(("n_rows", "expected"), [(0, None), (500, "UNCOMPRESSED"), (501, "ZSTD")])
def test_only_large_tables_are_compressed_and_all_read_back(
    tmp_path: Path, n_rows: int, expected: str | None
) -> None:
    table, path = pa.table({"number": range(n_rows)}), tmp_path / "a.parquet"
    write_parquet(table, path)
    assert pq.read_table(path).equals(table)
    groups = pq.ParquetFile(path).metadata
    if expected is not None:
        assert groups.row_group(0).column(0).compression == expected
