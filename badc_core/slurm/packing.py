"""How many recordings a step may have on the cluster, and packing them into tasks."""

import heapq
import resource
from collections.abc import Mapping

_AT_LEAST, _AT_MOST = 1_500, 10_000
_FILES_EACH, _OTHER_FILES = 2, 1_000


def most_recordings() -> int:
    """Returns how many recordings a step may have on the cluster.

    The more, the fuller the cluster: the next step begins when the last task of this one has ended.
    Of each recording two files are open, of which this machine allows 4,096, or far more.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed == resource.RLIM_INFINITY:
        return _AT_MOST
    return min(_AT_MOST, max(_AT_LEAST, (allowed - _OTHER_FILES) // _FILES_EACH))


def pack(lengths_s: Mapping[str, float], target_s: float) -> list[list[str]]:
    """Returns tasks, each a list of recordings; every recording is in exactly one.

    No task is longer than the target unless it is a single recording. Tasks are as equal as giving
    each recording, longest first, to the shortest task makes them.

    Args:
        lengths_s: recording_id -> seconds of sound.
        target_s: seconds of sound a task should have at most.
    """
    n_tasks = max(1, -int(-sum(lengths_s.values()) // target_s))
    tasks: list[list[str]] = [[] for _ in range(n_tasks)]
    shortest = [(0.0, number) for number in range(n_tasks)]
    for recording_id in sorted(lengths_s, key=lambda one: (-lengths_s[one], one)):
        length_s, number = shortest[0]
        needed_s = length_s + lengths_s[recording_id]
        if tasks[number] and needed_s > target_s:
            tasks.append([recording_id])
            heapq.heappush(shortest, (lengths_s[recording_id], len(tasks) - 1))
        else:
            tasks[number].append(recording_id)
            heapq.heapreplace(shortest, (needed_s, number))
    return [one for one in tasks if one]
