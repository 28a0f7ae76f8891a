"""Which chunk manifests a dataset has: those in a folder, or those that a saved plan names."""

from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.source import absolute
from badc_core.errors import ConfigInvalid, ManifestMismatch
from badc_core.inference.requests import read_requests
from badc_core.plan_files import Entry, read_plan

_MANIFEST_KEYS = ("manifest_path", "manifest")


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
        ConfigInvalid: the folder has no manifests; the plan cannot be read, or an entry names none.
    """
    if plan is not None:
        return [_listed(root, plan, n, one) for n, one in enumerate(read_plan(plan), start=1)]
    folder = absolute(root / folder)
    found = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
    if not found:
        raise ConfigInvalid(
            "no chunk manifests (*.csv) there",
            folder,
            "Make them: badc chunk orchestrate DATASET --apply; or give --manifest-dir",
        )
    return [ListedManifest(path) for path in found]


def _listed(root: Path, plan: Path, number: int, entry: Entry) -> ListedManifest:
    named = next((entry[key] for key in _MANIFEST_KEYS if entry.get(key)), None)
    if not isinstance(named, str):
        keys = " nor ".join(_MANIFEST_KEYS)
        raise ConfigInvalid(
            f"entry {number} has neither {keys}", plan, "Make it anew: badc chunk orchestrate"
        )
    chunks = entry.get("chunk_output_dir")
    is_told = isinstance(chunks, str) and chunks
    return ListedManifest(absolute(root / named), absolute(root / str(chunks)) if is_told else None)
