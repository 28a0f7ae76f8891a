"""HawkEars 2 with networks of random weights, for tests and timing; what they find means nothing.

They have the form, size and speed of real networks, which have to be downloaded. `make hawkears`
installs HawkEars and adds them:

    python tests/support/random_hawkears.py [--runtime FOLDER] [--type effnet.1]
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from badc_core.detectors.hawkears.home import HawkEarsHome, find_home
from badc_core.detectors.hawkears.install import Report, install_environment, run_in_home
from badc_core.errors import ConfigInvalid

SMALLEST_TYPE = "effnet.1"
_PROGRAM = Path(__file__).with_name("random_networks.py")


def copy_installed(root: Path) -> HawkEarsHome:
    """Returns a home with the packages installed here and random networks of its own.

    Raises:
        DetectorMissing: HawkEars is not installed.
    """
    installed = find_home()
    installed.version()
    home = HawkEarsHome(root)
    root.mkdir(parents=True, exist_ok=True)
    home.venv.symlink_to(installed.venv)
    if installed.has_random_weights:  # perhaps of this type: writing them takes half a minute
        shutil.copytree(installed.data_root, home.data_root)
    add_random_networks(home)
    return home


def add_random_networks(home: HawkEarsHome, model_type: str = SMALLEST_TYPE) -> None:
    """Writes HawkEars' tables and random networks into a home; never over real ones.

    Raises:
        ConfigInvalid: real networks are there, or there is no such type.
    """
    reply = run_in_home(home, _PROGRAM, model_type)
    if "error" in reply:
        raise ConfigInvalid(f"no random networks ({reply['error']})", home.data_root)


def install_with_random_networks(home: HawkEarsHome, model_type: str, report: Report) -> None:
    """Installs HawkEars for the CPU, unless it is there for a GPU, and adds random networks."""
    cuda = home.stamp.exists() and bool(json.loads(home.stamp.read_text())["cuda"])
    install_environment(home, cuda=cuda, report=report)
    add_random_networks(home, model_type)
    report(f"Random networks of type {model_type} in {home.checkpoints}: results mean nothing")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Install HawkEars 2 with random networks.")
    parser.add_argument("--runtime", default="", help="its folder; the usual one without it")
    parser.add_argument("--type", default=SMALLEST_TYPE, help="effnet.1 (small) to effnet.11")
    given = parser.parse_args()
    install_with_random_networks(
        find_home(given.runtime), given.type, lambda line: sys.stdout.write(f"{line}\n")
    )
