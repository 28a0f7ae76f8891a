"""Connecting datasets: their files brought here, and their place in the asset graph.

Which dataset is meant is found out in `badc_core/datasets/targets.py`; cloning is done in
`badc_core/provenance/clones.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.connections import Connection, Origin, connect, disconnect, find_place
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.original_list import update_listed
from badc_core.datasets.targets import Target
from badc_core.errors import ConfigInvalid, DatasetInvalid, RecordingBusy
from badc_core.file_names import explain_no_folder
from badc_core.provenance.annex import drop
from badc_core.provenance.clones import (
    Update,
    choose_method,
    clone,
    find_method,
    find_url,
    update,
)
from badc_core.provenance.fetching import require_fetched_all
from badc_core.provenance.repository_state import list_annexed
from badc_core.recordings.registry import read_registry
from badc_core.recordings.scan import require_recordings
from badc_core.settings import SETTINGS_FILE
from badc_core.stages.work import Work
from badc_core.units import counted
from badc_dagster.home import (
    is_initialised,
    keeps_original_list,
    open_instance,
    original_list_path,
    prepare_home,
)
from badc_dagster.partitions import register_keys

_BUSY = "a run is at work on it"


@dataclass(frozen=True)
class Plan:
    """What connecting a dataset does to its files.

    Attributes:
        target: the dataset.
        status: `cloned`, `updated` or `exists`, once it is done.
        method: `datalad`, `git` or `path`.
    """

    target: Target
    status: str
    method: str


def make_plan(target: Target, method: str | None, pulls: bool) -> Plan:
    """Returns what has to be done.

    Args:
        target: the dataset.
        method: how to clone; None for the best there is.
        pulls: a repository that is here is brought up to date.

    Raises:
        DatasetInvalid: it is neither here nor to be had.
    """
    if _is_there(target.root):
        here = find_method(target.root)
        return Plan(target, "updated" if pulls and here != "path" else "exists", here)
    if not target.url:
        what = "an empty folder" if target.root.is_dir() else explain_no_folder(target.root)
        what = f"{what}, and it is not known where to clone it from"
        raise DatasetInvalid(what, target.root, "Give its URL with --url, or correct the path")
    return Plan(target, "cloned", choose_method(method))


def require_place(known: Sequence[Connection], target: Target, wants_main: bool) -> None:
    """Returns if a dataset can have its name, and can be the main one if it is to be.

    Events keep the names of their assets. So the main dataset changes only while neither it nor
    the other has any.

    Raises:
        ConfigInvalid: it cannot.
        DatasetInvalid: its folder's name cannot be written down.
    """
    place = find_place(known, target.root, target.name, wants_main)
    if not wants_main or place.is_main or not is_initialised():
        return
    moved = [one for one in known if one.is_main or one.name == place.name]
    with open_instance() as instance:
        kept = [one for one in moved if instance.get_dynamic_partitions(one.partitions_name)]
    if kept:
        raise ConfigInvalid(
            f"{kept[0].name} has results in the asset graph, which would get other names",
            target.root,
            "Leave out --main, or use a new Dagster home (DAGSTER_HOME): the next badc run there "
            "takes over what is finished",
        )


def carry_out(plan: Plan) -> str:
    """Brings a dataset's files here; returns what was done.

    Raises:
        ProgramMissing, RepositoryFailed: git or DataLad is not there or refuses.
        OutputUnwritable, StorageFull: it cannot be written.
        ContentMissing: its settings are annexed, and could not be fetched.
        DatasetInvalid, ConfigInvalid: what is here is no dataset with recordings.
    """
    root = plan.target.root
    if plan.status == "cloned":
        clone(plan.target.url, root, plan.method)
        return f"Cloned {plan.target.url} to {root}"
    done = f"{root} is here"
    if plan.status == "updated":
        outcome = Update(why_not=_BUSY) if _is_busy(root) else update(root)
        new = counted(outcome.n_commits, "new commit")
        done = f"{root}: {new}" if not outcome.why_not else f"{done}; {outcome.why_not}"
    require_recordings(_open(root))
    return done


def enter(plan: Plan, wants_main: bool) -> Connection:
    """Puts a dataset that is here into the asset graph, with the recordings known so far.

    Raises:
        ContentMissing, ConfigInvalid, DatasetInvalid: it cannot be read, and is not connected.
    """
    target, known_ids = plan.target, _read_ids(plan.target.root)
    origin = Origin(target.url or find_url(target.root), find_method(target.root))
    connection = connect(prepare_home(), target.root, target.name, origin, wants_main)
    _update_original(target.key, connection)
    if known_ids:
        with open_instance() as instance:
            register_keys(instance, connection, known_ids)
    return connection


def has_recordings_folder(root: Path) -> bool:
    """Returns whether a folder can be opened as a dataset; a new clone may have no recordings yet.

    Raises:
        ContentMissing: its settings are annexed, and could not be fetched.
        ConfigInvalid: its settings are wrong.
    """
    try:
        _open(root)
    except DatasetInvalid:
        return False
    return True


def leave(connection: Connection) -> None:
    """Takes a dataset out of the asset graph; files and events stay."""
    _update_original(connection.name, disconnect(prepare_home(), connection))


def drop_contents(root: Path) -> tuple[int, dict[Path, str]]:
    """Drops the contents of a dataset's annexed files that are elsewhere often enough.

    Returns how many files had theirs here, and path -> why of those that still have it.

    Raises:
        RecordingBusy: a run is at work on the dataset.
        ProgramMissing, RepositoryFailed: git is not there, or refuses.
    """
    if _is_busy(root):
        raise RecordingBusy(_BUSY, root, "Wait until it has ended: badc status, badc slurm status")
    paths = [path for path in list_annexed(root) if path.exists()]
    return len(paths), drop(paths)


def _open(root: Path) -> Dataset:
    """Returns the dataset in a folder, whose settings may be annexed."""
    require_fetched_all([root / SETTINGS_FILE])
    return Dataset.open(root)


def _read_ids(root: Path) -> Sequence[str]:
    """Returns the recordings that a dataset knows so far."""
    if not has_recordings_folder(root):
        return ()
    dataset = _open(root)
    require_fetched_all([dataset.registry])
    return read_registry(dataset.registry).ids


def _is_busy(root: Path) -> bool:
    """Returns whether a run is at work on a folder, whose files are not to change meanwhile."""
    return has_recordings_folder(root) and Work(_open(root).work_folder).is_busy()


def _is_there(root: Path) -> bool:
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def _update_original(key: str, connection: Connection) -> None:
    if keeps_original_list():
        update_listed(original_list_path(), key, connection)
