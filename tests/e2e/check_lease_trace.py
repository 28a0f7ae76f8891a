"""Checks a trace of who held which slot when, by itself: it knows nothing of BADC's code.

    python check_lease_trace.py TRACE --slots 2 [--leases FOLDER]

A line is a JSON object: `start` when a process has its slot; `done` or `broken off` when its work
is over; `killed` (with no more than its pid) as it was killed. What overlaps on a slot, stands on a
device more often than there are slots, or never ended is named, as is every lock in FOLDER that
somebody still holds, every ticket left there, and that there is no slot. Exit code 1 if there is
anything to name.
"""

import argparse
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Held:
    """A slot in the hands of a process."""

    device: str
    slot: int
    who: str
    from_s: float
    until_s: float | None = None

    def __str__(self) -> str:
        return f"{self.device} slot {self.slot} by {self.who}"


def read_trace(path: Path) -> tuple[list[Held], list[str]]:
    """Returns who held what when, and what is odd about the trace."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    open_by_pid: dict[int, list[Held]] = {}
    everything: list[Held] = []
    odd: list[str] = []
    for line in sorted(lines, key=lambda one: one["at_s"]):
        if line["kind"] == "start":
            held = [_held(line, words) for words in line["slots"]]
            odd += [] if held else [f"{_who(line)} began without a device"]
            shown = ",".join(one.device for one in held)
            if shown != line["visible"]:
                odd.append(f"{_who(line)} holds {shown} and sees {line['visible']}")
            open_by_pid[line["pid"]] = held
            everything += held
        else:
            for one in open_by_pid.pop(line["pid"], []):
                one.until_s = line["at_s"]
    odd += [f"{one} never ended" for held in open_by_pid.values() for one in held]
    return everything, odd


def find_overlaps(everything: list[Held], n_slots: int) -> list[str]:
    """Returns what was held by two at once, and devices with more holders than slots."""
    found = [f"{one}: there are {n_slots} slots" for one in everything if one.slot >= n_slots]
    ordered = sorted(everything, key=lambda one: one.from_s)
    for number, one in enumerate(ordered):
        beside = [
            before
            for before in ordered[:number]
            if before.device == one.device and (before.until_s or one.from_s) > one.from_s
        ]
        found += [f"{one} and {before}" for before in beside if before.slot == one.slot]
        if len(beside) >= n_slots:
            found.append(f"{one.device} has {len(beside) + 1} holders at {one.from_s:.3f} s")
    return found


def find_leftovers(folder: Path) -> list[str]:
    """Returns the locks of a folder that somebody holds, tried here, and the tickets in it."""
    found = [f"{path.name} was left behind" for path in folder.rglob("*.ticket")]
    slots = list(folder.rglob("*.slot"))
    found += [] if slots else [f"no slot was ever leased in {folder}"]
    for path in [*slots, *folder.rglob("*.lock")]:
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(f"{path.name} is still locked")
    return found


def _held(line: dict, words: str) -> Held:
    device, _, slot = words.rpartition(" slot ")
    return Held(device, int(slot), _who(line), line["at_s"])


def _who(line: dict) -> str:
    return f"{line['run'][:8]}/{line['step']}#{line['attempt']} (pid {line['pid']})"


def main() -> int:
    """Prints what is wrong; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--slots", type=int, required=True, help="on each device")
    parser.add_argument("--leases", type=Path, help="the lease folder, where nothing may be left")
    wanted = parser.parse_args()
    everything, wrong = read_trace(wanted.trace)
    wrong += find_overlaps(everything, wanted.slots)
    wrong += find_leftovers(wanted.leases) if wanted.leases else []
    for one in wrong:
        print(one)
    devices = {one.device for one in everything}
    print(f"{len(everything)} leases of {len(devices)} devices, {len(wrong)} wrong")
    return 1 if wrong or not everything else 0


if __name__ == "__main__":
    raise SystemExit(main())
