"""Messages about failed runs, as a program of the user's receives them."""

import sys
import time

import pytest

from badc_core.errors import ConfigInvalid
from badc_core.notices import send_notice, write_notice
from badc_core.settings import load_settings

KEEP = "import os, sys; open('got', 'wb').write(sys.stdin.buffer.read()); print(dict(os.environ),"
KEEP += " file=open('environment', 'w'))"


def test_a_message_names_recordings_reasons_and_next_steps(tmp_path):
    root = tmp_path / "my data"
    failures = {f"rec_{number:02d}": "not a WAV file" for number in range(25)}
    text = write_notice(root, failures, ["disk full"])
    lines = text.splitlines()
    assert lines[0] == f"BADC: 25 recordings failed in {root}"
    assert lines[2:4] == ["disk full", "rec_00: not a WAV file"]
    assert "and 6 more" in lines
    assert f"What failed and why: badc status '{root}'" in lines
    assert lines[-1] == f"Once that is corrected: badc run '{root}'"
    assert write_notice(root, {}, ["disk full"]).startswith("BADC: a run failed in ")


def test_the_program_gets_the_message_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("SITE_TOKEN", "hunter2hunter2")
    command = [sys.executable, "-c", KEEP]
    assert send_notice(command, tmp_path, "ünreadable; hunter2hunter2", "run-1") == ""
    assert (tmp_path / "got").read_text("utf-8") == "ünreadable; ***"
    environment = (tmp_path / "environment").read_text()
    assert "hunter2" not in environment
    assert f"'BADC_DATASET': '{tmp_path}'" in environment
    assert "'BADC_RUN_ID': 'run-1'" in environment


def test_a_program_that_fails_or_hangs_stops_nothing(tmp_path):
    assert "exit code 3" in send_notice([sys.executable, "-c", "exit(3)"], tmp_path, "", "")
    assert "cannot be started (No such file" in send_notice(["nowhere"], tmp_path, "", "")
    began_s = time.monotonic()
    trouble = send_notice(["sh", "-c", "sleep 60 & sleep 60"], tmp_path, "x", "", timeout_s=0.2)
    assert trouble == "no notice was sent: sh took longer than 0.2 s"
    assert time.monotonic() - began_s < 10
    assert send_notice([], tmp_path, "x", "") == ""


@pytest.mark.parametrize("owner", ["Jane", "team:", "jane@", "team:the birds"])
def test_an_owner_that_dagster_refuses_is_named(tmp_path, owner):
    settings = tmp_path / "badc.toml"
    settings.write_text(f'[web_interface]\nowners = ["{owner}"]\n', "utf-8")
    with pytest.raises(ConfigInvalid, match=f"'{owner}' is not an e-mail address"):
        load_settings(settings)
