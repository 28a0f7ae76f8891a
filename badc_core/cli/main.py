"""The `badc` command: its exit codes, and how errors and interruptions are shown.

Nothing heavy is imported before Ctrl-C is handled; the commands are in `app.py`.
"""

import atexit
import gc
import sys

from badc_core.errors import BadcError
from badc_core.interruptions import INTERRUPTED, Interruptible


def main() -> None:
    """Runs the command line; an error of BADC's is one line and exit code 1.

    `taking_options` in `options.py` has made exit code 2 of errors about what was typed.
    """
    # Else Python would search everything for cycles twice as it exits.
    atexit.register(gc.disable)
    with Interruptible() as interruptible:
        try:
            from badc_core.cli.app import build_app  # noqa: PLC0415  (a second)

            build_app()(prog_name="badc")
        except BadcError as error:
            from badc_core.cli.output import print_error  # noqa: PLC0415  (with the commands)

            print_error(error)
            sys.exit(1)
        except KeyboardInterrupt:
            _end(interruptible)
        except SystemExit as ending:
            if ending.code != INTERRUPTED:
                raise
            _end(interruptible)


def _end(interruptible: Interruptible) -> None:
    sys.stderr.write(f"Interrupted. What was finished is kept; {interruptible.how_to_go_on}.\n")
    sys.exit(interruptible.exit_code)
