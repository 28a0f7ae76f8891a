"""The script that a task of an array runs; pure text."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from badc_core.errors import ConfigInvalid
from badc_core.slurm_settings import SlurmSettings

STARTED_AT = "BADC_TASK_STARTED_AT"
"""A variable of a task: when it was started, in seconds since 1970."""

STOPPED = 75
"""Exit code of a task that stopped before it was done."""

WARNING_S = 120
"""A task is warned this long before its time limit, so that it can end by itself."""

_SCRIPT = """\
#!/bin/bash -l
# One task of an array of BADC's. Its argument is the number of the submission.
exec >>"logs/${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}.out" 2>&1
export {started_at}=$(($(date +%s) - SECONDS)) # of the shell, before what it reads at its start
child=
warned=
trap 'warned=yes; [ -z "$child" ] || kill -USR1 "$child"' USR1 TERM
set -e
{setup}
set +e
[ -z "$warned" ] || exit {stopped}
{command} . "$1" &
child=$!
[ -z "$warned" ] || kill -USR1 "$child"
code=0
# A signal ends `wait` before its process has ended.
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
[ "$code" -eq 0 ] || [ -z "$warned" ] || code={stopped}
exit "$code"
"""


def render_script(settings: SlurmSettings, stage: str, folders: Sequence[Path]) -> str:
    """Returns the script.

    Args:
        settings: how BADC is started on a node.
        stage: whose tasks it runs.
        folders: that a container must see (`binds.py`).

    Raises:
        ConfigInvalid: a container cannot have a folder of that name.
    """
    for folder in folders if settings.image else ():
        if {",", ":"} & set(str(folder)):
            what = "Apptainer cannot bind a folder with a comma or a colon in its name"
            raise ConfigInvalid(what, folder, "Rename it, or use slurm.python instead of an image")
    command = shlex.join(_command(settings, stage, folders))
    setup = "\n".join(settings.setup)
    return _SCRIPT.format(setup=setup, command=command, stopped=STOPPED, started_at=STARTED_AT)


def sbatch_options(
    settings: SlurmSettings, stage: str, name: str, n_tasks: int, folder: Path
) -> list[str]:
    """Returns the options of sbatch for an array.

    Args:
        settings: of the cluster.
        stage: whose resources are asked for.
        name: of the job.
        n_tasks: how many there are.
        folder: of the run, where tasks start.
    """
    limit = f"%{settings.max_running_tasks}" if settings.max_running_tasks else ""
    return [
        "--parsable",
        f"--job-name={name}",
        f"--array=0-{n_tasks - 1}{limit}",
        f"--chdir={folder}",
        f"--output={_output(folder)}",
        "--open-mode=append",
        "--requeue",
        f"--signal=B:USR1@{WARNING_S}",
        *settings.for_stage(stage).options(),
    ]


def _output(folder: Path) -> str:
    """Returns where Slurm says why it ended a task: where the script prints.

    In the name of a folder it would take a `%` for more, also in that where tasks start.
    """
    return "/dev/null" if {"%", "\\"} & set(str(folder)) else "logs/%A_%a.out"


def _command(settings: SlurmSettings, stage: str, folders: Sequence[Path]) -> Sequence[str]:
    python = settings.python or ("python3" if settings.image else sys.executable)
    run = ("-m", "badc_core.slurm.node")
    if not settings.image:
        return (python, *run)
    gpu = ("--nv",) if settings.for_stage(stage).n_gpus else ()
    binds = tuple(word for one in folders for word in ("--bind", str(one)))
    # Packages of the host's Python, or of its user, are for another Python.
    return ("apptainer", "exec", *gpu, *binds, settings.image, python, "-E", "-s", *run)
