"""The script that checks traces of leases finds what it is there to find."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_checking_script_sees_a_slot_held_twice_and_a_lease_without_an_end(tmp_path):
    def line(kind: str, pid: int, at_s: float, slot: str = "g0 slot 0") -> str:
        who = {"run": "r", "step": "s", "attempt": 0, "pid": pid, "visible": "g0"}
        return json.dumps({"kind": kind, "slots": [slot], "at_s": at_s, **who})

    def run(*lines: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "trace").write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-I", HERE / "check_lease_trace.py", tmp_path / "trace"]
        return subprocess.run(
            [*command, "--slots", "1"], capture_output=True, text=True, check=False
        )

    one = [line("start", 1, 1.0), line("done", 1, 2.0)]
    assert run(*one, line("start", 2, 2.0), line("done", 2, 3.0)).returncode == 0
    twice = run(*one, line("start", 2, 1.5), line("done", 2, 3.0))
    assert twice.returncode == 1
    assert "g0 slot 0 by r/s#0 (pid 2) and g0 slot 0 by r/s#0 (pid 1)" in twice.stdout
    assert "never ended" in run(*one, line("start", 2, 2.0)).stdout
    assert "there are 1 slots" in run(line("start", 2, 2.0, "g0 slot 1")).stdout
    assert run().returncode == 1, "an empty trace shows nothing"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["mutex.lock"], "no slot was ever leased"),
        (["mutex.lock", "g0.0.slot"], ""),
        (["g0.0.slot", "1.ticket"], "1.ticket was left behind"),
        (["g0.0.slot", "held.slot"], "held.slot is still locked"),
    ],
)
def test_the_checking_script_sees_what_is_left_in_the_folder_or_never_was(tmp_path, names, said):
    who = {"run": "r", "step": "s", "attempt": 0, "pid": 1, "visible": "g0"}
    lines = [
        {"kind": kind, "slots": ["g0 slot 0"], "at_s": at_s, **who}
        for kind, at_s in (("start", 1.0), ("done", 2.0))
    ]
    (tmp_path / "trace").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    leases = tmp_path / "leases" / "host"
    leases.mkdir(parents=True)
    for name in names:
        (leases / name).touch()
    with (tmp_path / "leases" / "host" / names[-1]).open("rb") as file:
        if names[-1].startswith("held"):
            fcntl.flock(file, fcntl.LOCK_EX)
        checked = subprocess.run(
            [
                *(sys.executable, "-I", HERE / "check_lease_trace.py", tmp_path / "trace"),
                *("--slots", "1", "--leases", leases.parent),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert checked.returncode == bool(said), checked.stdout
    assert said in checked.stdout
