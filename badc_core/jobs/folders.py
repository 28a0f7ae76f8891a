"""Where the files of jobs are: `ROOT/YYYY/MM/DD/USER/JOB`, for outputs and for logs.

Several accounts may share a root. Its permissions are those of all folders down to the users', so
that whoever may write to the root may create jobs; a job's own folder belongs to its creator.
"""

import stat
from datetime import date
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import OutputUnwritable
from badc_core.shared_folders import make_shared_folder, making_in


def day_folder(root: Path, day: date) -> Path:
    """Returns the folder of all jobs of a day."""
    return root / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}"


def make_folders(root: Path, folder: Path) -> None:
    """Creates a folder below a root, and those above it, with the permissions of the root.

    Raises:
        StorageFull, OutputUnwritable: it cannot be created.
    """
    with naming_storage_trouble(folder):
        root.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(root.stat().st_mode)
        for one in reversed([folder, *folder.parents]):
            if root in one.parents:
                make_shared_folder(one, mode)


def make_job_folder(root: Path, day: date, user: str, job_id: str) -> Path:
    """Creates the folder of a job and returns it.

    Raises:
        StorageFull, OutputUnwritable: it cannot be created, or there is one already.
    """
    folder = day_folder(root, day) / user / job_id
    make_folders(root, folder.parent)
    with naming_storage_trouble(folder):
        try:
            making_in(folder.parent, folder.mkdir)
        except FileExistsError as error:
            raise OutputUnwritable(
                "another job has this folder", folder, "Create the job again"
            ) from error
    return folder
