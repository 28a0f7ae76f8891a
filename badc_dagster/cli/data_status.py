"""`badc data status`: every dataset that is connected or was, and what is in its folder now.

Nothing is written, and no other machine is asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.tables import Cell, EndOf, make_table
from badc_core.datasets.connections import Connection, read_known
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.original_list import ListedDataset, read_listed
from badc_core.errors import BadcError
from badc_core.provenance.clones import find_method
from badc_core.provenance.repository_state import RepositoryState, read_state
from badc_core.recordings.registry import read_registry
from badc_core.units import format_bytes
from badc_dagster.cli.notices import warn_of_other_home, warn_of_unverified
from badc_dagster.home import home_path, original_list_path

_ABBREVIATED = 8
_COLUMNS = ("Name", "Status", "Kind", "Branch", "Changed", "Recordings", "Contents here", "Folder")


@dataclass(frozen=True)
class DatasetStatus:
    """A dataset as it is now.

    Attributes:
        name: in the asset graph.
        main: whether it is the main dataset.
        status: `connected`, `disconnected`, or `listed` where only the original BADC knows it.
        root: its folder; None where none is written.
        present: whether that is there.
        method: `datalad`, `git` or `path`, as the folder is; as written where it is gone.
        url: what it was cloned from.
        last_connected: when; empty where that is not known.
        recordings: rows of its registry; None where it has none.
        repository: what git knows; None where it is in no repository.
        problem: why less is known than could be.
    """

    name: str
    main: bool
    status: str
    root: Path | None
    present: bool
    method: str
    url: str
    last_connected: str
    recordings: int | None = None
    repository: RepositoryState | None = None
    problem: str = ""


@taking_options
def status(
    out: Output,
    details: Annotated[
        bool, typer.Option("--details", help="Also URLs, commits and annexed contents.")
    ] = False,
    show_siblings: Annotated[
        bool, typer.Option("--show-siblings", help="Also the repositories that each knows.")
    ] = False,
) -> None:
    """Show all datasets: where they are, what is changed, and which contents are here."""
    warn_of_other_home(out)
    home, listed = home_path(), read_listed(original_list_path())
    connections = read_known(home)
    names = {one.name for one in connections}
    found = [_look_at(one) for one in connections]
    found += [_look_at_listed(one) for one in listed if one.name not in names]
    if not found:
        out.say("No datasets yet. Run: badc data connect NAME --url URL, or badc run FOLDER")
    else:
        out.show(make_table("Datasets", _COLUMNS, map(_row, found)))
    for one in found:
        if one.problem:
            out.warn(f"{one.name}: {one.problem}")
        if one.root:
            warn_of_unverified(out, one.root, one.repository)
        if details:
            out.say(*_details(one))
        if show_siblings and one.repository:
            siblings = one.repository.siblings.items()
            out.say(*(f"{one.name}: sibling {name}  {url or '-'}" for name, url in siblings))
    out.give(found)


def _look_at(connection: Connection) -> DatasetStatus:
    origin, last = connection.origin, connection.last_connected
    return _look_into(
        DatasetStatus(
            connection.name,
            connection.is_main,
            "connected" if connection.is_connected else "disconnected",
            connection.root,
            connection.root.is_dir(),
            origin.method if origin else "",
            origin.url if origin else "",
            last.isoformat() if last else "",
        )
    )


def _look_at_listed(one: ListedDataset) -> DatasetStatus:
    present = one.path is not None and one.path.is_dir()
    return _look_into(
        DatasetStatus(
            one.name, False, "listed", one.path, present, one.method, one.url, one.last_connected
        )
    )


def _look_into(found: DatasetStatus) -> DatasetStatus:
    """Returns what is known of a dataset with what its folder says."""
    root = found.root
    if root is None or not found.present:
        remedy = f"Mount its disk, or run: badc data connect {found.name}"
        return replace(found, problem=f"its folder is not there ({root}). {remedy}")
    try:
        found = replace(found, method=find_method(root), repository=read_state(root))
        return replace(found, recordings=_count_recordings(root))
    except BadcError as error:
        return replace(found, problem=str(error))


def _count_recordings(root: Path) -> int | None:
    registry = Dataset.open(root).registry
    return len(read_registry(registry)) if registry.exists() else None


def _row(one: DatasetStatus) -> tuple[Cell, ...]:
    state = one.repository
    contents = state.contents if state else None
    here = ""
    if contents and contents.n_files:
        sizes = contents.here_bytes, contents.size_bytes
        here = " of ".join(map(format_bytes, sizes))
    return (
        one.name,
        f"{one.status}, main" if one.main else one.status,
        one.method,
        state.branch or f"at {state.commit[:_ABBREVIATED]}" if state else "",
        str(state.n_changed) if state else "",
        "" if one.recordings is None else str(one.recordings),
        here,
        EndOf(str(one.root or "")),
    )


def _details(one: DatasetStatus) -> Iterator[str]:
    """Yields lines about a dataset that the table has no room for."""
    if one.url:
        yield f"{one.name}: cloned from {one.url}"
    if one.last_connected:
        yield f"{one.name}: last connected {one.last_connected}"
    if one.repository:
        contents = one.repository.contents
        yield f"{one.name}: at commit {one.repository.commit or 'none'}"
        yield f"{one.name}: {contents.n_here} of {contents.n_files} annexed files are here"
