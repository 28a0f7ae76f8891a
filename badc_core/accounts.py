"""Accounts: who runs this process, whose a file is, and where home folders are.

A container, or a server of accounts that cannot be reached, may have no names and no homes.
"""

import getpass
import os
import socket
from pathlib import Path

from badc_core.errors import ConfigInvalid


def user_name() -> str:
    """Returns this user's name, or number if they have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def describe_process() -> dict[str, str | int]:
    """Returns whose process this is, on which machine, and its number there."""
    return {"account": user_name(), "host": socket.gethostname(), "pid": os.getpid()}


def owner_name(path: Path) -> str:
    """Returns the name of the owner of a file, or their number if they have no name.

    Raises:
        OSError: the file is gone, or nobody may know whose it is.
    """
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def home_folder() -> Path:
    """Returns this user's home folder.

    Raises:
        ConfigInvalid: they have none.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        what = f"account {user_name()} has no home folder"
        raise ConfigInvalid(what, "HOME", "Set HOME to a folder") from error


def expand_home(path: Path | str) -> Path:
    """Returns a path with the home folder in place of `~` or `~name`.

    Where there is no such home it stays as it is, and the folder will not be found.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111  (that of Path raises RuntimeError)
