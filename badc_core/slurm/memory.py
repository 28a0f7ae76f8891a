"""How much memory a task has, how much it used, and what it says once that is too little."""

import os
import re
import resource
from pathlib import Path

from badc_core.errors import BadcError, DetectorFailed, OutOfMemory

_KILLED = "exit code -9"
"""How an error ends whose worker got a SIGKILL."""

_OWN, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_REMEDY = "Set slurm.mem to more, or let fewer workers run at once (inference.cpu_workers)"


def given_mib() -> int | None:
    """Returns how much memory Slurm gives the task that this process is in; None for all."""
    per_node = int(os.environ.get("SLURM_MEM_PER_NODE") or 0)
    per_cpu = int(os.environ.get("SLURM_MEM_PER_CPU") or 0)
    n_cpus = int(os.environ.get("SLURM_CPUS_ON_NODE") or 1)
    return per_node or per_cpu * n_cpus or None


def own_peak_mib() -> float:
    """Returns the most that this process, or one that it has waited for, has used."""
    used = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in used) / 1024


def explain_kill(error: BadcError, given: int | None) -> BadcError:
    """Returns an error that speaks of memory, if that is why a worker was killed.

    Args:
        error: that a recording failed with, on a node.
        given: MiB that the task has; None if nobody knows.
    """
    if isinstance(error, DetectorFailed) and _KILLED in str(error) and _count_kills():
        had = "" if given is None else f"it had {given} MiB, and "
        what = f"its task ran out of memory: {had}the system killed a worker"
        return OutOfMemory(what, error.where, _REMEDY)
    return error


def out_of_memory(log: Path, given: str, used_mib: float | None) -> OutOfMemory:
    """Returns why the recordings of a task failed that Slurm or the system killed.

    Args:
        log: what it printed.
        given: its memory, as Slurm writes it; empty if nobody knows.
        used_mib: the most it was seen with; None if nobody knows.
    """
    had = f": it had {given}" if given else ""
    used = "" if used_mib is None else f", and was seen with {round(used_mib)} MiB"
    return OutOfMemory(f"its task ran out of memory{had}{used if had else ''}", log, _REMEDY)


def _count_kills() -> int:
    """Returns how many processes of the task the system has killed for want of memory."""
    try:
        groups = _OWN.read_text().splitlines()
    except OSError:
        return 0
    return sum(_count_in(*one.split(":", 2)[1:]) for one in groups)


def _count_in(controllers: str, path: str) -> int:
    if controllers == "":
        counts = _GROUPS / path.lstrip("/") / "memory.events"
    elif "memory" in controllers.split(","):
        counts = _GROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
    else:
        return 0
    try:
        found = re.search(r"^oom_kill (\d+)$", counts.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
