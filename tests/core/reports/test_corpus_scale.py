"""What a corpus costs, measured by the benchmark on a small one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from badc_core.corpus.parts import ROWS, SUMMARIES

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "corpus_scale.py"


@pytest.mark.soak
def test_a_corpus_of_many_recordings_costs_what_is_promised():
    words = [sys.executable, BENCHMARK, "--rows", "1000000", "--recordings", "1000"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["rows"], found["recordings"]) == (1_000_000, 1000)
    # Nothing was left out, as before.
    assert found["files_written_for_one"] == len((*ROWS, *SUMMARIES)) - 1
    assert found["one_added_cpu_s"] - found["page_cpu_s"] < 10
    assert found["page_cpu_s"] / found["pages_written_for_one"] < 0.1
    assert found["peak_gib"] < 4
    assert found["page_bytes"] < 2_000_000
    # A part of 10,000 rows costs as much to begin as to write.
    assert found["rows"] / found["writing_cpu_s"] > 50_000
    assert found["parquet_bytes_per_row"] < 40
