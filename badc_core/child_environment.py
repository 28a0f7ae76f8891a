"""The environment variables that detectors' processes get: those they need, and no secrets."""

import os
import re

from badc_core.secret_values import is_secret

_INHERITED = re.compile(
    # Finding programs, libraries and files; language and clock.
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|LANG|LANGUAGE|LC_.+|TZ|TZDIR|TMPDIR|TEMP|TMP|XDG_.+"
    r"|LD_.+|DYLD_.+|PYTHON.+|VIRTUAL_ENV|CONDA_PREFIX|SSL_CERT_FILE|SSL_CERT_DIR|DAGSTER_HOME"
    # GPUs, threads and what inference libraries read.
    r"|CUDA.*|NVIDIA_.+|NCCL_.+|ROCM?_.+|HIP_.+|OMP_.+|GOMP_.+|KMP_.+|MKL_.+|OPENBLAS_.+"
    r"|NUMEXPR_.+|NUMBA_.+|MALLOC_.+|TF_.+|XLA_.+|TORCH_.+|PYTORCH_.+|ORT_.+|HF_.+|KERAS_.+"
    r"|MPLCONFIGDIR|SLURM_.+|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY"
    # Settings of BADC, and variables for a user's own model.
    r"|BADC_.+"
)


def child_environment() -> dict[str, str]:
    """Returns what a detector's process inherits of this process's environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if _INHERITED.fullmatch(name) and not is_secret(name, value)
    }
