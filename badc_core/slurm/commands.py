"""Slurm's own commands: what they are asked, and what their answers mean.

Nothing else of BADC starts them. A controller that does not answer is no news about jobs: that
raises `SlurmSilent`, never an empty answer.
"""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from badc_core.child_environment import child_environment
from badc_core.errors import ProgramMissing, SlurmRefused, SlurmSilent
from badc_core.slurm.answers import (
    ACCOUNTING_FIELDS,
    TaskState,
    read_accounting,
    read_pairs,
    read_queue_lines,
    read_shown_job,
)

_LIMIT_S = 60.0
# Slurm's own phrases, whole: a site's words of refusal may have any of theirs.
_SILENT = re.compile(
    r"unable to contact slurm controller|socket timed out on send/recv|zero bytes were transmitted"
    r"|communication (connection|shutdown) failure|message (send|receive) failure"
    r"|temporarily unable to accept job|backup controller in standby|unexpected message received",
    re.IGNORECASE,
)
_OUT_OF_ORDER = re.compile(
    r"protocol authentication error|configuration source|transport endpoint is not connected",
    re.IGNORECASE,
)
"""Of a machine without a cluster too: no answer only where there was one before."""

_NO_SUCH_JOB = re.compile(r"invalid job id specified|already completing or completed", re.I)
_TOO_MANY = re.compile(
    r"submit limit|Submit\w*Limit|too many|MaxJobs|job array.*(limit|size)", re.I
)
_OTHER_LIMIT = re.compile(r"\b(?:Assoc|QOS)(?!\w*(?:Submit|Jobs))\w+")
"""A limit on single jobs; what Slurm says beside its name goes for a limit on their number too."""

_ASSOCIATIONS = "sacctmgr show associations user=$USER format"
_ADVICE = (
    (r"\b(Assoc|QOS)\w*Wall", "Set slurm.time to less", "sacctmgr show qos format=name,maxwall"),
    (r"\b(Assoc|QOS)\w+", "Ask for less, or set slurm.qos to another one", "sacctmgr show qos"),
    (r"account", "Set slurm.account to one of yours", f"{_ASSOCIATIONS}=account,partition"),
    (r"partition", "Set slurm.partition to another one", "sinfo -s"),
    (r"qos", "Set slurm.qos to one that your account may use", f"{_ASSOCIATIONS}=account,qos"),
    (
        r"gres|generic resource",
        "Set slurm.gres to devices that a node has",
        "sinfo -o '%N %G'",
    ),
    (
        r"feature|constraint",
        "Set slurm.constraint to features that nodes have",
        "sinfo -o '%N %f'",
    ),
    (r"time", "Set slurm.time to less than the partition's limit", "sinfo -o '%P %l'"),
    (
        r"memory|cpu|node configuration",
        "Ask for less: slurm.mem, slurm.cpus_per_task, slurm.gres",
        "sinfo -o '%N %c %m %G'",
    ),
)
"""What is in Slurm's words -> what to do, and the command that shows what there is."""

# Clusters of a federation are left out: the jobs of others are not in this one's queue.
_SETTINGS_OF_COMMANDS = re.compile(r"SBATCH_(?!CLUSTERS)|SLURM_CONF|SLURM_JWT")
# Also of the job that BADC itself may be in.
_OF_THIS_MACHINE = re.compile(
    r"TMPDIR|XDG_RUNTIME_DIR|CUDA_VISIBLE_DEVICES|BADC_LEASE|OMP_NUM_THREADS|SLURM_.+"
)
_JOB = re.compile(r"^\s*(\d+)(?:;\S+)?\s*$", re.MULTILINE)
_OURS = ("--me", "-a", "-h", "-t", "all")
_NAMES_AT_ONCE = 100
_ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    }
)


Tasks = Mapping[str, TaskState]
"""By job and index, such as `17_3`."""


class Slurm:
    """The cluster as its commands see it."""

    def __init__(self) -> None:
        self._has_accounting = True
        self._has_answered = False
        self._largest_array = 0

    def submit(self, options: Sequence[str], script: Path, *arguments: str) -> str:
        """Returns the id of the job that was submitted.

        Raises:
            SlurmSilent: nobody knows whether it was.
            SlurmRefused: it was not, and would not be if it were tried again.
            TooManyJobs: it was not, since there are as many jobs as there may be.
        """
        ended = self._run("sbatch", *options, str(script), *arguments)
        if ended.returncode == 0:
            # A site's own sbatch may print more.
            if found := _JOB.findall(ended.stdout):
                return str(found[-1])
            what = f"not an answer with a job id: {ended.stdout!r}"
            raise SlurmRefused(what, "sbatch", "Ask the site's staff about their sbatch")
        words = _words(ended)
        if _TOO_MANY.search(words) and not _OTHER_LIMIT.search(words):
            remedy = f"To see how many you may have, run: {_ASSOCIATIONS}=account,qos,maxsubmit"
            raise TooManyJobs(words, "sbatch", remedy)
        raise SlurmRefused(f"refused: {words}", "sbatch", _advise(words))

    def find_jobs(self, names: Collection[str]) -> dict[str, list[str]]:
        """Returns name -> job ids, of jobs that are queued, running or just ended."""
        found: dict[str, set[str]] = defaultdict(set)
        for start in range(0, len(names), _NAMES_AT_ONCE):
            listed = ",".join(sorted(names)[start : start + _NAMES_AT_ONCE])
            ended = self._run("squeue", *_OURS, "-n", listed, "-o", "%F|%j")
            since = ("-S", "now-7days", "-o", "JobID,JobName")
            account = self._account("-n", "-X", "-P", f"--name={listed}", *since)
            for name, job in read_pairs(ended.stdout + account):
                found[name].add(job.partition("_")[0])
        return {name: sorted(jobs) for name, jobs in found.items()}

    def read_queue(self) -> dict[str, TaskState]:
        """Returns all tasks of the user's arrays that are queued or running."""
        ended = self._run("squeue", *_OURS, "-r", "-o", "%F_%K|%T|%r")
        known = read_queue_lines(ended.stdout)
        return {job: one for job, one in known.items() if one.state not in _ENDED}

    def find_ended(self, jobs: Collection[str]) -> dict[str, TaskState]:
        """Returns what is known of tasks that are in the queue no more, as far as anything is.

        Args:
            jobs: such as `17_3`.
        """
        arrays = sorted({one.partition("_")[0] for one in jobs})
        found: dict[str, TaskState] = {}
        for array in self._still_known(arrays):
            found |= read_shown_job(self._run("scontrol", "show", "job", "-o", array).stdout)
        asked = ("-n", "-P", "-j", ",".join(arrays), "--units=M", "-o", ACCOUNTING_FIELDS)
        for job, state in read_accounting(self._account(*asked)).items():
            # It lags behind the controller, but remembers longer, and knows of memory.
            known = found.get(job, state)
            found[job] = replace(known, max_rss_mib=state.max_rss_mib)
        return {one: state for one, state in found.items() if one in jobs and state.state in _ENDED}

    def find_queued(self, names: Collection[str]) -> set[str]:
        """Returns the ids of arrays of some names that are queued or running."""
        found = set()
        for start in range(0, len(names), _NAMES_AT_ONCE):
            listed = ",".join(sorted(names)[start : start + _NAMES_AT_ONCE])
            ended = self._run("squeue", *_OURS, "-n", listed, "-o", "%F|%T")
            found |= {job for state, job in read_pairs(ended.stdout) if state not in _ENDED}
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        """Cancels arrays; those that have ended are passed over."""
        if jobs:
            self._run("scancel", "--quiet", *sorted(jobs))

    def largest_array(self) -> int:
        """Returns how many tasks an array may have.

        Raises:
            SlurmSilent: the controller does not answer.
            SlurmRefused: there is none, as far as this machine knows.
        """
        if not self._largest_array:
            shown = self._run("scontrol", "show", "config").stdout
            found = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
            self._largest_array = max(1, int(found[1]) - 1) if found else 1000
        return self._largest_array

    def _still_known(self, arrays: Sequence[str]) -> Sequence[str]:
        """Returns those of arrays that the controller remembers: it is asked of one at a time."""
        if len(arrays) <= 1:
            return arrays
        words = "-a", "-h", "-t", "all", "-j", ",".join(arrays), "-o", "%F|%T"
        known = {job for _, job in read_pairs(self._run("squeue", *words).stdout)}
        return [one for one in arrays if one in known]

    def _account(self, *words: str) -> str:
        """Returns what accounting answers; nothing where there is none."""
        if not self._has_accounting:
            return ""
        try:
            return self._run("sacct", *words).stdout
        except (SlurmSilent, SlurmRefused, ProgramMissing) as error:
            self._has_accounting = "accounting storage is disabled" not in str(error)
            return ""  # the controller knows enough

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Returns how a command ended: well, about a job that nobody knows, or sbatch refused.

        Once a command has worked here, any other failure is no answer: nobody gives up work of
        days because a daemon or a package is being replaced.

        Raises:
            ProgramMissing: it is not there, nor was another that worked.
            SlurmRefused: it failed, and none has worked.
            SlurmSilent: the controller does not answer.
        """
        if shutil.which(words[0]) is None:
            what = "this program of Slurm is not on PATH"
            if self._has_answered:
                raise SlurmSilent(what, words[0])
            raise ProgramMissing(what, words[0], "Run BADC where jobs are submitted: a login node")
        inherited = {
            name: value
            for name, value in child_environment().items()
            if not _OF_THIS_MACHINE.fullmatch(name)
        }
        own = {
            name: value for name, value in os.environ.items() if _SETTINGS_OF_COMMANDS.match(name)
        }
        try:
            ended = subprocess.run(
                words,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=_LIMIT_S,
                env={**inherited, **own},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SlurmSilent(f"no answer in {_LIMIT_S:.0f} s", words[0]) from error
        except OSError as error:
            raise SlurmSilent(str(error), words[0]) from error
        if ended.returncode == 0 or _NO_SUCH_JOB.search(ended.stderr):
            self._has_answered = True
            return ended
        refuses = words[0] == "sbatch" and not _OUT_OF_ORDER.search(ended.stderr)
        if _SILENT.search(ended.stderr) or (self._has_answered and not refuses):
            raise SlurmSilent(_words(ended), words[0], "It is asked again")
        if words[0] != "sbatch":
            raise SlurmRefused(_words(ended), words[0], "Run BADC where this command works")
        return ended


class TooManyJobs(SlurmRefused):
    """The user has as many jobs as the cluster lets them have."""


def _words(ended: subprocess.CompletedProcess[str]) -> str:
    """Returns what a command said, in one line."""
    lines = ended.stderr.strip() or ended.stdout.strip() or f"exit code {ended.returncode}"
    return "; ".join(re.sub(r"^\w+: (error: )?", "", one) for one in lines.splitlines())


def _advise(words: str) -> str:
    """Returns what to do where sbatch refused, by what it said."""
    for like, what_to_do, command in _ADVICE:
        if re.search(like, words, re.IGNORECASE):
            return f"{what_to_do}. To see what there is, run: {command}"
    return "To read about the options of sbatch, run: man sbatch"
