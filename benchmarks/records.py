"""What records of how results came about cost in a DataLad dataset, and how that grows with it.

    python benchmarks/records.py [--recordings 2000]

A tenth of the recordings is analysed first, then most of the others, then the last tenth, so that
the first and the last figures are those of a small and of a large dataset. The detector is
`band_energy` and the recordings last three seconds: nearly all the time is that of the bookkeeping.
Git and DataLad are timed from outside, as wall and processor time of each program that BADC starts.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from corpus import write_noise

_LOG = "times"
_SHIM = """#!/bin/bash
# Appends wall, user and system seconds of the program to a log, unless a timed program started it.
if [ -n "$BADC_TIMED" ]; then exec {program} "$@"; fi
export BADC_TIMED=1
TIMEFORMAT='%R %U %S'
{{ time {program} "$@" 2>&3; }} 3>&2 2>>{log}
"""


def measure(n_recordings: int) -> list[dict[str, float]]:
    """Returns seconds per recording of three parts of a growing dataset, git apart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "dataset"
        _run(folder, "datalad", "create", str(root))
        (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")
        env = _timing_environment(folder)
        few = n_recordings // 10
        return [
            _measure_part(root, env, begin, end)
            for begin, end in (
                (0, few),
                (few, n_recordings - few),
                (n_recordings - few, n_recordings),
            )
        ]


def _measure_part(root: Path, env: dict[str, str], begin: int, end: int) -> dict[str, float]:
    write_noise(root / "audio", range(begin, end))
    _run(root, "datalad", "save", "-m", "Add recordings")
    log = root.parent / _LOG
    log.unlink(missing_ok=True)
    started_s = time.perf_counter()
    subprocess.run([_tool("badc"), "run", root], check=True, env=env, stdout=sys.stderr)
    wall_s = time.perf_counter() - started_s
    times = [list(map(float, line.split())) for line in log.read_text().splitlines()]
    unsaved = _run(root, "git", "status", "--porcelain")
    if unsaved:
        raise RuntimeError(f"not all results are committed: {unsaved[:500]}")
    n = end - begin
    return {
        "recordings_before": begin,
        "recordings": n,
        "s_per_recording": round(wall_s / n, 4),
        "git_wall_s_per_recording": round(sum(wall for wall, _, _ in times) / n, 4),
        "git_cpu_s_per_recording": round(sum(user + system for _, user, system in times) / n, 4),
        "git_programs": len(times),
        "commits": int(_run(root, "git", "rev-list", "--count", "HEAD")),
    }


def _timing_environment(folder: Path) -> dict[str, str]:
    """Returns an environment in which git and DataLad are timed."""
    programs = folder / "timed"
    programs.mkdir()
    search = os.pathsep.join((os.environ["PATH"], str(Path(sys.executable).parent)))
    for name in ("git", "datalad"):
        program = shutil.which(name, path=search)
        shim = programs / name
        shim.write_text(_SHIM.format(program=program, log=folder / _LOG), encoding="utf-8")
        shim.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(programs), search)),
        "DAGSTER_HOME": str(folder / "home"),
    }


def _run(folder: Path, *words: str) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout


def _tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def main() -> None:
    """Measures and prints one JSON object for each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=2_000, help="in the end")
    for part in measure(parser.parse_args().recordings):
        print(json.dumps(part))


if __name__ == "__main__":
    main()
