"""What a Slurm cluster with accounting has beside its own daemons: slurmdbd, and MariaDB below it.

The database has a folder and a socket of its own, which only its user and root may reach, and no
port. It knows root by the socket, without a password.
"""

import shutil
import subprocess
from pathlib import Path

DATABASE_USER = "mysql"

SETTINGS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
"""
"""Lines of slurm.conf."""

_DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""


PEOPLE = (
    ("add", "cluster", "test"),
    ("add", "account", "birds", "cluster=test"),
    ("add", "user", "root,nobody", "account=birds", "defaultaccount=birds"),
)
"""Commands that set up accounting once slurmdbd runs."""


def write_daemon_settings(folder: Path, host: str, dbd_port: int) -> None:
    """Writes slurmdbd.conf into the folder of a cluster."""
    path = folder / "slurmdbd.conf"
    path.write_text(_DAEMON.format(folder=folder, host=host, dbd_port=dbd_port))
    path.chmod(0o600)


def make_database(folder: Path) -> Path:
    """Returns the folder of a new database below that of a cluster, for its user and root only."""
    path = folder / "mariadb"
    (path / "data").mkdir(parents=True)
    for one in (path, path / "data"):
        shutil.chown(one, DATABASE_USER, DATABASE_USER)
        one.chmod(0o700)
    words = ("mariadb-install-db", *_options(path), f"--user={DATABASE_USER}", "--skip-test-db")
    subprocess.run(words, check=True, capture_output=True)
    return path


def database_command(folder: Path) -> list[str]:
    """Returns what starts the database in its folder."""
    return ["mariadbd", *_options(folder), f"--socket={socket_of(folder)}", "--skip-networking"]


def _options(folder: Path) -> list[str]:
    small = ("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M")
    places = {"datadir": folder / "data", "tmpdir": folder, "pid-file": folder / "pid"}
    return ["--no-defaults", *(f"--{name}={path}" for name, path in places.items()), *small]


def socket_of(folder: Path) -> Path:
    """Returns the socket of the database in a folder."""
    return folder / "socket"
