"""Commands and options of the original BADC that are called something else now, or are not there.

A line each: what to use instead. Those that still exist are not listed.
"""

from collections.abc import Sequence

_COMMANDS = {
    "pipeline run": "run badc run DATASET: everything from new files to reports",
    "pipeline": "run badc run DATASET: everything from new files to reports",
}
_RECORD = "not there yet: print the commands with --print-datalad-run and run them"
_OPTIONS = {
    "infer run": {
        "--record-datalad": "use badc infer orchestrate DATASET --print-datalad-run",
        "--no-record-datalad": "leave it out: nothing is recorded by itself",
    },
    "infer orchestrate": {
        "--record-datalad": _RECORD,
        "--no-record-datalad": "leave it out: nothing is recorded by itself",
        "--sockeye-script": "not there yet",
    },
    "chunk orchestrate": {
        "--record-datalad": _RECORD,
        "--no-record-datalad": "leave it out: nothing is recorded by itself",
    },
}


def find_replacement(group: Sequence[str], words: Sequence[str]) -> str:
    """Returns what to use instead of a command or option that is not there; else nothing.

    Args:
        group: the commands typed before, without `badc`.
        words: what was typed after them.
    """
    typed = [*group, *words]
    for n_words in (2, 1):
        name = " ".join(typed[:n_words])
        if name in _COMMANDS:
            return f"badc {name} was replaced: {_COMMANDS[name]}"
    name = " ".join(typed[:2])
    for word in typed[2:]:
        if word == "--":
            break
        option = word.partition("=")[0]
        if option in _OPTIONS.get(name, {}):
            return f"badc {name} has no {option}: {_OPTIONS[name][option]}"
    return ""
