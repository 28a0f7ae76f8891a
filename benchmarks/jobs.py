"""What a job and its manifest cost in a run of `badc run`: their share of its time.

    python benchmarks/jobs.py [--recordings 200]

Every call that writes a job is timed inside the run itself, so that a machine that grows slower or
faster meanwhile does not decide the share. The detector is `band_energy` and the recordings last
three seconds: next to a real model on real recordings the share is smaller.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from corpus import write_noise


class Timed:
    """Times calls, those inside others not again."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.n_calls = 0
        self._is_inside = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the call, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if self._is_inside:
                return call(*arguments, **named)
            self._is_inside = True
            began_s = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began_s
                self.n_calls += 1
                self._is_inside = False

        return timed


def measure(n_recordings: int) -> dict[str, float]:
    """Returns the seconds of a run over new recordings, and those of its job in them."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "dataset"
        write_noise(root / "audio", range(n_recordings))
        (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(Path(name) / "home")
        os.environ.pop("BADC_JOBS", None)
        return _run(root, n_recordings)


def _run(root: Path, n_recordings: int) -> dict[str, float]:
    # Imported here, as they look at the environment.
    from badc_core.cli.main import main  # noqa: PLC0415
    from badc_core.jobs.unfailing import Unfailing  # noqa: PLC0415
    from badc_dagster import runs  # noqa: PLC0415

    timed = Timed()
    # All that a run writes into its job goes through one of these.
    Unfailing.__call__ = timed.around(Unfailing.__call__)  # type: ignore[method-assign]
    runs.close_lost_jobs = timed.around(runs.close_lost_jobs)
    began_s = time.perf_counter()
    sys.argv = ["badc", "run", str(root)]
    with redirect_stdout(sys.stderr), suppress(SystemExit):
        main()
    wall_s = time.perf_counter() - began_s
    (manifest,) = (root.parent / "home" / "jobs" / "out").glob("**/manifest.json")
    if json.loads(manifest.read_bytes())["pipeline"]["status"] != "completed":
        raise RuntimeError(f"the run has failed: {manifest}")
    return {
        "recordings": n_recordings,
        "run_s": round(wall_s, 2),
        "job_s": round(timed.seconds, 3),
        "job_calls": timed.n_calls,
        "job_percent": round(100 * timed.seconds / wall_s, 2),
    }


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=200)
    print(json.dumps(measure(parser.parse_args().recordings)))


if __name__ == "__main__":
    main()
