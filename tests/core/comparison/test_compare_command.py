"""`badc infer compare` over what chunks' JSON files and datasets hold."""

import csv
import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from badc_core.chunks.plan import Chunk
from badc_core.cli.infer import infer
from badc_core.comparison.comparing import COMPARISON_COLUMNS
from badc_core.comparison.table_arguments import read_tables
from badc_core.dataset import Dataset, InferencePaths
from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.store import read_detections, write_detections, write_effort
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import BadcError, ContentMissing, DetectionsInvalid, DetectorFailed
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.manifest_runs.gather import Gathering, gather
from badc_core.provenance.in_work import mark
from badc_core.settings import Settings

RATE_HZ = 1000
OWL = Label("Owl, Great [Horned]", "GHOW", "Bubo virginianus")
BIRDNET = DetectorIdentity("birdnet", "2.4", "ab" * 32, "", 3.0)
HAWKEARS = DetectorIdentity("hawkears", "2.0", "cd" * 32, "", 3.0)


def at(start_s: int, label: Label = OWL, score: float = 0.5) -> Detection:
    return Detection(start_s * RATE_HZ, (start_s + 3) * RATE_HZ, label, score)


@pytest.fixture
def gathered(tmp_path):
    """Returns what makes a CSV and a Parquet file of chunks: recording -> found in each chunk.

    A chunk of which an error is told in place of detections has failed.
    """

    def make(name, detector, recordings):
        paths = InferencePaths(tmp_path / f"json {name}")
        for recording_id, chunks in recordings.items():
            for number, found in enumerate(chunks):
                times_ms = (10_000 * number, 10_000 * (number + 1))
                chunk = Chunk(recording_id, *times_ms, 0, RATE_HZ)
                error = found if isinstance(found, DetectorFailed) else None
                task = ChunkTask(Path("a.wav"), 60_000, chunk)
                kept = () if error else tuple(found)
                result = ChunkResult(task, kept, error, 1.0, "cpu-0")
                origin = ChunkOrigin(chunk.chunk_id, recording_id, "a.wav", *times_ms)
                write_chunk_json(paths, result, detector, origin)
        table = tmp_path / f"{name}.csv"
        gather(Gathering(paths.folder, table, table.with_suffix(".parquet")))
        return table

    return make


@pytest.fixture
def two(gathered):
    """Returns a table of each detector: one agreement, and one recording in silence."""
    birdnet = {"one": [[at(0), at(4)], [at(12)]], "two": [[at(0)]]}
    hawkears = {"one": [[at(2, score=0.75)], []], "two": [[]]}
    return gathered("b, été", BIRDNET, birdnet), gathered("h", HAWKEARS, hawkears)


@pytest.fixture
def dataset(tmp_path, two):
    """Returns a dataset with the first table's results: two recordings, a chunk each failed."""
    made = Dataset(tmp_path / "my dataset", Settings())
    found = read_detections(two[0].with_suffix(".parquet"))
    for number, recording_id in enumerate(("one", "two", "silent")):
        rows = [row for row in found.to_pylist() if row["recording_id"] == recording_id]
        table = pa.Table.from_pylist(rows, DETECTIONS)
        write_detections(
            made.detections(recording_id),
            table,
            {"badc.runner": "birdnet", "badc.model_version": "2.4"},
        )
        chunks = [
            {
                "recording_id": recording_id,
                "chunk_id": f"{recording_id}_{start_ms}",
                "chunk_start_ms": start_ms,
                "chunk_end_ms": start_ms + 10_000,
                "overlap_ms": 0,
                "status": status,
                "detections": 0,
                "effort_s": 10.0,
                "error": None,
            }
            for start_ms, status in ((0, "ok"), (10_000, "error" if number else "no_detections"))
        ]
        write_effort(made.effort(recording_id), pa.Table.from_pylist(chunks, EFFORT))
    return made


def run(*words, code=0):
    done = CliRunner().invoke(infer, ["compare", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def totals(path):
    """Returns detections and agreed of each table, from the JSON file of a comparison."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [(row["table"], row["detections"], row["agreed"]) for row in content["totals"]]


def test_the_table_on_screen_and_what_is_below_it(two):
    shown = run(*two)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Owl, Great [Horned] birdnet 2.4 4 0.50 0.50 2/1/1 2 ( 50%)" in lines
    assert "Bubo virginianus hawkears 2.0 1 0.75 0.75 1/0/1 1 (100%)" in lines
    assert "All species birdnet 2.4 4 0.50 0.50 2/1/1 2 ( 50%)" in lines
    assert f"birdnet 2.4: 4 of 4 detections compared, {two[0]}" in lines
    assert "Compared: 2 recordings, 30.0 s that all tables analysed" in lines
    assert "Species: 1; 1 found by all, 0 by birdnet 2.4 alone, 0 by hawkears 2.0 alone" in lines
    assert "Note" not in shown


def test_three_tables_have_columns_for_any_and_for_all(two, gathered):
    third = gathered("x", HAWKEARS, {"one": [[at(3)], [at(12)]], "two": [[]]})
    shown = run(*two, third, "--limit", 1)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Owl, Great [Horned] birdnet 2.4 4 0.50 0.50 2/1/1 3 ( 75%) 1 ( 25%)" in lines
    assert "Bubo virginianus h 1 0.75 0.75 1/0/1 1 (100%) 1 (100%)" in lines
    assert "x 2 0.50 0.50 1/0/1 2 (100%) 1 ( 50%)" in lines


def test_species_beyond_the_limit_are_told(gathered):
    found = {"one": [[at(0), at(0, Label("Dog")), at(5, Label("Dog"))]]}
    tables = (gathered("a", BIRDNET, found), gathered("b", HAWKEARS, found))
    shown = run(*tables, "--limit", 1)
    assert "and 1 more species: --limit 2" in shown
    assert "Owl" not in shown


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_file_has_a_row_for_each_species_and_ordered_pair(two, tmp_path, ending):
    path = tmp_path / "new" / f"a'b.{ending}"
    assert f"Table: {path}" in run(*two, "--output", path)
    if ending == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    elif ending == "parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert (content["schema"], content["effort_s"], content["notes"]) == (1, 30.0, [])
        assert [one["name"] for one in content["tables"]] == ["birdnet 2.4", "hawkears 2.0"]
        rows = content["species"]
    assert list(rows[0]) == [column.name for column in COMPARISON_COLUMNS]
    told = [
        (row["table"], row["other"], *map(float, (row["detections"], row["agreed"])))
        for row in rows
    ]
    assert told == [("birdnet 2.4", "hawkears 2.0", 4, 2), ("hawkears 2.0", "birdnet 2.4", 1, 1)]
    assert [float(row["share_agreed"]) for row in rows] == [0.5, 1.0]


def test_options_reach_the_comparison(two, tmp_path):
    path = tmp_path / "a.json"
    run(*two, "--output", path, "--min-overlap", 1.0)
    assert totals(path) == [("birdnet 2.4", 4, 2), ("hawkears 2.0", 1, 1)]
    run(*two, "--output", path, "--min-overlap", 1.001)
    assert totals(path) == [("birdnet 2.4", 4, 0), ("hawkears 2.0", 1, 0)]
    run(*two, "--output", path, "--tolerance", 7.001)
    assert totals(path) == [("birdnet 2.4", 4, 3), ("hawkears 2.0", 1, 1)]


def test_parquet_alone_cannot_tell_of_silence_and_that_is_noted(two, tmp_path):
    path = tmp_path / "a.json"
    files = [table.with_suffix(".parquet") for table in two]
    shown = run(*files, "--output", path)
    assert "What was analysed birdnet 2.4, hawkears 2.0 cannot tell" in shown
    assert "Left out, not analysed by hawkears 2.0: two." in shown
    assert totals(path) == [("birdnet 2.4", 3, 2), ("hawkears 2.0", 1, 1)]


def test_a_failed_chunk_is_no_silence(two, gathered, tmp_path):
    failed = gathered("f", HAWKEARS, {"one": [[], DetectorFailed("no luck")], "two": [[]]})
    path = tmp_path / "a.json"
    shown = run(two[0], failed, "--output", path)
    assert "compared as far as they were: one." in shown
    assert totals(path) == [("birdnet 2.4", 3, 0), ("hawkears 2.0", 0, 0)]


@pytest.mark.parametrize("given", ["", "artifacts/aggregate", "artifacts/aggregate/../aggregate/."])
def test_a_dataset_tells_what_it_analysed(dataset, two, given):
    (table,) = read_tables([str(dataset.root / given)])
    assert (table.name, table.n_settings, len(table.found)) == ("birdnet 2.4", 1, 4)
    assert sorted(table.covered.to_pylist(), key=str) == [
        {"recording_id": one, "chunk_start_ms": start_ms, "chunk_end_ms": start_ms + 10_000}
        for one, start_ms in (("one", 0), ("one", 10_000), ("silent", 0), ("two", 0))
    ]
    assert "Left out, not analysed by hawkears 2.0: silent." in run(dataset.root, two[1])


def test_a_file_of_a_dataset_has_its_effort_beside_it(dataset):
    (table,) = read_tables([str(dataset.detections("silent"))])
    assert table.name == "birdnet 2.4", "known where nothing was found"
    assert (len(table.found), len(table.covered)) == (0, 1)


def test_what_a_dataset_has_not_finished_does_not_count(dataset, two):
    mark(dataset, "detections", "one")
    dataset.effort("two").unlink()
    shutil.copy(two[0].with_suffix(".parquet"), dataset.aggregate / "gathered.parquet")
    (table,) = read_tables([str(dataset.root)])
    assert table.covered["recording_id"].to_pylist() == ["silent"]
    assert len(table.found) == 0
    dataset.effort("silent").unlink()
    with pytest.raises(DetectionsInvalid, match="no recording in it has been analysed"):
        read_tables([str(dataset.root)])


def test_kept_artifacts_are_taken_as_a_dataset(dataset, tmp_path):
    shutil.copytree(dataset.artifacts, tmp_path / "kept" / "artifacts")
    (table,) = read_tables([f"before={tmp_path / 'kept'}"])
    assert (table.name, len(table.found), len(table.covered)) == ("before", 4, 4)


def test_tables_have_names_of_their_own(gathered, two, tmp_path):
    low = gathered("low", BIRDNET, {"one": [[at(0)]]})
    (tmp_path / "x=y").mkdir()
    other = shutil.copy(low, tmp_path / "x=y" / "low.csv")

    def names(*arguments):
        return [table.name for table in read_tables([str(one) for one in arguments])]

    assert names(*two) == ["birdnet 2.4", "hawkears 2.0"]
    assert names(two[0], low) == ["b, été", "low"]
    assert names(low, other) == [str(low), str(other)]
    assert names(low, low, two[1]) == [f"{low} #1", f"{low} #2", "hawkears 2.0"]
    assert names(f"a={low}", f"a={low}") == ["a #1", "a #2"]
    assert names(f"low={two[1]}", two[0], low) == ["low", "b, été", str(low)]


def test_results_of_several_detectors_are_named_for_the_file_and_noted(gathered, two):
    mixed = gathered("mixed", BIRDNET, {"one": [[at(0)]]})
    gathered("mixed", HAWKEARS, {"two": [[at(0)]]})
    assert "Note: mixed has results of 2 detectors or settings." in run(mixed, two[1])


def test_the_same_table_twice_agrees_throughout(two, tmp_path):
    path = tmp_path / "a.json"
    run(f"a={two[0]}", f"b={two[0]}", "--output", path)
    assert totals(path) == [("a", 4, 4), ("b", 4, 4)]


def broken(tmp_path, two):
    """Yields files that are no tables, and what is said of them."""
    stored = pq.read_table(two[0].with_suffix(".parquet"))
    lines = two[0].read_text(encoding="utf-8").splitlines()
    yield tmp_path / "none.parquet", None, ContentMissing, "there is no such file or folder"
    yield tmp_path / "text.parquet", "hello", DetectionsInvalid, "not a readable Parquet file"
    yield tmp_path / "a.csv", "", DetectionsInvalid, "has no columns recording_id, absolute_time_"
    yield tmp_path / "b.csv", lines[0] + "\nx", DetectionsInvalid, "not a readable CSV file"
    nothing = stored.drop(["confidence", "runner"])
    yield tmp_path / "c.parquet", nothing, DetectionsInvalid, "has no columns confidence, runner"
    scores = stored.set_column(
        stored.schema.get_field_index("confidence"), "confidence", pa.array([float("nan")] * 4)
    )
    yield tmp_path / "d.parquet", scores, DetectionsInvalid, "confidence has values that are not"
    kinds = stored.set_column(
        stored.schema.get_field_index("absolute_time_ms"),
        "absolute_time_ms",
        pa.array(["early"] * 4),
    )
    yield tmp_path / "e.parquet", kinds, DetectionsInvalid, "column absolute_time_ms is string"
    unsure = stored.set_column(
        stored.schema.get_field_index("is_detection"), "is_detection", pa.nulls(4, pa.bool_())
    )
    yield tmp_path / "f.parquet", unsure, DetectionsInvalid, "is_detection is empty in 4 rows"
    newer = stored.replace_schema_metadata({"badc.schema": "99"})
    yield tmp_path / "g.parquet", newer, DetectionsInvalid, "follows schema 99, expected 1"


def test_what_is_no_table_is_named_with_what_is_wrong_and_what_to_give(two, tmp_path):
    for path, content, kind, complaint in broken(tmp_path, two):
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif content is not None:
            pq.write_table(content, path)
        with pytest.raises(kind, match=re.escape(f"{path}: ")) as told:
            read_tables([str(path)])
        assert complaint in str(told.value)
        assert "Give a table of badc infer aggregate, or a dataset's folder" in str(told.value)


def test_a_file_written_again_by_another_program_is_read(two, tmp_path):
    path = tmp_path / "again.parquet"
    table = pq.read_table(two[0].with_suffix(".parquet")).replace_schema_metadata(None)
    pq.write_table(table.drop(["chunk_id", "status", "n_merged"]), path)
    assert len(read_tables([str(path)])[0].found) == 4


def test_a_folder_that_is_no_dataset_and_content_that_is_elsewhere_are_told(two, tmp_path):
    with pytest.raises(DetectionsInvalid, match=r"give one: b, été\.csv, b, été\.parquet, h\.csv"):
        read_tables([str(tmp_path)])
    (tmp_path / "link.parquet").symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    with pytest.raises(ContentMissing, match="not on this machine"):
        read_tables([str(tmp_path / "link.parquet")])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give two or more"),
        (["h.csv", "--output", "a.txt"], "must end in .csv, .json, .parquet"),
        (["h.csv", "--tolerance", "nan"], "'--tolerance'"),
        (["h.csv", "--tolerance", "inf"], "'--tolerance'"),
        (["h.csv", "--min-overlap", "-1"], "'--min-overlap'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_read(words, complaint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert complaint in run("b.csv", *words, code=2)


def test_recordings_of_other_names_are_an_error(gathered, two, tmp_path):
    other = gathered("other", HAWKEARS, {"three": [[at(0)]]})
    with pytest.raises(BadcError, match=r"birdnet 2\.4 has one, two; hawkears 2\.0 has three"):
        run(two[0], other, "--output", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_the_page_explains_every_column():
    page = Path(__file__).resolve().parents[3] / "docs" / "infer.md"
    section = page.read_text(encoding="utf-8").partition("## badc infer compare")[2]
    section = section.partition("\n## ")[0]
    assert [one.name for one in COMPARISON_COLUMNS if f"`{one.name}`" not in section] == []
