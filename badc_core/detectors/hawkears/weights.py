"""Fills HawkEars' data folder: its tables, and its networks. A program of its own.

Run by `install.py` with the interpreter of HawkEars' environment, so it imports nothing
of BADC. Its last line on standard output is one JSON object: `{"done": ...}` or `{"error": ...}`.

    python -I weights.py DATA_ROOT                  downloads the networks
    python -I weights.py DATA_ROOT FOLDER_OR_ZIP    copies them from there
"""

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

RANDOM_MARK = "RANDOM_WEIGHTS.txt"
"""Is beside networks with random weights, made for tests; see `home.py`."""


def fill(data_root: Path, given: Path | None) -> dict[str, Any]:
    """Writes HawkEars' tables and puts networks there; returns the reply.

    Args:
        data_root: what HawkEars calls its environment folder.
        given: the folder or zip file to copy from; None downloads.
    """
    from hawkears.core.initializer import (  # type: ignore[import-not-found]  # noqa: PLC0415
        download_and_extract,
        initialize,
    )
    from hawkears.core.package_regions import (  # type: ignore[import-not-found]  # noqa: PLC0415
        default_package_region,
    )

    checksums = {one.url: one.sha256 for one in default_package_region().bundles}
    has_random = (data_root / "data" / "ckpt" / RANDOM_MARK).exists()

    def copy(url: str, folder: Path) -> None:
        source = Path(str(given))
        archive = _archive(source, url.rsplit("/", 1)[-1])
        if archive is not None:
            download_and_extract(archive.as_uri(), folder, expected_sha256=checksums[url])
        else:
            _copy_checkpoints(source, folder)

    if given is None:
        initialize(data_root, force=has_random)
    else:
        initialize(data_root, downloader=copy, force=True)
    return {"done": sorted(path.name for path in (data_root / "data" / "ckpt").glob("*.ckpt"))}


def bundles() -> list[dict[str, str]]:
    """Returns what HawkEars downloads."""
    from hawkears.core.package_regions import (  # noqa: PLC0415
        default_package_region,
    )

    return [
        {"url": one.url, "sha256": one.sha256, "folder": str(one.default_directory)}
        for one in default_package_region().bundles
    ]


def _archive(given: Path, name: str) -> Path | None:
    """Returns the official archive of that name, given itself or inside a folder given."""
    for path in (given, given / name):
        if path.name == name and zipfile.is_zipfile(path):
            return path.resolve()
    return None


def _copy_checkpoints(given: Path, folder: Path) -> None:
    """Copies `*.ckpt` from a folder, its subfolder of the wanted name, or a zip file.

    Networks for low sounds are only copied from where the name says so, and need
    not be there.
    """
    is_low_band = folder.name == "ckpt-low-band"
    if given.suffix == ".zip":
        is_meant = is_low_band == ("low-band" in given.name)
        with zipfile.ZipFile(given) as archive:
            members = archive.namelist() if is_meant else []
            found = {
                Path(name).name: archive.read(name) for name in members if name.endswith(".ckpt")
            }
    else:
        inside = given / folder.name
        source = inside if inside.is_dir() or is_low_band else given
        found = {path.name: path.read_bytes() for path in source.glob("*.ckpt")}
    if not found and not is_low_band:
        raise FileNotFoundError(f"no *.ckpt in {given}")
    if found or (folder / RANDOM_MARK).exists():
        _clear(folder)
    for name, content in found.items():
        (folder / name).write_bytes(content)


def _clear(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def main(arguments: list[str]) -> int:
    """Runs one command line; returns the exit code."""
    os.environ["BRITEKIT_INFERENCE_ONLY"] = "1"
    data_root, given = Path(arguments[0]), Path(arguments[1]) if arguments[1:] else None
    try:
        reply = fill(data_root.absolute(), given)
    except Exception as error:  # noqa: BLE001  (the top of a process: must answer)
        reply = {"error": f"{type(error).__name__}: {error}", "bundles": bundles()}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 1 if "error" in reply else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
