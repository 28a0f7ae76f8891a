"""Files of work in progress: locks, journals, marks and logs that are being written.

They are in folders named `.badc`, which version control passes over: the dataset's own
(`Dataset.work_folder`), and one beside what is written outside a dataset. No result is in there.
"""

from pathlib import Path

from badc_core.atomic import naming_storage_trouble, write_text

WORK_FOLDER = ".badc"

ON_CLUSTER = "on_cluster"
"""Below it: a file for each recording whose output a task on a cluster may write."""


def prepare_work_file(folder: Path, path: Path) -> Path:
    """Returns the path of a file in a folder of work in progress, after creating its folder.

    The first call for a folder keeps all of it out of version control.

    Args:
        folder: named `WORK_FOLDER`, or as the settings say.
        path: below it.

    Raises:
        StorageFull, OutputUnwritable: there is no place for the file.
    """
    ignored = folder / ".gitignore"
    if not (path.parent.is_dir() and ignored.exists()):
        with naming_storage_trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(ignored, "*\n")
    return path
