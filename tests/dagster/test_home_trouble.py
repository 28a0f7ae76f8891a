"""A home or a corpus that is damaged or full is one sentence for every command."""

import errno
import shutil

import pytest
from support.commands import run_typed
from support.disks import fill, small_disk

from badc_core.errors import BadcError, ConfigInvalid, DatasetInvalid, StorageFull
from badc_dagster import home_storage
from badc_dagster.home import naming_home_trouble, prepare_home

COMMANDS = ("run", "status", "scan")


@pytest.fixture
def pond(app, home, tmp_path, field_audio):
    """Returns a dataset that is connected."""
    root = tmp_path / "pond"
    (root / "audio").mkdir(parents=True)
    (root / "audio" / "a.wav").write_bytes((field_audio / "aru_1.wav").read_bytes())
    (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")
    run_typed(app, "scan", root)
    return root


def refusal(app, kind: type[BadcError], *words) -> str:
    with pytest.raises(kind) as caught:
        run_typed(app, *words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_damaged_home_is_one_sentence(app, pond, home):
    for path in home.rglob("*.db"):
        path.write_bytes(b"no database" * 999)
    for command in COMMANDS:
        message = refusal(app, ConfigInvalid, command, pond)
        assert message.startswith(f"{home}: a database of the Dagster home cannot be used (")
        assert "set DAGSTER_HOME to a new one, then run again" in message


def test_a_home_that_cannot_be_written_says_how_to_choose_another(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "/sys/kernel")
    # A place that root cannot write to either; as on a system that does not say what is mounted.
    monkeypatch.setattr(home_storage, "_read_mounts", lambda: "")
    with pytest.raises(ConfigInvalid, match="Set DAGSTER_HOME to a folder you may write to"):
        prepare_home()


def fail_for_space() -> None:
    with naming_home_trouble():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_lack_of_space_elsewhere_is_not_blamed_on_the_home(home):
    home.mkdir(exist_ok=True)
    with pytest.raises(OSError, match="No space left on device"):
        fail_for_space()


def test_a_full_home_is_one_sentence_and_no_run_stays_open(app, pond, home, tmp_path):
    kept = shutil.copytree(home, tmp_path / "kept")
    with small_disk(home, 4096):
        shutil.copytree(kept, home, dirs_exist_ok=True)
        fill(home, 0)
        for command in COMMANDS:
            assert "no space left" in refusal(app, StorageFull, command, pond)
        with pytest.raises(StorageFull, match="runs and events"):
            fail_for_space()  # as a log of Dagster's does in the middle of a run
        (home / "filler").unlink()
        assert run_typed(app, "status", pond).exit_code == 0


def test_a_damaged_corpus_is_one_sentence(app, pond):
    corpus = pond / "artifacts" / "corpus" / "corpus.duckdb"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    corpus.write_bytes(b"no database" * 999)
    message = refusal(app, DatasetInvalid, "report", pond)
    assert message.startswith(f"{corpus}: the database cannot be read (")
    assert f"Delete it, then: badc run {pond}" in message
