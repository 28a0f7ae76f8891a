"""What a job and its manifest cost in a run of `badc run`: their share of its time.

    python benchmarks/jobs.py [--recordings 200] [--seconds 60] [--detector birdnet]

Every call that writes a job is timed inside the run itself, so that a machine that grows slower or
faster meanwhile does not decide the share. The hardest case is `--seconds 3 --detector
band_energy`: a job costs the same for a recording of any length. `job_cpu_s` is processor time, of
which a busy machine changes less; opened files and fsyncs are those of the job.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from corpus import write_noise


class Timed:
    """Times calls of this thread, those inside others not again; counts what they ask of a disk.

    Attributes:
        wall_s, cpu_s: of all calls together.
        n_calls, n_fsyncs, n_opened: calls, and what they did.
    """

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0
        self.n_calls = self.n_fsyncs = self.n_opened = 0
        self._is_inside = False
        self._thread = threading.get_ident()
        self._fsync = os.fsync
        os.fsync = self._count_fsync
        sys.addaudithook(self._count_opened)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the call, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if self._is_inside:
                return call(*arguments, **named)
            self._is_inside = True
            began_s, began_cpu_s = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                self.wall_s += time.perf_counter() - began_s
                self.cpu_s += time.thread_time() - began_cpu_s
                self.n_calls += 1
                self._is_inside = False

        return timed

    def _count_fsync(self, descriptor: Any) -> None:
        self.n_fsyncs += self._is_of_call()
        self._fsync(descriptor)

    def _count_opened(self, event: str, _arguments: Any) -> None:
        self.n_opened += event == "open" and self._is_of_call()

    def _is_of_call(self) -> bool:
        return self._is_inside and threading.get_ident() == self._thread


def measure(n_recordings: int, length_s: float, detector: str) -> dict[str, Any]:
    """Returns the seconds of a run over new recordings, and those of its job in them."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "dataset"
        write_noise(root / "audio", range(n_recordings), length_s)
        (root / "badc.toml").write_text(f'[detector]\nname = "{detector}"\n', encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(Path(name) / "home")
        os.environ.pop("BADC_JOBS", None)
        asked = {"recordings": n_recordings, "seconds": length_s, "detector": detector}
        return asked | _run(root)


def _run(root: Path) -> dict[str, float]:
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
        "run_s": round(wall_s, 2),
        "job_s": round(timed.wall_s, 3),
        "job_cpu_s": round(timed.cpu_s, 3),
        "job_calls": timed.n_calls,
        "job_fsyncs": timed.n_fsyncs,
        "job_opened": timed.n_opened,
        "job_percent": round(100 * timed.wall_s / wall_s, 2),
    }


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each recording")
    parser.add_argument("--detector", default="birdnet", help="a detector that needs no settings")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.recordings, asked.seconds, asked.detector)))


if __name__ == "__main__":
    main()
