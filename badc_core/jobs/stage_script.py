"""The exit codes of a stage's script."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from badc_core.errors import BadcError
from badc_core.interruptions import Interruptible
from badc_core.jobs.environment import read_secrets


@contextmanager
def exit_codes() -> Iterator[None]:
    """Ends the process as stages do; around the whole script, or as a decorator of its `main`.

    The exit code is 0 after success, 1 after a failure, 130 after Ctrl-C, 143 after SIGTERM and 129
    after SIGHUP; `argparse` ends a script with 2 for bad arguments. Manifests in the block are
    saved before.

    Raises:
        SystemExit: unless the block ends by itself.
    """
    with Interruptible() as interruptible:
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(interruptible.exit_code)
        except BadcError as error:
            _end(str(error))
        except Exception:  # noqa: BLE001  (the top of a process)
            _end(traceback.format_exc())


def _end(what: str) -> None:
    sys.stderr.write(f"{read_secrets().mask_text(what).rstrip()}\n")
    sys.exit(1)
