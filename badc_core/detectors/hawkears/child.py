"""A running `worker.py`, seen from the process that started it.

Questions and answers are handled in `hawkears2.py`.
"""

import json
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from badc_core.child_environment import child_environment
from badc_core.detectors.hawkears.home import HawkEarsHome
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing, OutOfMemory
from badc_core.json_texts import parse_object

CHECK = "Run: badc hawkears check"

_PROGRAM = Path(__file__).with_name("worker.py")
_TAIL_LINES = 40
_END_TIMEOUT_S = 5.0
_ENVIRONMENT = {
    # On a CPU two processes of one thread each do 1.5 to 1.8 times what one of two threads does.
    "OMP_NUM_THREADS": "1",
    # Without it HawkEars' library imports its training framework.
    "BRITEKIT_INFERENCE_ONLY": "1",
}


class ChildEnded(Exception):
    """The program ended, or broke its protocol, instead of answering."""


class HawkEarsChild:
    """HawkEars in a process of its own, its networks loaded.

    It ends when this process does, however that happens, because its standard input ends then.
    """

    def __init__(self, home: HawkEarsHome, setup: dict[str, Any]) -> None:
        """Starts it and waits until it is ready.

        Raises:
            DetectorMissing: it cannot be started or loaded.
            ConfigInvalid: it does not know the region.
            OutOfMemory: the networks do not fit the device.
            DetectorFailed: it ended while it was loading.
        """
        self.command = (str(home.python), "-I", str(_PROGRAM))
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**child_environment(), **_ENVIRONMENT},
                close_fds=False,  # the lease of the device is the child's too
            )
        except OSError as error:
            raise DetectorMissing(
                f"HawkEars' interpreter cannot be started ({error.strerror})",
                home.python,
                "Run: badc hawkears install",
            ) from error
        self._stdin = cast("TextIO", self._process.stdin)
        self._stdout = cast("TextIO", self._process.stdout)
        self._stderr = cast("TextIO", self._process.stderr)
        self._pump = threading.Thread(target=self._keep_tail, name="hawkears-stderr", daemon=True)
        self._pump.start()
        try:
            self.hello = self._hello(setup, home.root)
        except BaseException:
            self.close()
            raise

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def stderr_tail(self) -> str:
        """The end of what it wrote since the last question."""
        return "".join(self._tail)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Returns its answer to a question.

        Raises:
            ChildEnded: it ended instead.
        """
        self._tail.clear()
        try:
            self._stdin.write(json.dumps(question) + "\n")
            self._stdin.flush()
        except OSError as error:
            raise self._ended() from error
        return self._answer()

    def close(self) -> None:
        """Ends it at once; a second call does nothing."""
        with suppress(OSError):  # it ended with our question half written
            self._stdin.close()
        self._stdout.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pump.join(_END_TIMEOUT_S)
        if not self._pump.is_alive():
            self._stderr.close()

    def _answer(self) -> dict[str, Any]:
        try:
            return parse_object(self._stdout.readline())
        except ValueError as error:
            raise self._ended() from error

    def _ended(self) -> ChildEnded:
        """Ends it, so that its exit code and last lines are known."""
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.close()
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return ChildEnded(f"HawkEars {how}")

    def _hello(self, setup: dict[str, Any], root: Path) -> dict[str, Any]:
        try:
            hello = self.ask(setup)
        except ChildEnded as error:
            last = self.stderr_tail.strip().rsplit("\n", 1)[-1]
            raise DetectorFailed(f"{error} while loading: {last}", root, CHECK) from error
        if hello["kind"] == "hello":
            return hello
        message = str(hello["message"])
        if hello["reason"] == "oom":
            remedy = "Set detector.hawkears.models lower, or run fewer workers (inference)"
            raise OutOfMemory(f"HawkEars' networks do not fit: {message}", root, remedy)
        if hello["reason"] == "region":
            remedy = "Use a code such as CA-AB, or leave it empty"
            raise ConfigInvalid(message, "detector.hawkears.region", remedy)
        raise DetectorMissing(f"HawkEars cannot be loaded: {message}", root, CHECK)

    def _keep_tail(self) -> None:
        """Copies its standard error to ours, and keeps the end of it."""
        for line in self._stderr:
            self._tail.append(line)
            sys.stderr.write(line)
