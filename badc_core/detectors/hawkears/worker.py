"""HawkEars 2 answering questions, its networks kept in memory. A program of its own.

Run by `child.py` with the interpreter of HawkEars' environment, so it imports nothing of
BADC; what it does with HawkEars is in `loaded.py` beside it.

    python -I worker.py

It speaks JSON, one object a line. Its first input is a setup, answered by `hello` or `refused`;
every further one is a recording, answered by `result` or `error`. It ends where its input does,
even in the middle of a recording, so it never outlives the process that started it.
"""

import importlib.util
import json
import os
import queue
import resource
import sys
import threading
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

_PACKAGES = ("hawkears", "britekit", "torch", "timm")

Reply = dict[str, Any]


def _sibling(name: str) -> Any:
    """Returns a module beside this file.

    By its path: with this folder on the search path `hawkears.py` in it would hide HawkEars.
    """
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_LOADED = _sibling("loaded")


def _private_replies() -> TextIO:
    """Returns a stream on the real standard output, which libraries can then no longer reach."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


def _read_ahead() -> "queue.SimpleQueue[str]":
    """Returns the lines of standard input as they come; ends the process when they end."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="input", daemon=True).start()
    return lines


def _refused(error: Exception) -> Reply:
    traceback.print_exception(error)
    kind = "region" if isinstance(error, _LOADED.Refusal) else "setup"
    return {
        "kind": "refused",
        "reason": "oom" if _LOADED.is_out_of_memory(error) else kind,
        "message": str(error) or type(error).__name__,
    }


def _error(error: Exception) -> Reply:
    traceback.print_exception(error)
    kind = "bad_audio" if "Could not load recording" in str(error) else "internal"
    return {
        "kind": "error",
        "reason": "oom" if _LOADED.is_out_of_memory(error) else kind,
        "message": f"{type(error).__name__}: {error}",
    }


def peak_rss_mib() -> float:
    """Returns the most memory this process ever held.

    From /proc where there is one: getrusage also counts what the process that started it held
    before this program was loaded.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> int:
    """Runs the program on standard input and output."""
    started_s = time.monotonic()
    replies = _private_replies()
    lines = _read_ahead()

    def send(reply: Reply) -> None:
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    setup = json.loads(lines.get())
    try:
        kept = _LOADED.LoadedHawkEars(setup)
        kept.warm_up()
    except Exception as error:  # noqa: BLE001  (the top of a process: must answer)
        send(_refused(error))
        return 1
    send(
        {
            "kind": "hello",
            "versions": {name: version(name) for name in _PACKAGES},
            "device": kept.device,
            "networks": kept.networks,
            "classes": kept.classes,
            "ready_s": time.monotonic() - started_s,
        }
    )
    while True:
        task = json.loads(lines.get())
        try:
            reply = {"kind": "result", **kept.analyze(task)}
        except Exception as error:  # noqa: BLE001  (the top of a process: must answer)
            reply = _error(error)
        send({**reply, "peak_rss_mib": peak_rss_mib()})


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
