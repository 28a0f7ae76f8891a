"""Where HawkEars 2 is installed, and what is missing there.

It runs in a Python environment of its own, installed by `install.py`; nothing here starts it.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import badc_core
from badc_core.accounts import expand_home, home_folder
from badc_core.detector_settings import HawkEarsSettings
from badc_core.errors import ConfigInvalid, DetectorMissing
from badc_core.hashing import sha256_bytes, sha256_unchanged

INSTALL = "Run: badc hawkears install"
STAMP = "badc-installed.json"
RANDOM_MARK = "RANDOM_WEIGHTS.txt"

_LOW_BAND_MODELS = 2
_RESOURCES = ("data/exclude.txt", "data/taxonomy.csv", "data/classes.csv", "yaml/default.yaml")
_OCCURRENCE = "data/occurrence.pkl"


@dataclass(frozen=True)
class HawkEarsHome:
    """The folder HawkEars 2 lives in: its Python environment and its data."""

    root: Path

    @property
    def venv(self) -> Path:
        """The Python environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The interpreter HawkEars runs in."""
        if sys.platform == "win32":
            return self.venv / "Scripts" / "python.exe"
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """The file that says that the Python environment is complete, and by which recipe."""
        return self.venv / STAMP

    @property
    def data_root(self) -> Path:
        """What HawkEars calls its environment folder."""
        return self.root / "env"

    @property
    def checkpoints(self) -> Path:
        """Folder of the main networks."""
        return self.data_root / "data" / "ckpt"

    @property
    def low_band_checkpoints(self) -> Path:
        """Folder of the networks for low sounds."""
        return self.data_root / "data" / "ckpt-low-band"

    @property
    def has_random_weights(self) -> bool:
        """Whether the networks have random weights, for tests and timing."""
        return (self.checkpoints / RANDOM_MARK).exists()

    def version(self) -> str:
        """Returns HawkEars' own version, from its package metadata.

        Raises:
            DetectorMissing: it is not installed, or not to the end.
        """
        if not self.venv.is_dir():
            raise DetectorMissing("HawkEars is not installed", self.root, INSTALL)
        pattern = "lib/python*/site-packages/hawkears-*.dist-info"
        found = sorted(self.venv.glob(pattern)) + sorted(
            self.venv.glob("Lib/site-packages/hawkears-*.dist-info")
        )
        if not self.stamp.exists() or not self.python.exists() or not found:
            raise DetectorMissing("HawkEars is not installed completely", self.root, INSTALL)
        return found[0].name.removeprefix("hawkears-").removesuffix(".dist-info")

    def require(self, settings: HawkEarsSettings) -> None:
        """Checks that everything these settings need is there.

        Raises:
            DetectorMissing: the environment, networks or data are not there.
            ConfigInvalid: more networks are asked for than there are.
        """
        self.version()
        needed = [*_RESOURCES, *([_OCCURRENCE] if settings.use_occurrence else [])]
        for name in needed:
            if not (self.data_root / name).is_file():
                raise DetectorMissing("HawkEars' data are missing", self.data_root / name, INSTALL)
        self.networks(settings)

    def classes(self) -> list[list[str]]:
        """Returns code, common and scientific name of every class, as HawkEars reports them.

        Source: HawkEars 2.3.0, `core/taxonomy.py`: what a class is called today takes the place of
        what it was called when the networks were trained; an empty cell changes nothing.
        """
        newer = {row["model_code"]: row for row in self._table("taxonomy.csv")}
        found = []
        for row in self._table("classes.csv"):
            now = newer.get(row["Code"], {})
            name, alt_name = now.get("name") or row["Name"], now.get("alt_name") or row["AltName"]
            found.append(
                [now.get("code") or row["Code"], name, alt_name if alt_name != name else ""]
            )
        return found

    def _table(self, name: str) -> list[dict[str, str]]:
        path = self.data_root / "data" / name
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))

    def networks(self, settings: HawkEarsSettings) -> tuple[Path, ...]:
        """Returns the checkpoint files that these settings use, in HawkEars' order.

        Raises:
            DetectorMissing: there are none.
            ConfigInvalid: more are asked for than there are.
        """
        main = _checkpoints_in(self.checkpoints)
        if len(main) < settings.models:
            raise ConfigInvalid(
                f"detector.hawkears.models is {settings.models}, but only {len(main)} exist",
                self.checkpoints,
                f"Choose at most {len(main)}",
            )
        low = _checkpoints_in(self.low_band_checkpoints) if settings.low_band else ()
        return main[: settings.models] + low[:_LOW_BAND_MODELS]

    def networks_sha256(self, settings: HawkEarsSettings) -> str:
        """Returns one SHA-256 over those of the checkpoint files in use, hex."""
        hashes = [sha256_unchanged(path) for path in self.networks(settings)]
        return sha256_bytes(bytes.fromhex("".join(hashes)))


def find_home(runtime: str = "") -> HawkEarsHome:
    """Returns the folder HawkEars is, or would be, installed in.

    Args:
        runtime: the folder, as set by `detector.runtime`; empty for `vendor/HawkEars` beside
            `badc_core` in a checkout, else a folder of the user's.
    """
    if runtime:
        return HawkEarsHome(expand_home(runtime).absolute())
    vendor = Path(badc_core.__file__).resolve().parents[1] / "vendor"
    if vendor.is_dir():
        return HawkEarsHome(vendor / "HawkEars")
    return HawkEarsHome(home_folder() / ".local" / "share" / "badc" / "HawkEars")


def _checkpoints_in(folder: Path) -> tuple[Path, ...]:
    found = tuple(sorted(folder.glob("*.ckpt"))) if folder.is_dir() else ()
    if not found:
        raise DetectorMissing("HawkEars' networks are missing (*.ckpt)", folder, INSTALL)
    return found
