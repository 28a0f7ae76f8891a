"""Stopping git and git-annex: what hangs, what nobody needs any more, what is interrupted."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread, main_thread

import pytest
from support.archives import run_in
from support.processes import is_alive

from badc_core.annexed_files import lacks_content
from badc_core.provenance import annex
from badc_core.provenance.annex import drop, fetch
from badc_core.provenance.programs import run_program

CONTENT = bytes(100_000)
FETCH_IMPATIENTLY = """
import sys
from pathlib import Path
from badc_core.provenance import annex

annex._GIVING_UP = ("-c", "annex.stalldetection=1KB/1s")
print(annex.fetch([Path(sys.argv[1])]))
"""

# It takes contents, says that it has them, and hangs while it gives them back. It ends only with
# git-annex: killed alone, it would be the reason that is given. That is how an
# external special remote speaks: https://git-annex.branchable.com/design/external_special_remote_protocol/
_HANGING_REMOTE = """#!/bin/sh
trap "" INT TERM
echo VERSION 1
while read -r word one two file; do
    case "$word" in
    INITREMOTE) echo INITREMOTE-SUCCESS ;;
    PREPARE) echo PREPARE-SUCCESS ;;
    CHECKPRESENT)
        [ -e "$ORDERS/hang" ] && read -r _
        echo "CHECKPRESENT-SUCCESS $one" ;;
    TRANSFER)
        if [ "$one" = STORE ]; then
            echo "TRANSFER-SUCCESS STORE $two"
        elif [ -e "$ORDERS/ask" ]; then
            read -r _ < /dev/tty
            cp "$ORDERS/again.wav" "$file"
            echo "TRANSFER-SUCCESS RETRIEVE $two"
        else
            head -c 5000 /dev/zero > "$file"
            echo PROGRESS 5000
            echo $PPID > "$ORDERS/new" && mv "$ORDERS/new" "$ORDERS/fetching"
            read -r _
        fi ;;
    *) echo UNSUPPORTED-REQUEST ;;
    esac
done
"""


@pytest.fixture
def orders(tmp_path, monkeypatch) -> Path:
    """Returns a folder for what programs of a test say and ask; they are on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("git-annex-remote-hanging", _HANGING_REMOTE),
        ("git-hanging", '#!/bin/sh\necho $$ > "$ORDERS/started"\nexec sleep 1000\n'),
    ):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("ORDERS", str(tmp_path))
    return tmp_path


@pytest.fixture
def sound(orders) -> Path:
    """Returns a sound that only the hanging remote has."""
    root = orders / "archive"
    root.mkdir()
    (root / "a.wav").write_bytes(CONTENT)
    options = ("type=external", "externaltype=hanging", "encryption=none")
    for words in (
        ("init", "-q"),
        ("annex", "init", "-q"),
        ("annex", "add", "-q", "."),
        ("annex", "initremote", "-q", "far", *options),
        ("annex", "copy", "-q", "--to", "far"),
        ("annex", "drop", "-q", "."),
    ):
        run_in(root, "git", *words)
    return root / "a.wav"


def wait_for(path: Path) -> int:
    """Returns the process that wrote its number to a file."""
    until_s = time.monotonic() + 60
    while not (path.exists() and path.read_text(encoding="utf-8").strip()):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return int(path.read_text(encoding="utf-8"))


def ends(pid: int) -> bool:
    until_s = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < until_s:
        time.sleep(0.05)
    return not is_alive(pid)


def test_a_fetch_that_nobody_needs_any_more_ends_with_its_git_annex(orders, sound):
    unneeded = Event()
    with ThreadPoolExecutor(1) as executor:
        fetching = executor.submit(fetch, [sound], unneeded)
        git_annex = wait_for(orders / "fetching")
        unneeded.set()
        assert "nobody needs it any more" in fetching.result(timeout=30)[sound]
    assert ends(git_annex)
    assert lacks_content(sound)


def test_what_nobody_needs_any_more_is_not_even_begun(orders, sound):
    unneeded = Event()
    unneeded.set()
    assert list(fetch([sound], unneeded)) == [sound]
    assert not (orders / "fetching").exists()


def test_a_transfer_that_stalls_is_given_up_where_there_is_no_terminal(sound):
    # With a limit it has no terminal, whatever the tests are started at.
    words = (sys.executable, "-c", FETCH_IMPATIENTLY, str(sound))
    ended = run_program(words, sound.parent, limit_s=60.0)
    assert b"Transfer stalled" in ended.stdout
    assert rb"\n" not in ended.stdout, "a reason is one line"


def test_a_transfer_can_ask_at_a_terminal(orders, sound):
    (orders / "ask").touch()
    (orders / "again.wav").write_bytes(CONTENT)
    ours, theirs = os.openpty()
    begin = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    words = (sys.executable, "-c", begin + FETCH_IMPATIENTLY, str(sound))
    with os.fdopen(ours, "wb"), os.fdopen(theirs, "rb") as terminal:
        os.write(ours, b"passphrase\n")
        subprocess.run(words, stdin=terminal, start_new_session=True, timeout=60, check=True)
    assert not lacks_content(sound)


def test_a_drop_for_which_a_remote_does_not_answer_is_given_up(orders, sound, monkeypatch):
    monkeypatch.setattr(annex, "_DROP_LIMIT_S", 2.0)
    again = orders / "again.wav"
    again.write_bytes(CONTENT)
    run_in(sound.parent, "git", "annex", "reinject", "--known", str(again))
    assert not lacks_content(sound)
    (orders / "hang").touch()
    assert "was not done after 2 s" in drop([sound])[sound]
    assert not lacks_content(sound)


def test_what_an_interrupted_git_started_ends_too(orders):
    def interrupt() -> None:
        wait_for(orders / "started")
        signal.pthread_kill(main_thread().ident, signal.SIGINT)

    thread = Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_program(("git", "hanging"), orders)
    thread.join()
    assert ends(int((orders / "started").read_text(encoding="utf-8")))
