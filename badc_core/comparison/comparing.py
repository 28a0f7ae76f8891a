"""The detections of several detectors in the same sound, species by species, and their agreement.

Only parts that all tables analysed are compared. Tables are read in `compared_tables.py`, labels
matched in `same_species.py`, and results written in `comparison_files.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import duckdb
import pyarrow as pa

from badc_core.columns import Column, arrow_schema
from badc_core.comparison.compared_tables import ComparedTable
from badc_core.comparison.same_species import Name, sort_into_species
from badc_core.devices.places import usable_cores
from badc_core.errors import DetectionsInvalid

_COUNT = pa.int64()

COMPARISON_COLUMNS: tuple[Column, ...] = (
    Column("scientific_name", pa.string(), "Scientific name, if a table has one."),
    Column("common_name", pa.string(), "Common name, as in the first table that has it."),
    Column("table", pa.string(), "The table of the row.", nullable=False),
    Column("other", pa.string(), "The table it is compared with.", nullable=False),
    Column("detections", _COUNT, "Detections in `table`.", nullable=False),
    Column("recordings", _COUNT, "Compared recordings with one in `table`.", nullable=False),
    Column("recordings_only", _COUNT, "Of these, those with none in others.", nullable=False),
    Column("recordings_all", _COUNT, "Recordings with one in every table.", nullable=False),
    Column("best_confidence", pa.float64(), "The highest in `table`."),
    Column("median_confidence", pa.float64(), "The median in `table`."),
    Column("agreed", _COUNT, "Its detections that `other` agrees with.", nullable=False),
    Column("share_agreed", pa.float64(), "`agreed` / `detections`, 0 to 1."),
    Column("agreed_any", _COUNT, "Those that any other table agrees with.", nullable=False),
    Column("agreed_all", _COUNT, "Those that all other tables agree with.", nullable=False),
)

_LABELS = pa.schema(
    [("scientific", pa.string()), ("common", pa.string()), ("species_no", pa.int32())]
)

_NEVER_MS = 2**60
"""Further from a recording's start than any sound."""

_CREATE = """
    CREATE TABLE tables (table_no INTEGER);
    CREATE TABLE labels (scientific VARCHAR, common VARCHAR, species_no INTEGER);
    CREATE TABLE covered (table_no INTEGER, recording_id VARCHAR, start_ms BIGINT, end_ms BIGINT);
    CREATE TABLE found (
        table_no INTEGER, species_no INTEGER, recording_no INTEGER,
        start_ms BIGINT, end_ms BIGINT, confidence DOUBLE,
        is_compared BOOLEAN, -- begins in what all analysed
        is_present BOOLEAN -- has some time in it
    );
"""


@dataclass(frozen=True)
class Rule:
    """When detections of one species in one recording agree.

    Attributes:
        min_overlap_ms: time they must share; 0 means any.
        tolerance_ms: added to the time they share, so that near detections agree too.
    """

    min_overlap_ms: int = 0
    tolerance_ms: int = 0

    @property
    def least_ms(self) -> int:
        """Time they must share; below 0, how far they may be apart."""
        return max(1, self.min_overlap_ms) - self.tolerance_ms


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        species: by `COMPARISON_COLUMNS`, a row for each ordered pair of tables; species with most
            detections first, tables in the order given.
        totals: the same for all species together, without names.
        tables: those compared.
        rule: when detections agree.
        recordings: recording_ids of those compared.
        partly: the compared recordings that not all tables analysed completely.
        left_out: reason -> recordings that a table analysed but that are not compared.
        effort_s: seconds that all tables analysed; None if no table says.
        n_compared: name of a table -> how many of its detections are compared.
        homonyms: common name -> its different scientific names.
    """

    species: pa.Table
    totals: pa.Table
    tables: Sequence[ComparedTable]
    rule: Rule
    recordings: Sequence[str]
    partly: Sequence[str]
    left_out: Mapping[str, Sequence[str]]
    effort_s: float | None
    n_compared: Mapping[str, int]
    homonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def compare_tables(tables: Sequence[ComparedTable], rule: Rule) -> Comparison:
    """Returns the detections of each species in each table, and how many others agree with.

    A detection agrees with another table that has one of the same species in the same recording at
    the same time; it counts once, however many there are.

    Args:
        tables: two or more, with different names.
        rule: when detections are at the same time.

    Raises:
        DetectionsInvalid: all tables together analysed nothing.
    """
    with duckdb.connect(":memory:", config={"threads": str(usable_cores())}) as connection:
        connection.execute(_CREATE)
        connection.execute("INSERT INTO tables SELECT unnest(range($1))", [len(tables)])
        analysed = [_cover(connection, number, table) for number, table in enumerate(tables)]
        connection.execute(_sql("common_stretches"))
        efforts = connection.execute(_sql("compared_effort"), {"never_ms": _NEVER_MS}).fetchall()
        if not efforts:
            raise _nothing_in_common(tables, analysed)
        shown, homonyms = _insert(connection, tables)
        connection.execute(_sql("matched_detections"), {"least_ms": rule.least_ms})
        rows = _rows(connection, [one.name for one in tables], shown)
    totals = [row for row in rows if row["common_name"] is None]
    is_known = any(table.covered is not None for table in tables)
    return Comparison(
        species=_table([row for row in rows if row["common_name"] is not None]),
        totals=_table(totals),
        tables=tables,
        rule=rule,
        recordings=[recording_id for recording_id, _, _ in efforts],
        partly=[one for one, length_ms, whole_ms in efforts if whole_ms and length_ms < whole_ms],
        left_out=_left_out(tables, analysed, {recording_id for recording_id, _, _ in efforts}),
        effort_s=sum(length_ms for _, length_ms, _ in efforts) / 1000 if is_known else None,
        n_compared={row["table"]: row["detections"] for row in totals},
        homonyms=homonyms,
    )


def _cover(connection: duckdb.DuckDBPyConnection, number: int, table: ComparedTable) -> set[str]:
    """Inserts the parts that a table analysed; returns the recordings."""
    if table.covered is None:
        chunks = "SELECT DISTINCT recording_id, -$never_ms, $never_ms FROM arriving"
        values = {"never_ms": _NEVER_MS}
    else:
        chunks, values = "SELECT * FROM arriving", {}
    connection.register("arriving", table.found if table.covered is None else table.covered)
    connection.execute(
        f"INSERT INTO covered SELECT $number, * FROM ({chunks})",  # noqa: S608
        {"number": number, **values},
    )
    cursor = connection.execute(
        "SELECT DISTINCT recording_id FROM covered WHERE table_no = $1", [number]
    )
    return {recording_id for (recording_id,) in cursor.fetchall()}


def _insert(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[ComparedTable]
) -> tuple[tuple[Name, ...], Mapping[str, tuple[str, ...]]]:
    """Inserts the detections of compared recordings; returns the species, and homonyms."""
    labels: dict[Name, None] = {}
    for table in tables:
        connection.register("arriving", table.found)
        cursor = connection.execute(
            "SELECT DISTINCT coalesce(scientific_name, '') AS scientific, label_name FROM arriving "
            "ORDER BY scientific = '', scientific, label_name"
        )
        labels |= {Name(*row): None for row in cursor.fetchall()}
    sorted_labels = sort_into_species(labels)
    arriving = [
        {"scientific": one.scientific, "common": one.common, "species_no": number}
        for one, number in sorted_labels.number_of.items()
    ]
    connection.register("arriving", pa.Table.from_pylist(arriving, _LABELS))
    connection.execute("INSERT INTO labels SELECT * FROM arriving")
    for number, table in enumerate(tables):
        connection.register("arriving", table.found)
        connection.execute(_sql("compared_detections"), [number])
    return sorted_labels.shown, sorted_labels.homonyms


def _rows(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], shown: Sequence[Name]
) -> list[dict[str, Any]]:
    """Returns the result's rows; those for all species have no names."""
    cursor = connection.execute(_sql("comparison"))
    columns = [column[0] for column in cursor.description or ()]
    rows = []
    for values in cursor.fetchall():
        row = dict(zip(columns, values, strict=True))
        species = shown[row["species_no"]] if row["species_no"] >= 0 else None
        row["scientific_name"] = (species.scientific or None) if species else None
        row["common_name"] = species.common if species else None
        row |= {"table": names[row["table_no"]], "other": names[row["other_no"]]}
        rows.append(row)
    return rows


def _sql(name: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), arrow_schema(COMPARISON_COLUMNS))


def _left_out(
    tables: Sequence[ComparedTable], analysed: Sequence[set[str]], compared: set[str]
) -> dict[str, list[str]]:
    everywhere, by_all = set[str]().union(*analysed), set.intersection(*analysed)
    left_out = {
        f"not analysed by {table.name}": sorted(everywhere - ids)
        for table, ids in zip(tables, analysed, strict=True)
    }
    left_out["analysed by all, but in different parts"] = sorted(by_all - compared)
    return {reason: recordings for reason, recordings in left_out.items() if recordings}


def _nothing_in_common(
    tables: Sequence[ComparedTable], analysed: Sequence[set[str]]
) -> DetectionsInvalid:
    silent = [one.name for one in tables if one.covered is None and not len(one.found)]
    if silent:
        names = f"{silent[0]}'s" if len(silent) == 1 else f"{', '.join(silent)}:"
        return DetectionsInvalid(
            f"{names} Parquet does not say what was analysed, and has no detections",
            remedy="Use its CSV, which badc infer aggregate writes with --output",
        )
    by_all = sorted(set.intersection(*analysed))
    if by_all:
        named = ", ".join(by_all[:3]) + (", ..." if len(by_all) > 3 else "")  # noqa: PLR2004
        return DetectionsInvalid(
            f"no part of {named} was analysed by all tables",
            remedy="Run the detectors over the same chunks; failed ones do not count",
        )
    by_table = [
        f"{table.name} has {', '.join(sorted(ids)[:3]) or 'none'}{', ...' if len(ids) > 3 else ''}"  # noqa: PLR2004
        for table, ids in zip(tables, analysed, strict=True)
    ]
    return DetectionsInvalid(
        f"no recording was analysed by all tables: {'; '.join(by_table)}",
        remedy="Run the detectors over the same recordings, under the same names",
    )
