"""What the server has imported that the processes of steps are forked from."""

import json
import subprocess
import sys

import pytest

from badc_dagster.executor.gpu_executor import modules_to_preload

_LOOK = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
before = set(sys.modules)
import badc_dagster.definitions
from badc_dagster.home import open_instance
open_instance().dispose()
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="missing: the server of Linux")
def test_a_step_of_ours_imports_no_library_any_more(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "badc_dagster.definitions", object())
    look = [sys.executable, "-c", _LOOK, json.dumps(modules_to_preload())]
    done = subprocess.run(look, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small = {"badc_core", "badc_dagster", "dagster", *sys.stdlib_module_names}
    assert [name for name in json.loads(done.stdout) if name not in small] == []


def test_the_server_imports_our_assets_for_runs_of_ours_only(monkeypatch):
    monkeypatch.delitem(sys.modules, "badc_dagster.definitions", raising=False)
    assert not [one for one in modules_to_preload() if one.startswith("badc_dagster.assets")]
