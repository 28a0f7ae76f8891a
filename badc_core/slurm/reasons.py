"""Why tasks wait, in Slurm's words and in plain ones; pure text.

Slurm's words are in `man squeue`, under JOB REASON CODES.
"""

import re
from collections import Counter
from collections.abc import Collection

from badc_core.slurm.answers import TaskState

_NEEDS_SOMEBODY = {
    "PartitionTimeLimit": "slurm.time is more than the partition allows",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "PartitionConfig": "the partition has no node for such jobs: ask for less, or for another",
    "BadConstraints": "no node has what slurm.constraint asks for",
    "InvalidAccount": "the account is gone: slurm.account",
    "InvalidQOS": "the quality of service is gone: slurm.qos",
    "AccountNotAllowed": "the account may not use the partition: slurm.account, slurm.partition",
    "QOSNotAllowed": "the quality of service is not for this account or partition: slurm.qos",
    "AssociationTimeLimit": "the account has no time left",
    "QOSTimeLimit": "the quality of service has no time left",
    "ReqNodeNotAvail": "the nodes it needs are down or reserved",
}
_ENDS_BY_ITSELF = {
    "Priority": "other jobs come first",
    "Resources": "no node has enough free cores, memory or GPUs",
    "JobArrayTaskLimit": "as many run as slurm.max_running_tasks allows",
    "BeginTime": "its start is put off for a while, as after a requeue",
    "Dependency": "it starts after another job",
    "Reservation": "its reservation has not begun",
    "Licenses": "all licences are in use",
    "PartitionDown": "the partition starts no jobs at present",
    "PartitionInactive": "the partition starts no jobs at present",
    "Nodes required for job are DOWN": "no node that it may use is up",
    "NodeDown": "a node that it needs is down",
    "Cleaning": "its last start is being cleared away",
}
_LIMITS = (
    # Not minutes of running jobs, of which there are fewer as time passes.
    (re.compile(r"Grp(?!\w*Run)\w*Minutes"), "{who} has used up its allocation"),
    (
        re.compile(r"Max\w*Wall\w*PerJob"),
        "slurm.time is not what {who} allows",
    ),
    (
        re.compile(r"Max\w*(PerJob|PerNode)|Min"),
        "slurm.cpus_per_task, slurm.mem or slurm.gres is not what {who} allows",
    ),
)
_SHARED = re.compile(r"Grp\w+")
_OWNERS = (("Assoc", "the account"), ("QOS", "the quality of service"))


def is_held(reason: str) -> bool:
    """Returns whether a job waits until somebody releases it."""
    return "held" in reason.lower()


def what_to_change(reason: str) -> str:
    """Returns why a job does not start until somebody changes something; nothing if it may."""
    kind = kind_of(reason)
    if kind in _NEEDS_SOMEBODY:
        return _NEEDS_SOMEBODY[kind]
    who, limit = _split_limit(kind)
    found = (words for like, words in _LIMITS if who and like.match(limit))
    return next(found, "").format(who=who)


def explain_reason(reason: str) -> str:
    """Returns why a task waits, in plain words; nothing if there are none but Slurm's."""
    if is_held(reason):
        return "held; to release it, run: scontrol release JOB"
    kind = kind_of(reason)
    if known := what_to_change(reason) or _ENDS_BY_ITSELF.get(kind, ""):
        return known
    who, limit = _split_limit(kind)
    if not who:
        return ""
    if _SHARED.match(limit):
        return f"all jobs of {who} together use as much as they may"
    return f"your jobs use as much at a time as {who} allows" if limit.startswith("Max") else ""


def kind_of(reason: str) -> str:
    """Returns Slurm's word for a reason, without details such as the names of nodes."""
    return reason.partition(",")[0]


def describe_states(states: Collection[TaskState]) -> str:
    """Returns how many tasks are in which state, and why they wait; empty if there are none."""
    counts = Counter((one.state.lower(), kind_of(one.reason)) for one in states)
    return ", ".join(
        f"{n} {state}{_in_brackets(kind)}" for (state, kind), n in sorted(counts.items())
    )


def _in_brackets(kind: str) -> str:
    plain = explain_reason(kind)
    words = f"{kind}: {plain}" if plain else kind
    return f" ({words})" if kind else ""


def _split_limit(kind: str) -> tuple[str, str]:
    """Returns whose limit a reason is, and which, such as `GrpCpuLimit`; nothing if it is none."""
    found = ((who, kind.removeprefix(word)) for word, who in _OWNERS if kind.startswith(word))
    return next(found, ("", ""))
