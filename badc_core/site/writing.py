"""Writing the pages about a dataset: of those about stations and species, only what has changed.

A page says in its head what it was made from. Where that would be the same, it is neither made nor
touched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.corpus.database import query
from badc_core.corpus.parts import CorpusPart, read_part_list
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import digest_json
from badc_core.reports.page import is_whole_page
from badc_core.reports.unmuted import remove_unmuted_site
from badc_core.site.clips import PAGES_PER_CLIP, find_candidates
from badc_core.site.dataset_page import render_dataset_page
from badc_core.site.read_once import read_once
from badc_core.site.recording_pages import RecordingPages
from badc_core.site.shared_content import Rows, SiteSource, find_sources
from badc_core.site.species_page import BY_STATION, MOST_CLIPS, MOST_RECORDINGS, SpeciesPages
from badc_core.site.station_page import render_station_page
from badc_core.site.stations import Station
from badc_core.stages.corpus_outputs import CORPUS_CODE_VERSION
from badc_core.stages.fingerprint_files import find_difference, read_stored
from badc_core.stages.step_records import CORPUS_REPORT

_DECIDING = {"recordings", "detector", "report", "speech"}
"""Sections of settings that pages depend on."""

_AT_ONCE = 300
"""Pages about species for which queries are asked once: each reads the counts of all parts."""

_HEAD_BYTES = 1000
_MARK = re.compile(rb'<meta name="badc-made-from" content="([0-9a-f]+)">')

_RECORDINGS = """
    SELECT study_area, location,
        md5(string_agg(concat_ws(' ', hash(r), size), ',' ORDER BY recording_id))
    FROM recordings r LEFT JOIN page_sizes USING (recording_id)
    GROUP BY study_area, location ORDER BY study_area, location
"""
"""A page's size says that it is another than before; those without one are elsewhere."""

_SIZES = pa.schema([("recording_id", pa.string()), ("size", pa.int64())])

_Key = TypeVar("_Key")


@dataclass
class WrittenSite:
    """What became of the pages about a dataset.

    Attributes:
        page: the page about the dataset.
        written: pages about stations and species that were written.
        removed: those that were, of stations and species that are no more.
        n_unchanged: how many stay as they are.
    """

    page: Path
    written: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    n_unchanged: int = 0


def write_site(dataset: Dataset) -> WrittenSite:
    """Brings all pages about a dataset up to date.

    Raises:
        ContentMissing, DatasetInvalid: as for `open_corpus`.
        StorageFull, OutputUnwritable: a page cannot be written.
    """
    remove_unmuted_site(dataset)  # what follows may fail
    corpus, site = dataset.corpus, WrittenSite(dataset.corpus.html)
    parts: dict[Station, list[CorpusPart]] = {}
    pages = RecordingPages(dataset)
    with open_corpus(dataset) as connection:
        for one in read_part_list(corpus.parts).parts:
            parts.setdefault(Station(one.study_area, one.location), []).append(one)
        read_once(connection, MOST_RECORDINGS, MOST_CLIPS * PAGES_PER_CLIP)
        by_station = query(connection, BY_STATION)
        source = _read_source(connection, dataset, pages, by_station)
        write_text(corpus.html, render_dataset_page(source))
        sums = dict(_sum_up_stations(connection, dataset, pages, parts))
        stations = {station: corpus.station_page(*station) for station in sums}
        for due in _find_due(dataset, stations, sums):
            text = render_station_page(dataset, pages, due, parts[due], sums[due])
            _write(site, stations[due], text)
        made_from = _sum_up_species(by_station, sums, source.sources)
        species = {label: corpus.species_page(label) for label in made_from}
        labels = _find_due(dataset, species, made_from)
        if labels:
            species_pages = SpeciesPages(source, by_station)
            for start in range(0, len(labels), _AT_ONCE):
                some = {one: made_from[one] for one in labels[start : start + _AT_ONCE]}
                for label, text in species_pages.render(some):
                    _write(site, species[label], text)
    _remove_others(site, corpus.stations, stations.values())
    _remove_others(site, corpus.species, species.values())
    site.n_unchanged = len(stations) + len(species) - len(site.written)
    return site


def _read_source(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, pages: RecordingPages, by_station: Rows
) -> SiteSource:
    labels = list(dict.fromkeys(one["label"] for one in by_station))
    found = groupby(find_candidates(connection, labels, MOST_CLIPS), attrgetter("label"))
    candidates = {label: list(own) for label, own in found}
    sources = find_sources(connection, dataset)
    return SiteSource(connection, dataset, pages, sources, candidates)


def _sum_up_stations(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    pages: RecordingPages,
    parts: Mapping[Station, Iterable[CorpusPart]],
) -> Iterator[tuple[Station, str]]:
    """Yields each station with what its page is made from, in one string.

    These are its parts of the corpus, the descriptions of its recordings and which of them have
    pages, the settings and the code.
    """
    own = digest_json(
        [
            metadata.version("badc"),
            CORPUS_CODE_VERSION,
            dataset.name,
            dataset.settings.model_dump(mode="json", include=_DECIDING),
        ]
    )
    columns = [list(pages.sizes), list(pages.sizes.values())]
    sizes = pa.Table.from_arrays(
        [pa.array(*one) for one in zip(columns, _SIZES.types, strict=True)], schema=_SIZES
    )
    connection.register("page_sizes", sizes)
    for area, location, described in connection.execute(_RECORDINGS).fetchall():
        station = Station(area, location)
        files = [file.sha256 for one in parts[station] for file in one.files.values()]
        yield station, digest_json([own, described, sorted(files)])


def _sum_up_species(
    by_station: Rows, sums: Mapping[Station, str], sources: Mapping[str, Any]
) -> dict[str, str]:
    """Returns label -> what its page is made from: the stations where it was found.

    Args:
        by_station: rows of `BY_STATION`.
        sums: what the page of each station is made from.
        sources: what the pages of all species warn of, wherever it was; from `find_sources`.
    """
    detectors = sorted({(one["runner"], one["model_version"]) for one in sources["detectors"]})
    shared = [detectors, sources["n_stub"]]
    found: dict[str, list[str]] = {}
    for one in by_station:
        station = Station(one["study_area"], one["location"])
        found.setdefault(one["label"], []).append(sums[station])
    return {label: digest_json([len(sums), shared, sorted(own)]) for label, own in found.items()}


def _find_due(
    dataset: Dataset, pages: Mapping[_Key, Path], made_from: Mapping[_Key, str]
) -> list[_Key]:
    """Returns what has no page, or one that was made from something else, or is damaged."""
    output = None
    with suppress(DatasetInvalid):
        output = read_stored(dataset.corpus.fingerprints, "").get(CORPUS_REPORT)

    def is_current(key: _Key, page: Path) -> bool:
        is_same = _read_mark(page) == made_from[key]
        return is_same and not (output and find_difference(dataset, [page], output, in_full=False))

    return [key for key, page in pages.items() if not is_current(key, page)]


def _read_mark(page: Path) -> str:
    """Returns what a page says it was made from; empty where it is not there, or not whole."""
    try:
        with page.open("rb") as file:
            mark = _MARK.search(file.read(_HEAD_BYTES))
        return mark[1].decode() if mark and is_whole_page(page) else ""
    except OSError:
        return ""


def _write(site: WrittenSite, page: Path, text: str) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, text, can_be_made_again=True)
    site.written.append(page)


def _remove_others(site: WrittenSite, folder: Path, pages: Iterable[Path]) -> None:
    """Removes the pages in a folder that should not be there."""
    with suppress(FileNotFoundError):
        for path in sorted(set(folder.iterdir()) - set(pages)):
            with naming_storage_trouble(path):
                path.unlink()
            site.removed.append(path)
