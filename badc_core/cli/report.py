"""`badc report`: what was found in a dataset, on screen."""

import shlex
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.cli.viewing import ViewOptions, view_page
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.errors import RecordingUnknown
from badc_core.recordings.registry import read_registry
from badc_core.species_names import SpeciesNames
from badc_core.units import counted, format_duration

_SPECIES = """
    SELECT label_name, coalesce(any_value(scientific_name), '') AS scientific_name,
        sum(detections)::BIGINT AS detections, max(best) AS best,
        sum(recordings)::BIGINT AS recordings,
        sum(expected)::BIGINT AS expected, sum(not_expected)::BIGINT AS not_expected,
        sum(detections - expected - not_expected)::BIGINT AS not_known,
        sum(total_p) AS probably_right
    FROM {counts} GROUP BY label, label_name ORDER BY detections DESC, best DESC, label_name, label
"""
_COUNTS = "(SELECT * FROM counts_by_station WHERE $1 IS NULL)"
_COUNTS_OF_ONE = "(SELECT *, 1 AS recordings FROM counts_by_recording WHERE recording_id = $1)"
_EFFORT = """
    SELECT coalesce(sum(effort_s), 0), coalesce(sum(dead_s), 0), count(*)
    FROM chunks_by_recording WHERE $1 IS NULL OR recording_id = $1
"""
_STUB = """
    SELECT count(*) FROM chunks_by_recording
    WHERE stub_chunks > 0 AND ($1 IS NULL OR recording_id = $1)
"""
_DOUBTED = """
    SELECT count(*) FROM recordings WHERE len(warnings) > 0 AND ($1 IS NULL OR recording_id = $1)
"""
_LEFT_OUT = """
    SELECT coalesce(sum(detections), 0)::BIGINT, count(DISTINCT label_name)
    FROM left_out_by_recording WHERE $1 IS NULL OR recording_id = $1
"""
_KEYS = (
    *("label", "scientific_name", "detections", "best_score", "recordings"),
    *("expected", "not_expected", "not_known", "probably_right"),
)
_EXPECTED = _KEYS[-4:-1]


@taking_options
def report(
    dataset: DatasetFolder,
    out: Output,
    view: ViewOptions,
    recording: Annotated[
        str | None,
        typer.Option("--recording", "-r", help="Only this recording: its name, or its path."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown; files are always whole.")] = 20,
) -> None:
    """Show the species found and where the report pages are."""
    opened = Dataset.open(dataset)
    if recording is not None:
        recording = read_registry(opened.registry).require(recording).recording_id
    result = show_report(opened, recording, limit, out)
    out.give(result)
    view_page(opened, result["report"], view, out)


def show_report(
    dataset: Dataset, recording_id: str | None, limit: int, out: Output
) -> dict[str, Any]:
    """Prints the species table and the path of the page; returns all of it for JSON.

    Args:
        dataset: whose corpus.
        recording_id: of one recording; None for all.
        limit: rows shown.
        out: where to.

    Raises:
        DatasetInvalid: there is no corpus yet.
        ContentMissing: the corpus is annexed, and could not be fetched.
        RecordingUnknown: the recording has no result.
    """
    root = shlex.quote(str(dataset.root))
    with open_corpus(dataset) as database:
        counts = _COUNTS if recording_id is None else _COUNTS_OF_ONE
        rows = database.execute(_SPECIES.format(counts=counts), [recording_id]).fetchall()
        ((effort_s, dead_s, n_recordings),) = database.execute(_EFFORT, [recording_id]).fetchall()
        ((n_doubted,),) = database.execute(_DOUBTED, [recording_id]).fetchall()
        ((n_stub,),) = database.execute(_STUB, [recording_id]).fetchall()
        left_out = database.execute(_LEFT_OUT, [recording_id]).fetchall()[0]
    if recording_id is not None and not n_recordings:
        raise RecordingUnknown(
            "has no result in the corpus", recording_id, f"Run: badc status {root}"
        )
    species = [dict(zip(_KEYS, row, strict=True)) for row in rows]
    title = f"Species in {counted(n_recordings, 'recording')}, {format_duration(effort_s)} analysed"
    title += f", {format_duration(dead_s)} dead" if dead_s else ""
    names = SpeciesNames.read(dataset.settings.report.language)
    out.show(make_table(title, *_tabulate(species, names, limit)))
    if len(rows) > limit:
        only = f" --recording {shlex.quote(recording_id)}" if recording_id else ""
        out.say(f"and {len(rows) - limit} more: badc report {root}{only} --limit {len(rows)}")
    out.say(*_describe_expected(species, left_out))
    if n_stub:
        out.warn(f"no model ran on {counted(n_stub, 'recording')}, but the stub runner.")
    page = dataset.bundle(recording_id).html if recording_id else dataset.corpus.html
    if n_doubted:
        out.say(f"{counted(n_doubted, 'recording')} with doubts: see To look at in the report")
    out.say(f"Report: {page}")
    return {
        "recordings": n_recordings,
        "effort_s": effort_s,
        "dead_s": dead_s,
        "doubted": n_doubted,
        "stub": n_stub,
        "left_out": left_out[0],
        "species": species,
        "report": page,
    }


def _tabulate(
    species: list[dict[str, Any]], names: SpeciesNames, limit: int
) -> tuple[list[str], list[list[Any]]]:
    """Returns columns and rows to be shown; those that say something of no species are left out."""
    columns = {
        "Label": [names.of(one["label"], one["scientific_name"]) for one in species],
        "Scientific name": [one["scientific_name"] for one in species],
        "Detections": [one["detections"] for one in species],
        "Best score": [f"{one['best_score']:.3f}" for one in species],
        "Recordings": [one["recordings"] for one in species],
    }
    if any(one["not_expected"] for one in species):
        columns["Not expected"] = [one["not_expected"] for one in species]
    right = [one["probably_right"] for one in species]
    if any(one is not None for one in right):
        columns["Probably right"] = ["-" if one is None else f"{one:.1f}" for one in right]
    rows = zip(*columns.values(), strict=True)
    return list(columns), [list(row) for row in islice(rows, limit)]


def _describe_expected(species: list[dict[str, Any]], left_out: tuple[int, int]) -> Iterator[str]:
    """Yields how much can be there by place and season; nothing where that is not known at all."""
    found = {name: sum(one[name] for one in species) for name in _EXPECTED}
    if found["expected"] or found["not_expected"]:
        others = sum(1 for one in species if one["not_expected"])
        whose = f" ({counted(others, 'species', 'species')})" if others else ""
        yield (
            f"By place and season: {counted(found['expected'], 'detection')} expected, "
            f"{found['not_expected']} not expected here{whose}, {found['not_known']} not known"
        )
    if left_out[0]:
        n, kinds = counted(left_out[0], "detection"), counted(left_out[1], "species", "species")
        yield f"{n} of {kinds} left out: not expected here"
