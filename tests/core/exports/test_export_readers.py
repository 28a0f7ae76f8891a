"""Exports read by the programs they are for: crowsetta, opensoundscape, guano and frictionless."""

import json
import subprocess
from pathlib import Path

import pytest
from support.export_bench import WREN, Put
from support.finished_dataset import MARSH_1, MARSH_2, RIDGE, copy_finished

from badc_core.exports.formats import FORMATS
from badc_core.exports.writing import ExportOrder, write_export

_REPOSITORY = Path(__file__).resolve().parents[3]
_PYTHON = _REPOSITORY / ".venv-readers" / "bin" / "python"
_READING = _REPOSITORY / "tests" / "support" / "read_exports.py"


@pytest.fixture
def read_exports(lacking):
    """Returns what the programs find in the exports of a dataset."""
    if not (_PYTHON.parent.parent / ".installed").exists():
        lacking(".venv-readers (make .venv-readers/.installed)")

    def read(dataset, camtrap):
        for form in FORMATS:
            if form != "camtrap":
                write_export(dataset, ExportOrder(form))
        exports = dataset.export("raven").parent
        words = map(str, (_PYTHON, _READING, exports, dataset.root, camtrap))
        done = subprocess.run([*words], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return read


@pytest.mark.soak
def test_programs_read_what_is_exported_for_them(read_exports, bench, tmp_path_factory, tmp_path):
    place = {"latitude": 55.5, "longitude": -114.25}
    bench.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3), Put(3, 6, WREN)], **place)
    bench.add("b", "2024-06-02 05:30:00", 60, **place)
    package = bench.export("camtrap").folder
    dataset = copy_finished(tmp_path_factory, tmp_path / "finished")
    read = read_exports(dataset, package)

    starts = {MARSH_1: [0, 3, 6], MARSH_2: [0, 3]}
    assert read["crowsetta"]["boxes"] == {
        f"{name}.BADC.selection.table.txt": [[at, at + 3, 0, 8000, "B2000"] for at in own]
        for name, own in starts.items()
    }
    intervals = read["crowsetta"]["intervals"]
    assert intervals.keys() == {f"{name}.BADC.labels.txt" for name in starts}
    assert [one[:2] for one in intervals[f"{MARSH_1}.BADC.labels.txt"]] == [[0, 3], [3, 6], [6, 9]]

    clips = read["opensoundscape"]
    assert clips["classes"] == ["B2000"]
    assert clips["index"] == clips["own_index"], "clips are where opensoundscape itself cuts them"
    # From the scores of clips, and from Raven's tables: 10, 6 and 7 seconds, in order of names.
    assert clips["above"] == clips["labels"] == [1, 1, 1, 0, 0, 0, 1, 1, 0]

    assert read["guano"][f"{MARSH_2}.guano.txt"] == {
        "start": "2024-06-02T05:30:00-06:00",
        "length": 7.0,
        "species": "B2000",
        "analysed": "7.0",
    }
    assert read["guano"][f"{RIDGE}.guano.txt"]["species"] == ""
    assert read["package"] == {
        "errors": [],
        "rows": {"deployments": 1, "media": 2, "observations": 3},
    }
