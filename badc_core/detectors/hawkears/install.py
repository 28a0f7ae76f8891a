"""Installing HawkEars 2: a Python environment of its own, its tables, its networks.

The environment holds what HawkEars imports when it analyses, not what its training, windows and
databases want (Qt, Lightning, ONNX and a hundred more). What is asked of an installed one is in
`hawkears_home.py` and `hawkears_check.py`.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core import atomic
from badc_core.detectors.hawkears import weights
from badc_core.detectors.hawkears.home import HawkEarsHome
from badc_core.errors import BadcError, ConfigInvalid, DetectorMissing

HAWKEARS_VERSION = "2.3.0"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")

# The CPU's torch is another than the one torchaudio and torchvision were built for: of them only
# the Python part is kept. The three for CUDA belong together.
_TORCH_CPU = ("torch==2.13.0",)
_TORCH_CUDA = ("torch==2.11.0", "torchaudio==2.11.0", "torchvision==0.26.0")
_WITHOUT_DEPENDENCIES = (
    f"hawkears=={HAWKEARS_VERSION}",
    "britekit==1.8.4",
    "timm==1.0.31",
    "torchaudio==2.11.0",
    "torchvision==0.26.0",
)
_NMS_USE = '@torch.library.register_fake("torchvision::nms")'
_NMS_DEFINITION = (
    'torch.library.define(\n    "torchvision::nms", '
    '"(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"\n)\n\n\n'
)
RANDOM_TYPES = tuple(f"effnet.{size}" for size in (*range(1, 12), "6.1"))
"""What BriteKit 1.8.4 can make up."""
_DRIVER = Path("/proc/driver/nvidia/version")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Networks:
    """Where HawkEars' networks come from.

    Attributes:
        given: folder or zip file to copy them from; None downloads them.
        random_type: network type to make up instead, such as `effnet.1`; empty for real ones.
    """

    given: Path | None = None
    random_type: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `weights.py` is told."""
        if self.random_type:
            return ("random", self.random_type)
        if self.given is not None:
            return ("copy", str(self.given))
        return ("download",)


def has_nvidia_driver() -> bool:
    """Tells whether an NVIDIA driver is here."""
    return _DRIVER.exists() or shutil.which("nvidia-smi") is not None


def install(home: HawkEarsHome, *, cuda: bool, networks: Networks, tell: Tell) -> None:
    """Installs HawkEars, or what is missing of it; a second call changes nothing.

    An installation that was interrupted is begun again.

    Args:
        home: where to.
        cuda: for an NVIDIA GPU; else for the CPU.
        networks: where its networks come from.
        tell: called with a line for each step.

    Raises:
        ConfigInvalid: the folder or file to copy from holds no networks, or there is no such type.
        DetectorMissing: a package or the networks could not be fetched or made.
    """
    _check_given(networks)
    recipe = _recipe(cuda=cuda)
    if _stamped_recipe(home) == recipe:
        tell(f"Packages are installed already in {home.venv}")
    else:
        _make_environment(home, cuda=cuda, tell=tell)
        atomic.write_text(home.stamp, json.dumps({"recipe": recipe, "cuda": cuda}) + "\n")
    install_networks(home, networks, tell)


def _make_environment(home: HawkEarsHome, *, cuda: bool, tell: Tell) -> None:
    if home.venv.exists():
        shutil.rmtree(home.venv)
    home.root.mkdir(parents=True, exist_ok=True)
    tell(f"Making a Python environment in {home.venv}")
    _run((sys.executable, "-m", "venv", str(home.venv)), "the environment cannot be made", home)
    tell("Installing torch, for CUDA (3 GB)" if cuda else "Installing torch, for the CPU")
    _pip(home, *(_TORCH_CUDA if cuda else _TORCH_CPU), "-c", str(REQUIREMENTS))
    tell(f"Installing HawkEars {HAWKEARS_VERSION} and what it imports")
    _pip(home, "--no-deps", *_WITHOUT_DEPENDENCIES)
    if not cuda:
        _keep_python_part(home)
    _pip(home, "-r", str(REQUIREMENTS), "-c", str(REQUIREMENTS))


def _keep_python_part(home: HawkEarsHome) -> None:
    """Removes the compiled part of torchaudio and torchvision, which wants another torch.

    HawkEars uses torchaudio's spectrograms and resampling, written in Python, and nothing of
    torchvision, which one of its libraries imports. Without this the import fails.
    """
    (packages,) = {path.parents[1] for path in home.venv.glob("**/torchaudio/__init__.py")}
    for pattern in ("torchaudio/lib/*.so", "torchvision/*.so", "torchvision/*.pyd"):
        for path in packages.glob(pattern):
            path.unlink()
    registrations = packages / "torchvision" / "_meta_registrations.py"
    text = registrations.read_text(encoding="utf-8")
    if _NMS_DEFINITION not in text:
        registrations.write_text(text.replace(_NMS_USE, _NMS_DEFINITION + _NMS_USE), "utf-8")


def install_networks(home: HawkEarsHome, networks: Networks, tell: Tell) -> None:
    """Writes HawkEars' tables and fetches or makes its networks, where they are not there.

    Args:
        home: with its Python environment in it.
        networks: where they come from.
        tell: called with a line for each step.

    Raises:
        ConfigInvalid: the folder or file to copy from holds no networks, or real ones are there
            where some are to be made up.
        DetectorMissing: they could not be downloaded.
    """
    _check_given(networks)
    if not networks.random_type and networks.given is None:
        tell("Downloading HawkEars' networks, where they are not there already")
    elif networks.random_type:
        tell(f"Making up networks of type {networks.random_type}: what they find means nothing")
    program = str(weights.__file__)
    command = (str(home.python), "-I", program, str(home.data_root), *networks.arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    last = done.stdout.strip().rsplit("\n", 1)[-1]
    try:
        told = json.loads(last)
    except ValueError as error:
        reason = _last_line(done.stderr) or f"exit code {done.returncode}"
        raise DetectorMissing(
            f"HawkEars' data could not be written ({reason})", home.data_root
        ) from error
    if "error" in told:
        raise _not_filled(told, home, networks)
    tell(f"Networks in {home.checkpoints}: {', '.join(told['done'])}")


def _check_given(networks: Networks) -> None:
    if networks.random_type and networks.random_type not in RANDOM_TYPES:
        raise ConfigInvalid(
            f"there is no network type {networks.random_type!r}",
            "--random-type",
            f"Choose one of: {', '.join(RANDOM_TYPES)}",
        )
    if networks.given is not None and not networks.given.exists():
        raise ConfigInvalid("no such folder or file", networks.given, "Name another one")


def _not_filled(
    told: dict[str, list[dict[str, str]]], home: HawkEarsHome, networks: Networks
) -> BadcError:
    """Returns the error for networks that are not there, saying how to bring them by hand."""
    if networks.random_type:
        remedy = "Give --runtime another folder, or remove what is in this one"
        return ConfigInvalid(
            f"networks could not be made up ({told['error']})", home.data_root, remedy
        )
    if networks.given is not None:
        remedy = "Give a folder with *.ckpt, or one of HawkEars' own zip files"
        return ConfigInvalid(
            f"no networks could be copied ({told['error']})", networks.given, remedy
        )
    urls = " and ".join(one["url"] for one in told["bundles"])
    return DetectorMissing(
        f"HawkEars' networks could not be downloaded ({told['error']})",
        home.checkpoints,
        f"Fetch {urls} by other means into one folder, then run: "
        "badc hawkears install --checkpoints FOLDER",
    )


def _recipe(*, cuda: bool) -> str:
    """Returns what an environment was made from, as a hash."""
    torch = _TORCH_CUDA if cuda else _TORCH_CPU
    parts = [*torch, *_WITHOUT_DEPENDENCIES, REQUIREMENTS.read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stamped_recipe(home: HawkEarsHome) -> str | None:
    try:
        stamp = json.loads(home.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(stamp.get("recipe")) if home.python.exists() else None


def _pip(home: HawkEarsHome, *arguments: str) -> None:
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    command = (str(home.python), "-I", *pip, *arguments)
    _run(command, "a package could not be installed", home)


def _run(command: Sequence[str], failure: str, home: HawkEarsHome) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        reason = lines[-1] if lines else _last_line(done.stderr)
        remedy = "See that the package index can be reached, then run: badc hawkears install"
        raise DetectorMissing(f"{failure}: {reason}", home.venv, remedy)


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1]
