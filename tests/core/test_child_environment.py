"""What detectors' processes see of the user's environment."""

import json
import re
import sys
from pathlib import Path

import pytest

import badc_core
from badc_core.child_environment import child_environment
from badc_core.detectors.programs import run_program

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ACCESS_KEY_ID": "x",
    "GITHUB_TOKEN": "x",
    "HF_TOKEN": "x",
    "PGPASSWORD": "x",
    "DATABASE_URL": "postgres://me:pw@host",
    "SSH_AUTH_SOCK": "/run/agent",
    "BADC_API_KEY": "x",
    "MY_OWN_THING": "x",
    "HTTPS_PROXY": "http://me:pw@proxy:8080",
}
NEEDED = {
    "PATH": "/usr/bin:/bin",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "PYTHONPATH": "/models",
    "LD_LIBRARY_PATH": "/cuda",
    "OMP_NUM_THREADS": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "BADC_LEASE_DIR": "/leases",
    "BADC_MODEL_FOLDER": "/models",
    "https_proxy": "http://proxy:8080",
}


@pytest.fixture
def user(monkeypatch) -> None:
    for name, value in {**SECRETS, **NEEDED}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("user")
def test_what_is_needed_is_inherited_and_secrets_are_not() -> None:
    found = child_environment()
    assert found.keys().isdisjoint(SECRETS)
    assert NEEDED.items() <= found.items()


@pytest.mark.usefixtures("user")
def test_a_detectors_program_sees_no_secret() -> None:
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    found = json.loads(run_program([sys.executable, "-c", script]).stdout)
    assert found.keys().isdisjoint(SECRETS)
    assert found["TZ"] == NEEDED["TZ"]


def test_nothing_hands_on_the_whole_environment() -> None:
    for path in Path(badc_core.__file__).parent.rglob("*.py"):
        assert not re.search(r"\*\*os\.environ|env=os\.environ", path.read_text("utf-8")), path
