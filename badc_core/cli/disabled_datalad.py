"""The variable of the environment by which results are not committed: `BADC_DISABLE_DATALAD`.

Options and `badc.toml` say the same for one command or one dataset: `datalad.record` in
`badc_core/settings.py`.
"""

import os
from typing import Any

VARIABLE = "BADC_DISABLE_DATALAD"
_NOT_SET = {"", "0", "false", "no"}


def read_disabled_datalad() -> dict[str, dict[str, Any]]:
    """Returns the settings that the variable stands for, as overrides of those of a dataset."""
    is_set = os.environ.get(VARIABLE, "").lower() not in _NOT_SET
    return {"datalad": {"record": "off"}} if is_set else {}
