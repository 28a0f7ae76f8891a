"""SQLite files must be on a local disk; `dagster.yaml` is read and changed."""

import stat
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy.engine import make_url
from support.commands import run_typed

from badc_core.errors import ConfigInvalid, PackageMissing
from badc_dagster import home_storage
from badc_dagster.home import name_storage, open_instance, prepare_home
from badc_dagster.home_storage import (
    SETTINGS,
    find_file_system,
    parse_postgres_url,
    read_postgres,
    render_postgres,
    require_local_disk,
    write_settings,
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
48 27 0:57 / /ceph rw - fuse.ceph-fuse ceph-fuse rw
49 27 0:58 / /mnt/c rw - 9p C:\134 rw
50 27 0:59 / /dvs rw - dvs /dvs rw
51 27 0:60 / /of\040tomorrow rw - newfs new rw
52 27 0:61 / /usb rw - fuseblk /dev/sdc1 rw
53 27 0:62 / /container rw - overlay overlay rw,lowerdir=/a
54 27 0:63 / /rootless rw - fuse.fuse-overlayfs fuse-overlayfs rw
55 27 0:64 / /fast rw - tmpfs tmpfs rw
"""
LOCAL = {"ext4", "xfs", "fuseblk", "overlay", "fuse.fuse-overlayfs", "tmpfs"}


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
        ("/ceph/home", "fuse.ceph-fuse"),
        ("/mnt/c/home", "9p"),
        ("/dvs/home", "dvs"),
        ("/of tomorrow/home", "newfs"),
        ("/usb/home", "fuseblk"),
        ("/container/home", "overlay"),
        ("/rootless/home", "fuse.fuse-overlayfs"),
        ("/fast/home", "tmpfs"),
    ],
)
def test_the_mount_that_a_folder_is_below_says_what_its_disk_is(folder, kind):
    path = Path(folder)
    assert find_file_system(path, MOUNTS) == kind
    if kind in LOCAL:
        require_local_disk(path, {}, MOUNTS)
        return
    with pytest.raises(ConfigInvalid, match=f"is not on a local disk but on {kind},") as caught:
        require_local_disk(path, {}, MOUNTS)
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
        with pytest.raises(ConfigInvalid, match="is not on a local disk but on nfs4,"):
            run_typed(app, *command)
    assert not on_network_disk.exists()


def test_a_virtual_machine_whose_root_is_shared_by_its_host_is_local_but_not_other_folders():
    mounts = "1 0 0:1 / / rw - 9p none rw\n2 1 0:2 / /host rw - virtiofs host rw\n"
    require_local_disk(Path("/root/home"), {}, mounts)
    with pytest.raises(ConfigInvalid, match="but on virtiofs"):
        require_local_disk(Path("/host/home"), {}, mounts)
    with pytest.raises(ConfigInvalid, match="but on nfs,"):
        require_local_disk(Path("/home"), {}, "1 0 0:1 / / rw - nfs filer:/root rw\n")


@pytest.mark.parametrize(
    "storage",
    [
        "storage:\n  sqlite:\n    base_dir: /var/lib/badc\n",
        "storage:\n  sqlite:\n    base_dir: {env: LOCAL}\n",
        "storage:\n  mysql:\n    mysql_url: mysql://host/badc\n",
        "storage:\n  custom:\n    module: lab\n    class: Storage\n",
        "run_storage: {module: x}\nevent_log_storage: {module: x}\nschedule_storage: {module: x}\n",
    ],
)
def test_a_home_on_a_network_disk_whose_database_is_elsewhere_is_used(on_network_disk, storage):
    on_network_disk.mkdir()
    (on_network_disk / "dagster.yaml").write_text(storage, encoding="utf-8")
    require_local_disk(on_network_disk, {"LOCAL": "/var/lib/badc"})
    assert read_postgres(on_network_disk, {"LOCAL": ""}) is None


def test_storage_that_is_not_ours_is_not_called_sqlite(home):
    assert name_storage() == "SQLite files"
    (home / "dagster.yaml").write_text("storage:\n  mysql:\n    mysql_url: x\n", encoding="utf-8")
    assert name_storage() == f"what {home / 'dagster.yaml'} names"


def test_a_local_home_whose_sqlite_files_are_on_a_network_disk_is_refused(tmp_path):
    (tmp_path / "dagster.yaml").write_text(
        "storage:\n  sqlite:\n    base_dir: {env: SCRATCH}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigInvalid, match="but on lustre"):
        require_local_disk(tmp_path, {"SCRATCH": "/scratch/badc"}, MOUNTS)
    with pytest.raises(ConfigInvalid, match="the variable SCRATCH, which it names, is not set"):
        require_local_disk(tmp_path, {}, MOUNTS)


def test_where_mounts_cannot_be_read_the_disk_is_believed_to_be_local(tmp_path):
    require_local_disk(tmp_path, {}, "")


URL = make_url("postgresql+psycopg2://badc@host:5432/badc")


def name_database(home, url=URL):
    """Writes settings with a database; returns their text."""
    write_settings(home, render_postgres(home, url))
    return (home / "dagster.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    "address",
    [
        "badc@first:5432/badc?sslmode=require",
        "badc@[::1]:5432/badc",
        "badc@/badc?host=a%3A5432&host=b%3A5432",
        "badc@/badc?host=/run/postgresql",
        "b%40d%2Fc@host:5432/my%20birds%25",
    ],
)
def test_any_address_is_read_as_it_was_written_and_other_settings_stay(home, address):
    url = make_url(f"postgresql+psycopg2://{address}")
    assert name_database(home, URL).startswith(SETTINGS.read_text("utf-8"))
    text = name_database(home, url)
    assert text.startswith(SETTINGS.read_text("utf-8"))
    assert text.count("storage:") == 1
    assert read_postgres(home, {}) == url
    assert name_database(home, url) == text


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_way_to_say_postgres_is_understood(scheme):
    assert parse_postgres_url(f"{scheme}://badc@host/badc") == URL


@pytest.mark.parametrize(
    "storage",
    [
        "storage:\n  sqlite:\n    base_dir: /x",  # no line break
        "storage:\n# mine\n  sqlite:\n# mine too\n    base_dir: /x\n\n",
        "storage: {\n  sqlite: {\n  base_dir: /x\n}\n}\n",
        "storage: {sqlite: {base_dir: /x}}  # mine\n",
        "'storage':\n  sqlite:\n    base_dir: |\n      /x\n",
        "storage :\n  sqlite:\n",
        "storage:\n",
        "",
    ],
)
def test_only_the_storage_is_replaced_however_it_is_written(home, storage):
    before, after = "# first\ntelemetry:\n  enabled: false\n", "# kept\nnux:\n  enabled: false\n"
    for text in (f"{before}{storage}", f"{before}{storage.rstrip()}\n{after}"):
        (home / "dagster.yaml").write_text(text, encoding="utf-8")
        new = name_database(home)
        assert new.startswith(before)
        assert ("# kept" in new) == ("# kept" in text)
        settings = yaml.safe_load(new)
        assert settings.pop("storage")["postgres"]["postgres_url"] == str(URL)
        others = {key: {"enabled": False} for key in ("telemetry", "nux") if f"{key}:" in text}
        assert settings == others


@pytest.mark.parametrize(
    "text",
    [
        "telemetry:\n  enabled: false\n...\n",
        "{telemetry: {enabled: false}, storage: {sqlite: {base_dir: /x}}}\n",
        "storage:\n  sqlite: &a {base_dir: /x}\nother: *a\n",
        "storage: {}\nstorage: {}\n",
        "? storage\n: {}\n",
        "- a list\n",
    ],
)
def test_settings_that_would_not_be_right_afterwards_are_left_alone(home, text):
    (home / "dagster.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="Remove `storage` from it with an editor") as caught:
        render_postgres(home, URL)
    assert "cannot be replaced with certainty" in str(caught.value)


def test_who_may_read_the_settings_stays(home):
    for mode in (0o600, 0o640):
        (home / "dagster.yaml").chmod(mode)
        name_database(home)
        assert stat.S_IMODE((home / "dagster.yaml").stat().st_mode) == mode


def test_settings_that_are_not_the_homes_own_or_name_other_storage_are_left_alone(tmp_path):
    config = tmp_path / "dagster.yaml"
    config.write_text("run_storage:\n  module: x\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="run_storage name other storage"):
        render_postgres(tmp_path, URL)
    config.unlink()
    config.symlink_to(SETTINGS)
    with pytest.raises(ConfigInvalid, match=f"is a link to {SETTINGS}"):
        render_postgres(tmp_path, URL)


@pytest.mark.parametrize(
    "postgres",
    [
        "",
        "[]",
        "{}",
        "{postgres_url: nonsense}",
        "{postgres_url: 5}",
        "{postgres_url: 'postgresql://badc@host:port/badc'}",
        "{postgres_db: {hostname: host}}",
        "{postgres_db: {username: badc, hostname: host, colour: red}}",
        "{postgres_url: 'postgresql://badc@host/badc', postgres_db: {username: badc}}",
    ],
)
def test_a_wrong_storage_is_one_sentence(home, postgres):
    (home / "dagster.yaml").write_text(f"storage:\n  postgres: {postgres}\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="in it names no Postgres database"):
        open_instance()


def test_without_the_package_for_postgres_a_sentence_says_what_to_install(home, monkeypatch):
    name_database(home)
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    monkeypatch.setattr(home_storage, "find_spec", lambda _: None)
    with pytest.raises(PackageMissing, match=r"Run: pip install 'badc\[postgres\]'"):
        prepare_home()


def test_settings_that_are_not_yaml_are_one_sentence(home):
    (home / "dagster.yaml").write_text("storage: [\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="not YAML"):
        open_instance()
