"""The notebook in docs/ runs, cell by cell, and holds no outputs."""

import json
from pathlib import Path

import pytest
from support.finished_dataset import BROKEN, copy_finished

_NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    return json.loads(_NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_runs_on_a_dataset(cells, tmp_path_factory, tmp_path, monkeypatch):
    copy_finished(tmp_path_factory, tmp_path / "my-dataset")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, cell in enumerate(one for one in cells if one["cell_type"] == "code"):
        code = compile("".join(cell["source"]), f"cell {number}", "exec")
        exec(code, names)  # noqa: S102
    assert names["not_analysed"]["recording_id"].tolist() == [BROKEN]
    assert names["hours"] == pytest.approx(17 / 3600)
    assert names["per_hour"].sum() == pytest.approx(len(names["detections"]) / names["hours"])
    assert len(names["detections"]) == 5


def test_the_notebook_holds_no_outputs(cells):
    code = [one for one in cells if one["cell_type"] == "code"]
    assert code
    assert not any(one["outputs"] or one["execution_count"] for one in code)
