"""Which chunk manifests a dataset has: those in a folder, or those that a saved plan names."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.locate import locate
from badc_core.chunks.requests import read_requests
from badc_core.errors import ConfigInvalid, ManifestMismatch
from badc_core.file_names import absolute
from badc_core.plan_files import MANIFEST_KEYS, Entry, read_plan


@dataclass(frozen=True)
class ListedManifest:
    """A manifest that is said to be there.

    Attributes:
        path: absolute.
        chunk_folder: of the recording's chunk files, absolute; None where nothing tells.
    """

    path: Path
    chunk_folder: Path | None = None

    def recording_id(self, root: Path) -> str:
        """Returns the recording that it cuts into chunks.

        Args:
            root: where its relative paths begin.

        Raises:
            ManifestMismatch: it cannot be used, or has chunks of several recordings.
        """
        first, *others = read_requests([self.path], root)
        if others:
            raise ManifestMismatch(
                f"it has chunks of {len(others) + 1} recordings, such as {first} and {others[0]}",
                self.path,
                "Run: badc infer run MANIFEST",
            )
        return first


def list_manifests(root: Path, folder: Path, plan: Path | None) -> list[ListedManifest]:
    """Returns a dataset's manifests by name, or those of a plan in its order.

    Args:
        root: the dataset's, absolute; relative paths begin there.
        folder: with manifests.
        plan: saved by `badc chunk orchestrate` or `badc infer orchestrate`; None for the folder's.

    Raises:
        ConfigInvalid: the folder has no manifests; the plan cannot be read or has no entry, or one
            that names no manifest.
    """
    if plan is not None:
        entries = read_plan(plan)
        if not entries:
            raise ConfigInvalid(
                "the plan is empty: nothing was left to do when it was saved",
                plan,
                "Leave --chunk-plan out for all of the dataset's manifests, or save the plan with "
                "--include-existing",
            )
        return [_listed(root, plan, n, one) for n, one in enumerate(entries, start=1)]
    folder = absolute(root / folder)
    found = _manifests_in(folder)
    if not found:
        raise ConfigInvalid(
            "no chunk manifests (*.csv) there",
            folder,
            "Make them: badc chunk orchestrate DATASET --apply; or give --manifest-dir",
        )
    return [ListedManifest(path) for path in found]


def count_unlisted(root: Path, folder: Path, listed: Iterable[ListedManifest]) -> int:
    """Returns how many manifests a folder has that a plan does not name.

    Args:
        root: the dataset's, absolute; a relative folder begins there.
        folder: with manifests.
        listed: those of the plan.
    """
    named = {_spelled_out(one.path) for one in listed}
    return sum(_spelled_out(one) not in named for one in _manifests_in(absolute(root / folder)))


def _manifests_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))


def _spelled_out(path: Path) -> Path:
    """Returns a file's path through no linked folder, itself kept if it is a link."""
    return Path(os.path.realpath(path.parent)) / path.name


def _listed(root: Path, plan: Path, number: int, entry: Entry) -> ListedManifest:
    named = next((entry[key] for key in MANIFEST_KEYS if entry.get(key)), None)
    if not isinstance(named, str):
        raise _unusable(plan, f"entry {number} has neither {' nor '.join(MANIFEST_KEYS)}")
    chunks = entry.get("chunk_output_dir")
    folder = chunks if isinstance(chunks, str) and chunks else None
    for text in filter(None, (named, folder)):
        if not _can_be_path(text):
            raise _unusable(plan, f"entry {number}: {text!r} cannot be the name of a file")
        if not Path(text).is_absolute() and ".." in Path(text).parts:
            raise _unusable(plan, f"entry {number}: {text!r} leads out of the dataset")
    return ListedManifest(locate(named, [root]), locate(folder, [root]) if folder else None)


def _can_be_path(text: str) -> bool:
    """Whether the system could have such a file, whether it is there or not."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _unusable(plan: Path, what: str) -> ConfigInvalid:
    return ConfigInvalid(what, plan, "Make it anew: badc chunk orchestrate")
