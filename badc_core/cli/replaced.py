"""Options of the original BADC, and commands, that are called something else or are not there.

A line each: what to use instead. Those that still exist are not listed.
"""

from collections.abc import Sequence

_ALWAYS = "leave it out: badc run keeps this up to date; a bundle is always whole"
_PLACES = "not changeable: manifests/, artifacts/aggregate and artifacts/corpus are where they are"
_COMMANDS = {
    "slurm resubmit": (
        "type badc run --slurm DATASET again, which submits what is left; or write the array "
        "script again with --sockeye-script, which lists what is left"
    ),
}
_OPTIONS = {
    "pipeline run": {
        "--no-bundle": _ALWAYS,
        "--no-bundle-rollup": _ALWAYS,
        "--no-infer-include-existing": "leave it out: what is up to date is never done again",
        "--no-resume-completed": "to detect again, remove artifacts/raw_detections/REC.parquet",
        "--bundle-aggregate-dir": _PLACES,
        "--chunk-manifest-dir": _PLACES,
        "--chunk-chunks-dir": f"{_PLACES}; chunk files are written by badc chunk orchestrate",
        "--chunk-include-existing": "leave it out: badc run finds what is due",
        "--chunk-pattern": "set recordings.extensions, by which a scan finds recordings",
        "--chunk-workers": "leave it out: no sound is copied",
    },
}


def find_replacement(group: Sequence[str], words: Sequence[str]) -> str:
    """Returns what to use instead of an option or command that is not there; else nothing.

    Args:
        group: the commands typed before, without `badc`.
        words: what was typed after them.
    """
    typed = [*group, *words]
    name = " ".join(typed[:2])
    if name in _COMMANDS:
        return f"badc has no {name}: {_COMMANDS[name]}"
    for word in typed[2:]:
        if word == "--":
            break
        option = word.partition("=")[0]
        if option in _OPTIONS.get(name, {}):
            return f"badc {name} has no {option}: {_OPTIONS[name][option]}"
    return ""
