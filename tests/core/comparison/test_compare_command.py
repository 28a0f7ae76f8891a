"""`badc infer compare` over what chunks' JSON files and datasets hold."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.commands import RecordedOutput
from typer.testing import CliRunner

from badc_core.chunks.plan import Chunk
from badc_core.cli.comparison_table import show_comparison
from badc_core.cli.infer import infer
from badc_core.comparison.comparing import COMPARISON_COLUMNS, Rule, compare_tables
from badc_core.comparison.table_arguments import parse_tables, read_tables
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.store import read_detections, write_detections, write_effort
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import BadcError, ContentMissing, DetectionsInvalid, DetectorFailed
from badc_core.inference.aggregation import AggregationRequest, aggregate_chunks
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.settings import Settings
from badc_core.stages.work import Work

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
        aggregate_chunks(AggregationRequest(paths.folder, table, table.with_suffix(".parquet")))
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


def read(*arguments):
    return read_tables(parse_tables([str(one) for one in arguments]))


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
    assert "Owl, Great [Horned] birdnet 4 0.50 0.50 2/1/1 2 (50%)" in lines
    assert "Bubo virginianus hawkears 1 0.75 0.75 1/0/1 1 (100%)" in lines
    assert "All species birdnet 4 0.50 0.50 2/1/1 2 (50%)" in lines
    assert f"birdnet: 4 of 4 detections compared, {two[0]}" in lines
    assert "Compared: 2 recordings, 30.0 s that all tables analysed" in lines
    assert "Species: 1; 1 found by all, 0 by birdnet alone, 0 by hawkears alone" in lines
    assert "Note" not in shown


def test_three_tables_have_columns_for_any_and_for_all(two, gathered):
    third = gathered("x", HAWKEARS, {"one": [[at(3)], [at(12)]], "two": [[]]})
    shown = run(*two, third, "--limit", 1)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Owl, Great [Horned] birdnet 4 0.50 0.50 2/1/1 3 (75%) 1 (25%)" in lines
    assert "Bubo virginianus h 1 0.75 0.75 1/0/1 1 (100%) 1 (100%)" in lines
    assert "x 2 0.50 0.50 1/0/1 2 (100%) 1 (50%)" in lines


def test_three_tables_of_default_names_have_room_in_eighty_columns(gathered, monkeypatch):
    label = Label("Evening Grosbeak (Western)", "EVGR", "Coccothraustes vespertinus")
    found = {"one": [[at(0, label), at(4, label)], [at(2, label)]]}
    detectors = (BIRDNET, HAWKEARS, replace(HAWKEARS, name="hawkears1"))
    tables = [gathered(f"t{n}", one, found) for n, one in enumerate(detectors)]
    comparison = compare_tables(read(*tables), Rule())
    out = RecordedOutput(width=80)
    show_comparison(comparison, 20, out)
    lines = out.text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Evening"))
    assert [line.split("  ")[0].strip() for line in lines[start : start + 5]] == [
        *("Evening", "Grosbeak", "(Western)", "Coccothraustes", "vespertinus")
    ]
    assert [line.split()[-9] for line in lines[start : start + 3]] == [
        *("birdnet", "hawkears", "hawkears1")
    ]
    together = next(n for n, line in enumerate(lines) if line.startswith("All species"))
    assert lines[together + 1].startswith("Recordings: any")
    assert "Recordings: with one / with one in no other table / with one in all tables" in lines


def test_a_long_name_is_folded_and_the_figures_stay_in_its_first_line(two):
    comparison = compare_tables(read(f"the first one={two[0]}", f"{'x' * 20}={two[1]}"), Rule())
    out = RecordedOutput(width=80)
    show_comparison(comparison, 20, out)
    lines = [" ".join(line.split()) for line in out.text.splitlines()]
    start = next(n for n, line in enumerate(lines) if line.startswith("Owl"))
    assert lines[start : start + 3] == [
        "Owl, Great [Horned] the first one 4 0.50 0.50 2/1/1 2 (50%)",
        f"Bubo virginianus {'x' * 13} 1 0.75 0.75 1/0/1 1 (100%)",
        "x" * 7,
    ]


def test_a_share_is_whole_only_if_all_agree_and_nothing_only_if_none_does(gathered):
    many = [Detection(30 * n, 30 * n + 30, OWL, 0.5) for n in range(300)]
    nearly = gathered("nearly", BIRDNET, {"one": [many]})
    assert "300 (100%)" in run(nearly, nearly)
    shown = run(nearly, gathered("others", HAWKEARS, {"one": [many[:-1]]}))
    assert "299 (99%)" in shown
    assert "299 (100%)" in shown
    shown = run(nearly, gathered("few", HAWKEARS, {"one": [many[:1]]}))
    assert "1 (1%)" in shown
    shown = run(nearly, gathered("none", HAWKEARS, {"one": [[]]}))
    assert "0 (0%)" in shown


def test_what_is_found_by_whom_goes_by_what_reaches_into_the_common_part(gathered):
    first = gathered("first", BIRDNET, {"one": [DetectorFailed("no luck"), [at(10)]]})
    other = gathered("other", HAWKEARS, {"one": [[at(9)], []]})
    assert "Species: 1; 1 found by all, 0 by birdnet alone" in run(first, other)


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
        assert [one["name"] for one in content["tables"]] == ["birdnet", "hawkears"]
        assert [one["detectors"] for one in content["tables"]] == [
            ["birdnet 2.4"],
            ["hawkears 2.0"],
        ]
        rows = content["species"]
    assert list(rows[0]) == [column.name for column in COMPARISON_COLUMNS]
    told = [
        (row["table"], row["other"], *map(float, (row["detections"], row["agreed"])))
        for row in rows
    ]
    assert told == [("birdnet", "hawkears", 4, 2), ("hawkears", "birdnet", 1, 1)]
    assert [float(row["share_agreed"]) for row in rows] == [0.5, 1.0]


def test_options_reach_the_comparison(two, tmp_path):
    path = tmp_path / "a.json"
    run(*two, "--output", path, "--min-overlap", 1.0)
    assert totals(path) == [("birdnet", 4, 2), ("hawkears", 1, 1)]
    run(*two, "--output", path, "--min-overlap", 1.001)
    assert totals(path) == [("birdnet", 4, 0), ("hawkears", 1, 0)]
    run(*two, "--output", path, "--tolerance", 7.001)
    assert totals(path) == [("birdnet", 4, 3), ("hawkears", 1, 1)]


def test_parquet_alone_cannot_tell_of_silence_and_that_is_noted(two, tmp_path):
    path = tmp_path / "a.json"
    files = [table.with_suffix(".parquet") for table in two]
    shown = run(*files, "--output", path)
    assert "birdnet, hawkears: the table does not say what was analysed" in shown
    assert "Left out, not analysed by hawkears: two." in shown
    assert totals(path) == [("birdnet", 3, 2), ("hawkears", 1, 1)]


@pytest.mark.parametrize("given", ["", "artifacts/aggregate", "artifacts/aggregate/../aggregate/."])
def test_a_dataset_tells_what_it_analysed(dataset, two, given):
    (table,) = read(dataset.root / given)
    assert (table.name, table.n_settings, len(table.found)) == ("birdnet", 1, 4)
    assert sorted(table.covered.to_pylist(), key=str) == [
        {"recording_id": one, "start_ms": start_ms, "end_ms": start_ms + 10_000}
        for one, start_ms in (("one", 0), ("one", 10_000), ("silent", 0), ("two", 0))
    ]
    assert "Left out, not analysed by hawkears: silent." in run(dataset.root, two[1])


def test_a_file_of_a_dataset_has_its_effort_beside_it(dataset):
    (table,) = read(dataset.detections("silent"))
    assert table.name == "birdnet", "known where nothing was found"
    assert (len(table.found), len(table.covered)) == (0, 1)


def test_what_a_dataset_has_not_finished_does_not_count(dataset, two):
    Work(dataset.work_folder).begin("detections", "one").leave()
    dataset.effort("two").unlink()
    shutil.copy(two[0].with_suffix(".parquet"), dataset.aggregate / "gathered.parquet")
    (table,) = read(dataset.root)
    assert table.covered["recording_id"].to_pylist() == ["silent"]
    assert len(table.found) == 0
    dataset.effort("silent").unlink()
    with pytest.raises(DetectionsInvalid, match="no recording in it has been analysed"):
        read(dataset.root)


def test_kept_artifacts_are_taken_as_a_dataset(dataset, tmp_path):
    shutil.copytree(dataset.artifacts, tmp_path / "kept" / "artifacts")
    (table,) = read(f"before={tmp_path / 'kept'}")
    assert (table.name, len(table.found), len(table.covered)) == ("before", 4, 4)


def test_tables_have_names_of_their_own(gathered, two, tmp_path):
    low = gathered("low", BIRDNET, {"one": [[at(0)]]})
    (tmp_path / "x=y").mkdir()
    other = shutil.copy(low, tmp_path / "x=y" / "low.csv")

    def names(*arguments):
        return [table.name for table in read(*arguments)]

    assert names(*two) == ["birdnet", "hawkears"]
    assert names(two[0], low) == ["b, été", "low"]
    assert names(low, other) == [str(low), str(other)]
    assert names(low, low, two[1]) == [f"{low} #1", f"{low} #2", "hawkears"]
    older = gathered("older", replace(BIRDNET, version="2.3"), {"one": [[at(0)]]})
    assert names(low, older, two[1]) == ["birdnet 2.4", "birdnet 2.3", "hawkears"]
    assert names(f"low={two[1]}", two[0], low) == ["low", "b, été", str(low)]


def test_results_of_several_detectors_are_named_for_the_file_and_noted(gathered, two):
    mixed = gathered("mixed", BIRDNET, {"one": [[at(0)]]})
    gathered("mixed", HAWKEARS, {"two": [[at(0)]]})
    assert "Note: mixed has results of 2 detectors or settings." in run(mixed, two[1])


def overlapping(paths, outcomes, detector=HAWKEARS):
    """Writes chunks of ten seconds that begin nine apart; an error stands for one that failed."""
    for number, found in enumerate(outcomes):
        times_ms = (9000 * number, 9000 * number + 10_000)
        overlap_ms = 1000 if number else 0
        chunk = Chunk("one", *times_ms, overlap_ms, RATE_HZ)
        error = found if isinstance(found, DetectorFailed) else None
        kept = () if error else tuple(found)
        result = ChunkResult(ChunkTask(Path("a.wav"), 60_000, chunk), kept, error, 1.0, "cpu-0")
        origin = ChunkOrigin(
            *(chunk.chunk_id, "one", "a.wav", *times_ms, overlap_ms),
            notes="virtual: x",
            config_hash="c0",
        )
        write_chunk_json(paths, result, detector, origin)


@pytest.mark.parametrize("kind", ["csv", "dataset"])
def test_the_end_of_a_failed_chunk_is_no_silence_although_the_next_chunk_has_it(
    gathered, tmp_path, kind
):
    # A window that begins at 9 s belongs to the first chunk, which failed; the second has it too.
    heard = gathered("heard", BIRDNET, {"one": [[at(9)], [at(10)]]})
    if kind == "csv":
        paths = InferencePaths(tmp_path / "json failed")
        overlapping(paths, [DetectorFailed("no luck"), [], []])
        failed = tmp_path / "failed.csv"
        aggregate_chunks(AggregationRequest(paths.folder, failed))
    else:
        made = Dataset(tmp_path / "failed", Settings())
        effort = [
            {
                "recording_id": "one",
                "chunk_id": f"one_{start_ms}",
                "chunk_start_ms": start_ms,
                "chunk_end_ms": start_ms + 10_000,
                "overlap_ms": 1000 if start_ms else 0,
                "status": "no_detections" if start_ms else "error",
                "detections": 0,
                "effort_s": 9.0,
                "error": None,
            }
            for start_ms in (0, 9000, 18_000)
        ]
        metadata = {"badc.runner": "hawkears", "badc.model_version": "2.0"}
        write_detections(made.detections("one"), DETECTIONS.empty_table(), metadata)
        write_effort(made.effort("one"), pa.Table.from_pylist(effort, EFFORT))
        failed = made.root
    (table,) = read(failed)
    covered = [(row["start_ms"], row["end_ms"]) for row in table.covered.to_pylist()]
    assert sorted(covered) == [(10_000, 19_000), (19_000, 28_000)]
    path = tmp_path / "a.json"
    run(heard, failed, "--output", path)
    assert totals(path) == [("birdnet", 1, 0), ("hawkears", 0, 0)]


def test_a_table_made_before_it_told_overlaps_is_read(two, tmp_path):
    rows = list(csv.reader(two[0].read_text(encoding="utf-8").splitlines()))
    assert rows[0][-1] == "overlap_ms"
    old = tmp_path / "old.csv"
    with old.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(row[:-1] for row in rows)
    assert read(old)[0].covered.equals(read(two[0])[0].covered)


def test_a_recording_that_was_cut_in_two_ways_counts_once(gathered, two, tmp_path):
    # The second way: the whole recording as one chunk, with a better score for one detection.
    paths = InferencePaths(tmp_path / "json b, été")
    chunk = Chunk("one", 0, 20_000, 0, RATE_HZ)
    found = (at(0), at(4, score=0.75), at(12), at(16))
    result = ChunkResult(ChunkTask(Path("a.wav"), 60_000, chunk), found, None, 1.0, "cpu-0")
    write_chunk_json(paths, result, BIRDNET, ChunkOrigin("whole", "one", "a.wav", 0, 20_000))
    aggregate_chunks(AggregationRequest(paths.folder, two[0], two[0].with_suffix(".parquet")))
    for table in (two[0], two[0].with_suffix(".parquet")):
        path = tmp_path / "a.json"
        shown = run(table, two[1], "--output", path)
        assert "birdnet: 3 detections are in it more than once and are counted once" in shown
        assert totals(path)[0] == ("birdnet", 5, 2)
        assert sorted(read(table)[0].found["confidence"].to_pylist()) == [0.5] * 4 + [0.75]


def test_one_detection_of_two_settings_is_two(gathered, two):
    (row, *_) = read_detections(two[0].with_suffix(".parquet")).to_pylist()
    path = two[0].with_name("settings.parquet")
    rows = [row, {**row, "config_hash": "other"}, {**row, "label_name": "Dog"}]
    pq.write_table(pa.Table.from_pylist(rows, DETECTIONS), path)
    (table,) = read(path)
    assert (len(table.found), table.n_repeated) == (3, 0)


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
    yield tmp_path / "g.parquet", newer, DetectionsInvalid, "follows schema 99, expected 3"


def test_what_is_no_table_is_named_with_what_is_wrong_and_what_to_give(two, tmp_path):
    for path, content, kind, complaint in broken(tmp_path, two):
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif content is not None:
            pq.write_table(content, path)
        with pytest.raises(kind, match=re.escape(f"{path}: ")) as told:
            read(path)
        assert complaint in str(told.value)
        assert "Give a table of badc infer aggregate, or a dataset's folder" in str(told.value)


def test_a_parquet_of_nothing_cannot_tell_and_its_csv_is_asked_for(gathered, two):
    silent = gathered("silent", HAWKEARS, {"one": [[], []], "two": [[]]})
    with pytest.raises(DetectionsInvalid, match="hawkears's Parquet does not say what was"):
        run(two[0], silent.with_suffix(".parquet"))
    run(two[0], silent)


@pytest.mark.parametrize("kind", ["detections", "effort"])
def test_what_datalad_has_not_fetched_of_a_dataset_is_told(dataset, kind):
    path = getattr(dataset, kind)("two")
    path.unlink()
    path.symlink_to("../../.git/annex/objects/x")
    for given in (dataset.root, dataset.detections("two")):
        with pytest.raises(ContentMissing, match="datalad get") as told:
            read(given)
        assert told.value.where == str(path)


def test_a_file_written_again_by_another_program_is_read(two, tmp_path):
    path = tmp_path / "again.parquet"
    table = pq.read_table(two[0].with_suffix(".parquet")).replace_schema_metadata(None)
    pq.write_table(table.drop(["chunk_id", "status", "n_merged"]), path)
    assert len(read(path)[0].found) == 4


def test_a_folder_that_is_no_dataset_and_content_that_is_elsewhere_are_told(two, tmp_path):
    with pytest.raises(DetectionsInvalid, match=r"give one: b, été\.csv, b, été\.parquet, h\.csv"):
        read(tmp_path)
    (tmp_path / "link.parquet").symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    with pytest.raises(ContentMissing, match="not on this machine"):
        read(tmp_path / "link.parquet")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give two or more"),
        (["h.csv", "--output", "a.txt"], "must end in .csv, .json, .parquet"),
        (["a="], "'a=' has no path; use NAME=TABLE or TABLE"),
        ([""], "'' has no path"),
        (["a=h.csv", "a=x.csv"], "2 tables have the name 'a'; give each its own"),
        (["h.csv", "--tolerance", "nan"], "'--tolerance'"),
        (["h.csv", "--tolerance", "inf"], "'--tolerance'"),
        (["h.csv", "--min-overlap", "-1"], "'--min-overlap'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_read(words, complaint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert complaint in run("b.csv", *words, code=2)


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "dots", "same text"])
def test_an_output_in_place_of_a_table_is_refused(two, tmp_path, monkeypatch, way):
    monkeypatch.setenv("COLUMNS", "400")
    output = tmp_path / "out.csv"
    if way == "link":
        output.symlink_to(two[1])
    elif way == "hard link":
        output.hardlink_to(two[1])
    elif way == "same text":
        monkeypatch.chdir(tmp_path)
        output = Path(two[1].name)
    else:
        output = two[1] if way == "itself" else tmp_path / "new" / ".." / two[1].name
    before = two[1].read_bytes()
    shown = run(two[0], f"x={two[1]}", "--output", output, code=2)
    assert "is a table in the comparison; choose another" in shown
    assert two[1].read_bytes() == before


@pytest.mark.parametrize("given", ["", "artifacts/aggregate", "artifacts/aggregate/one.parquet"])
def test_an_output_among_the_results_of_a_dataset_is_refused(dataset, two, monkeypatch, given):
    monkeypatch.setenv("COLUMNS", "400")
    (dataset.root.parent / "link").symlink_to(dataset.root)
    for folder in ("my dataset/artifacts/aggregate", "link/artifacts/effort"):
        output = dataset.root.parent / folder / "new.parquet"
        shown = run(dataset.root / given, two[1], "--output", output, code=2)
        assert "is among the results of" in shown
        assert not output.exists()
    run(dataset.root / given, two[1], "--output", dataset.artifacts / "new.parquet")


def test_beside_a_gathered_table_there_is_room_for_an_output(two, tmp_path):
    folder = tmp_path / "x" / "artifacts" / "aggregate"
    folder.mkdir(parents=True)
    table = shutil.move(two[0], folder / "summary.csv")
    run(table, two[1], "--output", folder / "comparison.csv")


def test_recordings_of_other_names_are_an_error(gathered, two, tmp_path):
    other = gathered("other", HAWKEARS, {"three": [[at(0)]]})
    with pytest.raises(BadcError, match="birdnet has one, two; hawkears has three"):
        run(two[0], other, "--output", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_the_page_explains_every_column():
    page = Path(__file__).resolve().parents[3] / "docs" / "compare.md"
    text = page.read_text(encoding="utf-8")
    assert [one.name for one in COMPARISON_COLUMNS if f"`{one.name}`" not in text] == []


def test_names_that_a_spreadsheet_would_evaluate_are_quoted_in_files_and_nowhere_else(
    gathered, tmp_path
):
    evil = Label("=HYPERLINK(1)", "=H", "+Malus")
    one = gathered("b", BIRDNET, {"+one": [[at(0, evil)]]})
    other = gathered("h", HAWKEARS, {"+one": [[at(0, evil)]]})
    assert "\n'+one," in one.read_text()
    assert "'=HYPERLINK(1)" in one.read_text()
    output = tmp_path / "compared.csv"
    compared = run(one, other.with_suffix(".parquet"), "--output", output)
    assert "=HYPERLINK(1)" in compared
    assert "'=HYPERLINK" not in compared
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert {row["scientific_name"] for row in rows} == {"'+Malus"}
    assert [row["agreed"] for row in rows] == ["1", "1"]
