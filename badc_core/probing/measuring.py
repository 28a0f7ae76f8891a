"""Running a detector once on a length of sound, in a fresh process, to see what memory it needs.

The process itself is `attempt.py`. Fresh, since memory that a process once had does not show what
the next length needs, and since running out may kill it.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from badc_core.child_environment import child_environment
from badc_core.detector_settings import DetectorSettings
from badc_core.devices.current_lease import leased_gpus
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.places import Place
from badc_core.engine.protocol import error_from_json
from badc_core.errors import DetectorFailed
from badc_core.json_texts import parse_object
from badc_core.out_of_memory import mentions_memory
from badc_core.probing.memory_limit import MemoryLimit

_STDERR_LETTERS = 300


@dataclass(frozen=True)
class Measured:
    """The result of analysing a length of sound.

    Attributes:
        is_ok: whether memory sufficed.
        peak_rss_mib: most of the machine's memory the process ever held, and the programs it ran.
        peak_vram_mib: most GPU memory, if the detector reports it.
        reason: why it did not suffice; empty if it did.
        runtime_s: of loading and analysing.
    """

    is_ok: bool
    peak_rss_mib: float | None = None
    peak_vram_mib: float | None = None
    reason: str = ""
    runtime_s: float | None = None

    def needed_mib(self, limit: MemoryLimit) -> float | None:
        """Returns what counts against a limit, if it is known."""
        return self.peak_vram_mib if limit.gpu else self.peak_rss_mib


Measure: TypeAlias = Callable[[float], Measured]
"""Analyses the first seconds of a file."""


def measure_in_child(file: Path, settings: DetectorSettings, limit: MemoryLimit) -> Measure:
    """Returns a measure that runs the detector on the limit's device.

    On the CPU neither the process nor a program it runs can have more than the limit, so that a
    length too long does not take memory from other programs. Each may have that much; whether
    they kept within it together is checked afterwards. A GPU is leased for each measure.
    """
    environment = {**child_environment(), **Place("probe", limit.gpu).environment()}

    def measure(duration_s: float) -> Measured:
        task = {
            "file": str(file),
            "duration_s": duration_s,
            "detector": settings.model_dump(mode="json"),
            "limit_mib": None if limit.gpu else limit.mib,
        }
        with ExitStack() as stack:
            descriptors: tuple[int, ...] = ()
            if limit.gpu is not None:
                lease = leased_gpus(DeviceRequest(), "a chunk probe", limit.gpu)
                descriptors = stack.enter_context(lease).descriptors
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="badc-probe-"))
            done = subprocess.run(
                [sys.executable, "-P", "-m", "badc_core.probing.attempt"],
                input=json.dumps(task),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env={**environment, "TMPDIR": scratch},
                pass_fds=descriptors,
                check=False,
            )
        return read_answer(done.returncode, done.stdout, done.stderr)

    return measure


def read_answer(returncode: int, stdout: str, stderr: str) -> Measured:
    """Returns what a finished attempt means.

    Raises:
        BadcError: it failed for another reason than memory.
    """
    if returncode == -signal.SIGKILL:
        return Measured(is_ok=False, reason="out of memory: the system killed the process")
    if returncode and mentions_memory(stderr):
        return Measured(is_ok=False, reason="out of memory: the process gave up")
    if returncode:
        tail = " ".join(stderr.split())[-_STDERR_LETTERS:]
        how = f"was ended by signal {-returncode}" if returncode < 0 else f"ended with {returncode}"
        what = f"the process that runs the detector {how}: {tail}"
        raise DetectorFailed(what, remedy="See what it wrote above")
    try:
        answer = parse_object(stdout)
    except ValueError as error:
        what = f"the process that runs the detector gave no answer ({error})"
        raise DetectorFailed(what, remedy="See what it wrote above") from error
    if "error" in answer:
        raise error_from_json(answer["error"])
    return Measured(**answer)
