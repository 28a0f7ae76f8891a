"""A home on a network disk is refused for SQLite; its `dagster.yaml` is read and changed."""

import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from support.commands import run_typed

from badc_core.errors import ConfigInvalid, PackageMissing
from badc_dagster import home_storage
from badc_dagster.home import open_instance, prepare_home
from badc_dagster.home_storage import (
    SETTINGS,
    find_file_system,
    read_postgres,
    require_local_disk,
    write_postgres,
)

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 / /arc rw,relatime shared:7 - nfs4 filer:/arc rw,vers=4.2
41 40 253:1 / /arc/local rw,relatime - xfs /dev/sdb rw
42 27 0:51 / /scratch rw,relatime master:1 - lustre mgs@tcp:/scratch rw,flock
43 27 0:52 / /field\040data rw,relatime - cifs //nas/field rw
44 27 0:53 / /home rw,relatime - autofs /etc/auto.home rw
45 44 0:54 / /home/ada rw,relatime - autofs auto rw
46 45 0:55 / /home/ada rw,relatime - nfs filer:/ada rw
47 27 0:56 / /gpfs rw - gpfs gpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/badc", "ext4"),
        ("/arc", "nfs4"),
        ("/arc/project/home", "nfs4"),
        ("/arc/local/home", "xfs"),
        ("/archive", "ext4"),
        ("/scratch/home", "lustre"),
        ("/field data/home", "cifs"),
        ("/home/ada/.local/share/badc", "nfs"),
        ("/gpfs/home", "gpfs"),
    ],
)
def test_the_mount_that_a_folder_is_below_says_what_its_disk_is(folder, kind):
    path = Path(folder)
    assert find_file_system(path, MOUNTS) == kind
    if kind in {"ext4", "xfs"}:
        require_local_disk(path, MOUNTS)
        return
    with pytest.raises(ConfigInvalid, match=rf"on a network disk \({kind}\)") as caught:
        require_local_disk(path, MOUNTS)
    message = str(caught.value)
    assert message.startswith(f"{folder}: ")
    assert "Set DAGSTER_HOME to a folder on a local disk" in message
    assert "or use Postgres: badc home init --postgres URL" in message


@pytest.fixture
def on_network_disk(tmp_path, monkeypatch):
    """Returns a home that does not exist yet, on what seems to be a network disk."""
    mounts = f"{MOUNTS}50 27 0:60 / {tmp_path.resolve()} rw - nfs4 filer:/badc rw\n"
    monkeypatch.setattr(home_storage, "_read_mounts", lambda: mounts)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_no_command_uses_sqlite_on_a_network_disk_nor_writes_there(app, on_network_disk, tmp_path):
    (tmp_path / "pond" / "audio").mkdir(parents=True)
    (tmp_path / "pond" / "audio" / "a.wav").write_bytes(b"RIFF")
    for command in (("scan", tmp_path / "pond"), ("run", tmp_path / "pond"), ("home", "init")):
        with pytest.raises(ConfigInvalid, match=r"on a network disk \(nfs4\)"):
            run_typed(app, *command)
    assert not on_network_disk.exists()


def test_a_home_on_a_network_disk_whose_database_is_elsewhere_is_used(on_network_disk, tmp_path):
    on_network_disk.mkdir()
    (on_network_disk / "dagster.yaml").write_text(
        'storage:\n  sqlite:\n    base_dir: "/var/lib/badc"\n', encoding="utf-8"
    )
    require_local_disk(on_network_disk)
    write_postgres(on_network_disk, make_url("postgresql+psycopg2://badc@host:5432/badc"))
    assert read_postgres(on_network_disk, {}).host == "host"


def test_where_mounts_cannot_be_read_the_disk_is_believed_to_be_local(tmp_path):
    require_local_disk(tmp_path, "")


def test_writing_a_database_again_replaces_it_and_leaves_other_settings(tmp_path):
    shipped = SETTINGS.read_text("utf-8")
    for host in ("first", "::1"):
        write_postgres(tmp_path, make_url(f"postgresql+psycopg2://badc:pw@[{host}]:5432/badc"))
        url = read_postgres(tmp_path, {})
        assert (url.host, url.password) == (host, None)
        assert url.query == {"passfile": str(tmp_path / ".pgpass")}
    text = (tmp_path / "dagster.yaml").read_text("utf-8")
    assert text.startswith(shipped)
    assert text.count("storage:") == 1
    write_postgres(tmp_path, make_url("postgresql+psycopg2://badc@host:5432/badc?sslmode=require"))
    assert read_postgres(tmp_path, {}).query == {"sslmode": "require"}
    assert not (tmp_path / ".pgpass").exists()


def test_settings_that_are_not_the_homes_own_or_name_other_storage_are_left_alone(tmp_path):
    url = make_url("postgresql+psycopg2://badc@host:5432/badc")
    (tmp_path / "dagster.yaml").write_text("run_storage:\n  module: x\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="run_storage name other storage"):
        write_postgres(tmp_path, url)
    (tmp_path / "dagster.yaml").unlink()
    (tmp_path / "dagster.yaml").symlink_to(SETTINGS)
    with pytest.raises(ConfigInvalid, match="the settings are those of the checkout"):
        write_postgres(tmp_path, url)
    assert (tmp_path / "dagster.yaml").is_symlink()


def test_without_the_package_for_postgres_a_sentence_says_what_to_install(home, monkeypatch):
    write_postgres(home, make_url("postgresql+psycopg2://badc@host:5432/badc"))
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    monkeypatch.setattr(home_storage, "find_spec", lambda _: None)
    with pytest.raises(PackageMissing, match=r"Run: pip install 'badc\[postgres\]'"):
        prepare_home()


def test_settings_that_are_not_yaml_are_one_sentence(home):
    (home / "dagster.yaml").write_text("storage: [\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="not YAML"):
        open_instance()
