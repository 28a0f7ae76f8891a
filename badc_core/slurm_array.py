"""A Slurm batch script with a task for each recording: what all such scripts have in common.

Text only. What tasks run is in `chunks/array_script.py` and `inference/array_script.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.errors import ConfigInvalid

_WARNING_S = 120
"""How long before its time is over a task learns of it, so that it ends by itself."""
_MOST_RESTARTS = 3
"""A chunk that never gets done in the time of a task must not be tried for ever."""
NOTES_FOLDER = ".badc/array_tasks"
"""In the dataset: a file for each task, with recording, log and, in the end, exit code, by line."""

_TIME = re.compile(r"(?:([0-9]+)-)?([0-9]+)(?::([0-9]+))?(?::([0-9]+))?")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_PLAIN = re.compile(r"--[a-z]+(-[a-z]+)*|[0-9]+")

_SCRIPT = """\
#!/bin/bash
{directives}
# {title}
# Submit it with sbatch.
# Single-quoted strings are literal:
# shellcheck disable=SC1003,SC1110,SC1111,SC1112,SC2016,SC2088
set -euo pipefail

DATASET={root}
{columns}

IDX=$((SLURM_ARRAY_TASK_ID - 1))
if ((IDX < 0 || IDX >= {n_tasks})); then
  printf 'badc: the tasks are 1 to {n_tasks}, there is no %s\\n' "$SLURM_ARRAY_TASK_ID" >&2
  exit 64
fi

CHILD=""
STOPPED=""
SIGNALLED=""

# Stops the running command; what it has done is kept.
stop() {{
  SIGNALLED=yes
  if [[ -z "$STOPPED" && -n "$CHILD" ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
  fi
  STOPPED="${{STOPPED:-$1}}"
}}
trap 'stop USR1' USR1
trap 'stop TERM' TERM

# Runs a command and returns its exit code. A signal ends `wait` before its process has ended.
run() {{
  local code
  "$@" &
  CHILD=$!
  if [[ -n "$STOPPED" ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
  fi
  while true; do
    SIGNALLED=""
    code=0
    wait "$CHILD" || code=$?
    if [[ -z "$SIGNALLED" ]]; then
      break
    fi
  done
  CHILD=""
  return "$code"
}}

# Ends the task; back in the queue if its time was over, where it goes on from what is done.
end() {{
  local task="${{SLURM_ARRAY_JOB_ID:-}}_$SLURM_ARRAY_TASK_ID"
  if [[ "$STOPPED" != USR1 ]]; then
    exit "$1"
  fi
  if ((${{SLURM_RESTART_COUNT:-0}} < {most_restarts})) && scontrol requeue "$task"; then
    printf 'badc: out of time: requeued, to continue\\n' >&2
  else
    printf 'badc: out of time; submit the script again to go on\\n' >&2
  fi
  exit 75
}}

cd -- "$DATASET"
# For badc slurm logs: the recording, where all this is printed, and in the end the exit code.
NOTE="{notes}/${{SLURM_ARRAY_JOB_ID:-}}_$SLURM_ARRAY_TASK_ID"
note() {{
  {{
    mkdir -p -- "${{NOTE%/*}}"
    [[ -e "${{NOTE%/*/*}}/.gitignore" ]] || printf '*\\n' >"${{NOTE%/*/*}}/.gitignore"
    printf '%s\\n' "$@" >>"$NOTE"
  }} 2>/dev/null || true
}}
if [[ -n "${{SLURM_ARRAY_JOB_ID:-}}" ]]; then
  rm -f -- "$NOTE" 2>/dev/null || true
  note "${{RECORDINGS[IDX]}}" "$(readlink "/proc/$$/fd/1" || true)"
  trap 'note "$?"' EXIT
fi
{body}"""

_FETCH = """\
# Fetches what git-annex keeps elsewhere; on a node without DataLad, badc does as far as it can.
FETCHED=()
while IFS= read -r ONE; do
  if [[ -e "$ONE" || -L "$ONE" ]]; then
    FETCHED+=("$ONE")
  fi
done <<<"${INPUTS[IDX]}"
if ((${#FETCHED[@]} > 0)) && command -v datalad >/dev/null; then
  run datalad get -- "${FETCHED[@]}" || end "$?"
fi
"""


@dataclass(frozen=True)
class ArrayJob:
    """What a script asks Slurm for; what is empty is left to the cluster's defaults.

    Attributes:
        job_name: what the queue shows.
        account: that is charged.
        partition: or several with commas.
        gres: devices of each task, such as `gpu:1`.
        time: longest run time of a task.
        cpus_per_task: cores of each task.
        mem: memory of each task.
    """

    job_name: str
    account: str = ""
    partition: str = ""
    gres: str = ""
    time: str = ""
    cpus_per_task: int | None = None
    mem: str = ""

    def directives(self, n_tasks: int) -> Iterator[str]:
        """Yields the lines that sbatch reads.

        Args:
            n_tasks: in the array.
        """
        array = {"array": f"1-{n_tasks}", "signal": f"B:USR1@{_WARNING_S}", "open-mode": "append"}
        for option in (*sbatch_options({**vars(self), **array}), "--requeue"):
            yield f"#SBATCH {option}"


def stops_at_once(time: str) -> bool:
    """Returns whether Slurm would stop a task as soon as it starts, with this time limit."""
    found = _TIME.fullmatch(time)
    if found is None:
        return False
    days, *parts = (int(one or 0) for one in found.groups())
    if found[1] is None and found[4] is None:  # minutes, or minutes and seconds
        parts = [0, *parts[:2]]
    hours, minutes, seconds = parts
    # To Slurm, 0 is no limit.
    return 0 < ((days * 24 + hours) * 60 + minutes) * 60 + seconds <= _WARNING_S


def sbatch_options(asked: Mapping[str, object]) -> list[str]:
    """Returns the options of sbatch, in the order of their names here; empty values have none."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in asked.items() if value]


def render_array(
    job: ArrayJob, title: str, root: Path, columns: Mapping[str, Sequence[str]], body: str
) -> str:
    """Returns a script.

    Args:
        job: what it asks for.
        title: what it does, in a line.
        root: of the dataset, where tasks start; absolute.
        columns: name of an array -> its text for each task; all as long. `RECORDINGS` has the
            recording_ids.
        body: what a task runs; `IDX` is its place in the arrays.

    Raises:
        ConfigInvalid: a path that a script cannot have.
    """
    n_tasks = len(next(iter(columns.values())))
    arrays = [line for name, texts in columns.items() for line in _array(name, texts)]
    return _SCRIPT.format(
        directives="\n".join(job.directives(n_tasks)),
        title=title,
        root=quote(require_line(str(root))),
        columns="\n".join(arrays),
        n_tasks=n_tasks,
        most_restarts=_MOST_RESTARTS,
        notes=NOTES_FOLDER,
        body=body,
    )


def list_inputs(root: Path, tasks: Sequence[Sequence[str]]) -> tuple[dict[str, list[str]], str]:
    """Returns an array of what tasks read, and the lines of a body that fetch it.

    Both are empty where DataLad does not know the dataset.

    Args:
        root: of the dataset.
        tasks: of each task the paths, relative to the root; absolute ones are outside.
    """
    if not (root / ".datalad").is_dir():
        return {}, ""
    inside = [[one for one in paths if not one.startswith("/")] for paths in tasks]
    return {"INPUTS": ["\n".join(map(require_line, dict.fromkeys(one))) for one in inside]}, _FETCH


def require_line(path: str) -> str:
    """Returns a path that has no line break.

    Raises:
        ConfigInvalid: it has one; people could not read the script, nor could its tasks the list
            of what they fetch.
    """
    if "\n" in path or "\r" in path:
        what = "a batch script cannot name it, since it has a line break"
        raise ConfigInvalid(what, repr(path), "Rename it")
    return path


def quote(text: str) -> str:
    """Returns a text as a word of bash.

    Raises:
        ConfigInvalid: it is not UTF-8, as scripts are.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        what = "a batch script cannot name it, since it is not UTF-8"
        raise ConfigInvalid(what, repr(text), "Rename it") from error
    if _PLAIN.fullmatch(text):
        return text
    # As shlex.quote does, which leaves bare what has a meaning in arrays, such as `then` or `a=b`.
    return "'" + text.replace("'", "'\"'\"'") + "'"


def expand_variables(path: str) -> str:
    """Returns a path as a word of bash in which only `$NAME` and `${NAME}` mean something."""
    words, end = [], 0
    for found in _VARIABLE.finditer(require_line(path)):
        words += [path[end : found.start()], f'"${{{found[1] or found[2]}}}"']
        end = found.end()
    words.append(path[end:])
    return "".join(
        word if number % 2 else quote(word) * bool(word) for number, word in enumerate(words)
    )


def _array(name: str, texts: Sequence[str]) -> Iterator[str]:
    yield f"{name}=("
    yield from (f"  {quote(text)}" for text in texts)
    yield ")"
