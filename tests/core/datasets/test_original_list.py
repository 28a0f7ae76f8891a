"""The original's list of datasets, written by several at once and with names that collide."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from badc_core.datasets.connections import Connection, Origin, connect, disconnect, read_known
from badc_core.datasets.original_list import update_listed


@pytest.fixture
def home_folder(tmp_path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def rows(path: Path) -> dict[str, dict[str, str]]:
    return tomllib.loads(path.read_text(encoding="utf-8"))["datasets"]


def test_datasets_entered_at_the_same_time_are_all_there(tmp_path):
    path = tmp_path / "data.toml"
    names = [f"d{number}" for number in range(40)]

    def enter(name: str) -> None:
        update_listed(path, name, Connection(name, tmp_path / name))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, names))
    assert sorted(rows(path)) == sorted(names)


def test_two_folders_of_one_name_have_a_row_each(tmp_path, home_folder):
    path = tmp_path / "data.toml"
    one, other = tmp_path / "a" / "archive", tmp_path / "b" / "archive"
    for number, root in enumerate((one, other)):
        root.mkdir(parents=True)
        origin = Origin(f"https://host/{number}", "git")
        update_listed(path, "archive", connect(home_folder, root, None, origin))
    found = {key: (row["path"], row["url"]) for key, row in rows(path).items()}
    assert found == {
        "archive": (str(one), "https://host/0"),
        "archive_2": (str(other), "https://host/1"),
    }
    for known in read_known(home_folder):
        update_listed(path, known.name, disconnect(home_folder, known))
    assert {key: row["path"] for key, row in rows(path).items()} == {
        "archive": str(one),
        "archive_2": str(other),
    }
    assert {row["status"] for row in rows(path).values()} == {"disconnected"}


def test_a_row_of_a_folder_in_use_is_not_taken_by_another_of_its_name(tmp_path):
    path, listed, new = tmp_path / "data.toml", tmp_path / "listed", tmp_path / "new"
    for root in (listed, new):
        root.mkdir()
    path.write_text(f'[datasets.pond]\npath = "{listed}"\nstatus = "connected"\n', "utf-8")
    update_listed(path, "pond", Connection("pond", new))
    assert {key: row["path"] for key, row in rows(path).items()} == {
        "pond": str(listed),
        "pond_2": str(new),
    }
    listed.rmdir()
    update_listed(path, "pond", Connection("pond", tmp_path / "moved"))
    assert rows(path)["pond"]["path"] == str(tmp_path / "moved")


def test_disconnecting_keeps_what_others_changed_of_the_row_meanwhile(tmp_path, home_folder):
    lake, pond = tmp_path / "lake", tmp_path / "pond"
    for root in (lake, pond):
        root.mkdir()
    before = connect(home_folder, lake)
    assert before.is_main
    connect(home_folder, pond, wants_main=True)
    gone = disconnect(home_folder, before)
    assert (gone.is_main, gone.is_connected) == (False, False)
    assert [one.name for one in read_known(home_folder) if one.is_main] == ["pond"]
