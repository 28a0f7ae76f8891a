"""Installing HawkEars 2: a Python environment of its own, its tables, its networks.

The environment holds what HawkEars imports when it analyses, not what its training, windows and
databases need (Qt, Lightning, ONNX and a hundred more). Finding an installed one is in `home.py`,
testing it in `check.py`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from badc_core import atomic
from badc_core.detectors.hawkears import weights
from badc_core.detectors.hawkears.home import HawkEarsHome
from badc_core.errors import BadcError, ConfigInvalid, DetectorMissing
from badc_core.hashing import sha256_text
from badc_core.json_texts import parse_object

HAWKEARS_VERSION = "2.3.0"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")

# The CPU's torch is another than that torchaudio and torchvision were built for: of them only
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
_DRIVER = Path("/proc/driver/nvidia/version")

Report = Callable[[str], None]


def has_nvidia_driver() -> bool:
    """Returns whether an NVIDIA driver is here."""
    return _DRIVER.exists() or shutil.which("nvidia-smi") is not None


def install(home: HawkEarsHome, *, cuda: bool, checkpoints: Path | None, report: Report) -> None:
    """Installs HawkEars, or what is missing of it; a second call changes nothing.

    Args:
        home: where to.
        cuda: for an NVIDIA GPU; else for the CPU.
        checkpoints: folder or zip file to copy the networks from; None downloads them.
        report: called with a line for each step.

    Raises:
        ConfigInvalid: the folder or file to copy from holds no networks.
        DetectorMissing: a package or the networks could not be fetched.
    """
    if checkpoints is not None and not checkpoints.exists():
        raise ConfigInvalid("no such folder or file", checkpoints, "Name another one")
    install_environment(home, cuda=cuda, report=report)
    install_networks(home, checkpoints, report)


def install_environment(home: HawkEarsHome, *, cuda: bool, report: Report) -> None:
    """Installs HawkEars' packages, unless they are there; one that was interrupted starts afresh.

    Raises:
        DetectorMissing: a package could not be fetched.
    """
    recipe = _recipe(cuda=cuda)
    if _stamped_recipe(home) == recipe:
        report(f"Packages are installed already in {home.venv}")
        return
    _create_environment(home, cuda=cuda, report=report)
    atomic.write_text(home.stamp, json.dumps({"recipe": recipe, "cuda": cuda}) + "\n")


def _create_environment(home: HawkEarsHome, *, cuda: bool, report: Report) -> None:
    if home.venv.exists():
        shutil.rmtree(home.venv)
    home.root.mkdir(parents=True, exist_ok=True)
    report(f"Creating a Python environment in {home.venv}")
    _run((sys.executable, "-m", "venv", str(home.venv)), "the environment cannot be created", home)
    report("Installing torch, for CUDA (3 GB)" if cuda else "Installing torch, for the CPU")
    _pip(home, *(_TORCH_CUDA if cuda else _TORCH_CPU), "-c", str(REQUIREMENTS))
    report(f"Installing HawkEars {HAWKEARS_VERSION} and what it imports")
    _pip(home, "--no-deps", *_WITHOUT_DEPENDENCIES)
    if not cuda:
        _keep_python_part(home)
    _pip(home, "-r", str(REQUIREMENTS), "-c", str(REQUIREMENTS))


def _keep_python_part(home: HawkEarsHome) -> None:
    """Removes the compiled part of torchaudio and torchvision, which needs another torch.

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


def install_networks(home: HawkEarsHome, checkpoints: Path | None, report: Report) -> None:
    """Writes HawkEars' tables, and downloads its networks where they are missing, or copies them.

    Args:
        home: with its Python environment in it.
        checkpoints: folder or zip file to copy from; None downloads.
        report: called with a line for each step.

    Raises:
        ConfigInvalid: the folder or file to copy from holds no networks.
        DetectorMissing: they could not be downloaded.
    """
    if checkpoints is None:
        report("Downloading HawkEars' networks, where they are not there already")
    arguments = () if checkpoints is None else (str(checkpoints),)
    reply = run_in_home(home, Path(str(weights.__file__)), *arguments)
    if "error" in reply:
        raise _not_filled(reply, home, checkpoints)
    report(f"Networks in {home.checkpoints}: {', '.join(reply['done'])}")


def run_in_home(home: HawkEarsHome, program: Path, *arguments: str) -> dict[str, Any]:
    """Runs a program in HawkEars' environment on its data folder; returns its last line, JSON.

    Raises:
        DetectorMissing: it printed none.
    """
    command = (str(home.python), "-I", str(program), str(home.data_root), *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        reply = parse_object(done.stdout.strip().rsplit("\n", 1)[-1])
    except ValueError as error:
        reason = _last_line(done.stderr) or f"exit code {done.returncode}"
        raise DetectorMissing(
            f"HawkEars' data could not be written ({reason})", home.data_root
        ) from error
    return reply


def _not_filled(reply: dict[str, Any], home: HawkEarsHome, checkpoints: Path | None) -> BadcError:
    """Returns the error for networks that are not there, saying how to bring them by hand."""
    if checkpoints is not None:
        remedy = "Give a folder with *.ckpt, or one of HawkEars' own zip files"
        return ConfigInvalid(f"no networks could be copied ({reply['error']})", checkpoints, remedy)
    urls = " and ".join(one["url"] for one in reply["bundles"])
    return DetectorMissing(
        f"HawkEars' networks could not be downloaded ({reply['error']})",
        home.checkpoints,
        f"Fetch {urls} by other means into one folder, then run: "
        "badc hawkears install --checkpoints FOLDER",
    )


def _recipe(*, cuda: bool) -> str:
    """Returns what an environment is installed from, as a hash."""
    torch = _TORCH_CUDA if cuda else _TORCH_CPU
    parts = [*torch, *_WITHOUT_DEPENDENCIES, REQUIREMENTS.read_text(encoding="utf-8")]
    return sha256_text("\n".join(parts))


def _stamped_recipe(home: HawkEarsHome) -> str | None:
    try:
        stamp = parse_object(home.stamp.read_text(encoding="utf-8"))
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
