"""Who runs this process."""

import getpass
import os


def user_name() -> str:
    """Returns this user's name, or number if they have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container need not know its users
        return str(os.getuid())
