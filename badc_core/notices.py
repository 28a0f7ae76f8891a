"""Messages about failed runs, handed to a program of the user's: `[notify] command`."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from badc_core.child_environment import child_environment
from badc_core.secret_values import Secrets
from badc_core.units import counted, shorten

_LONGEST_S = 30.0
_SHOWN = 20


def write_notice(root: Path, failures: Mapping[str, str], faults: Sequence[str]) -> str:
    """Returns the message about a run: what failed, and what to do.

    Args:
        root: of the dataset.
        failures: recording_id -> why it failed.
        faults: what else went wrong.
    """
    where = shlex.quote(str(root))
    what = counted(len(failures), "recording") if failures else "a run"
    head = f"BADC: {what} failed in {root}"
    lines = [f"{one}: {why}" for one, why in failures.items()]
    next_steps = (
        f"What failed and why: badc status {where}",
        f"Once that is corrected: badc run {where}",
    )
    return "\n".join((head, "", *shorten([*faults, *lines], _SHOWN), "", *next_steps, ""))


def send_notice(
    command: Sequence[str], root: Path, text: str, run_id: str, timeout_s: float = _LONGEST_S
) -> str:
    """Hands a message to a program, without secrets; returns what went wrong, or nothing.

    Args:
        command: the program and its arguments; none: nobody is notified.
        root: of the dataset, in which the program runs.
        text: the message.
        run_id: of the run or job that it is about.
        timeout_s: how long the program may take.
    """
    if not command:
        return ""
    environment = {**child_environment(), "BADC_DATASET": str(root), "BADC_RUN_ID": run_id}
    whose = f"no notice was sent: {command[0]}"
    try:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"{whose} cannot be started ({error.strerror}). Correct notify.command in badc.toml"
    message = Secrets(os.environ).mask_text(text).encode("utf-8", "replace")
    try:
        process.communicate(message, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{whose} took longer than {timeout_s:g} s"
    return f"{whose} ended with exit code {process.returncode}" if process.returncode else ""
