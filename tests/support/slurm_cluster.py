"""A real Slurm cluster on this machine: Debian's slurm-wlm, in a folder of its own.

Two nodes with two cores each share this machine; `gpu1` has four pretend GPUs, which are device
files that nothing reads. Daemons run as root, as slurmd must, and the database as its own user.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from support import slurm_accounting as accounting
from support.lacking import lacking

NODES = ("n1", "n2")
_START_S = 120.0

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
ProctrackType={tracking}
TaskPlugin={task_plugin}
FirstJobId={first_job}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ReturnToService=2
SlurmdTimeout=10
KillWait=2
OverTimeLimit=0
MaxArraySize={max_array}
MinJobAge=300
JobRequeue=1
SchedulerParameters=sched_min_interval=100000,bf_interval=2,requeue_delay=0
{accounting}
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=1:00:00 State=UP OverSubscribe=NO
PartitionName=short Nodes=ALL MaxTime=2 State=UP
PartitionName=cheap Nodes=ALL MaxTime=1:00:00 State=UP PreemptMode=CANCEL
PartitionName=urgent Nodes=ALL MaxTime=1:00:00 State=UP PreemptMode=OFF PriorityTier=10
"""

_CGROUPS = """\
CgroupPlugin=cgroup/v1
ConstrainRAMSpace=yes
"""

_NO_ACCOUNTING = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
"""


@dataclass(frozen=True)
class Kind:
    """What a cluster is like.

    Attributes:
        max_array: MaxArraySize.
        has_accounting: whether it has slurmdbd, limits, and kills tasks that it sees with more
            memory than they asked for.
        has_cgroups: whether tasks are in cgroups, so that the kernel kills those.
    """

    max_array: int = 101
    has_accounting: bool = False
    has_cgroups: bool = False


class Cluster:
    """A cluster that runs.

    Args:
        folder: for all its files.
        kind: what it is like.
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._conf = folder / "slurm.conf"
        self._kind = kind

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes Slurm's commands talk to it."""
        return {"SLURM_CONF": str(self._conf)}

    def start(self) -> None:
        """Starts all daemons and waits until nodes are idle."""
        self._write()
        self._start_munge()
        if self._kind.has_accounting:
            self._start_database()
            self.start_accounting()
            for words in accounting.PEOPLE:
                self.account(*words)
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        until_s = time.monotonic() + _START_S
        while self.call("sinfo", "-h", "-t", "idle", "-o", "%D").strip() != str(len(NODES)):
            assert time.monotonic() < until_s, self.call("sinfo", "-N", "-l")
            time.sleep(0.2)

    def start_controller(self) -> None:
        """Starts slurmctld, which goes on where it was."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self._conf))

    def start_node(self, node: str) -> None:
        """Starts a node's slurmd."""
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self._conf))

    def start_accounting(self) -> None:
        """Starts slurmdbd and waits until it answers."""
        socket_path = str(accounting.socket_of(self._folder / "mariadb"))
        self._start("slurmdbd", "slurmdbd", "-D", env={"MYSQL_UNIX_PORT": socket_path})
        self._await("slurmdbd", lambda: "Account" in self.call("sacctmgr", "show", "account"))

    def account(self, *words: str) -> None:
        """Changes accounts, users or limits with sacctmgr."""
        self.call("sacctmgr", "-i", *words)

    def stop(self, name: str, kind: signal.Signals = signal.SIGTERM) -> None:
        """Ends `slurmctld` or a node."""
        process = self._processes.pop(name)
        process.send_signal(kind)
        process.wait(30)

    def call(self, *words: str) -> str:
        """Returns what a command of Slurm's prints."""
        env = {**os.environ, **self.environment}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False).stdout

    def close(self) -> None:
        """Cancels all jobs and ends all daemons."""
        if "slurmctld" in self._processes:
            self.call("scancel", "-u", "root,nobody")
            time.sleep(0.5)
        for name in reversed(list(self._processes)):
            kind = signal.SIGKILL if name == "mariadbd" else signal.SIGTERM  # nobody needs its data
            with suppress(subprocess.TimeoutExpired):
                self.stop(name, kind)

    def _write(self) -> None:
        for name in ("state", "munge", *(f"spool/{node}" for node in NODES)):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        ctld_port, dbd_port, *ports = _free_ports(2 + len(NODES))
        host = socket.gethostname().partition(".")[0]
        devices = [self._device(number) for number in range(4)]
        gres = {"n1": "Gres=gpu:4", "n2": ""}
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 "
            f"RealMemory=4000 {gres[node]} State=UNKNOWN"
            for node, port in zip(NODES, ports, strict=True)
        )
        places = {"folder": self._folder, "host": host, "dbd_port": dbd_port}
        kind = self._kind
        lines = accounting.SETTINGS if kind.has_accounting else _NO_ACCOUNTING
        text = _CONF.format(
            **places,
            ctld_port=ctld_port,
            nodes=nodes,
            max_array=kind.max_array,
            accounting=lines.format(**places),
            tracking=f"proctrack/{'linuxproc' if kind.has_accounting else 'pgid'}",
            task_plugin=f"task/{'cgroup' if kind.has_cgroups else 'none'}",
            # Cgroups are named after jobs, for all clusters of a machine.
            first_job=secrets.randbelow(10**7) if kind.has_cgroups else 1,
        )
        self._conf.write_text(text)
        (self._folder / "cgroup.conf").write_text(_CGROUPS)
        if kind.has_accounting:
            accounting.write_daemon_settings(**places)
        lines = (f"NodeName=n1 Name=gpu File={device}\n" for device in devices)
        (self._folder / "gres.conf").write_text("".join(lines))

    def _device(self, number: int) -> Path:
        path = self._folder / f"gpu{number}"
        if not path.exists():
            subprocess.run(["mknod", str(path), "c", "1", "3"], check=True)
        return path

    def _start_munge(self) -> None:
        folder = self._folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        for path in (folder, key):
            shutil.chown(path, "munge", "munge")
        key.chmod(0o400)
        folder.chmod(0o755)
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{name}={folder}/{file}" for name, file in files.items()]
        self._start("munged", "munged", "-F", f"--key-file={key}", *options, user="munge")
        self._await("munged", (folder / "socket").exists)

    def _start_database(self) -> None:
        folder = accounting.make_database(self._folder)
        words, user = accounting.database_command(folder), accounting.DATABASE_USER
        self._start("mariadbd", *words, user=user)
        self._await("mariadbd", accounting.socket_of(folder).exists)

    def _await(self, name: str, is_up: Callable[[], bool]) -> None:
        until_s = time.monotonic() + _START_S
        while not is_up():
            said = (self._folder / f"{name}.out").read_text()
            assert time.monotonic() < until_s, f"{name} did not start: {said}"
            assert self._processes[name].poll() is None, f"{name} ended: {said}"
            time.sleep(0.05)

    def _start(
        self, name: str, *words: str, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
        with (self._folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                words,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **self.environment, **(env or {})},
                **as_user,
            )


@contextmanager
def running_cluster(kind: Kind) -> Iterator[Cluster]:
    """Yields a cluster, which ends with the block; ends the test where none can run."""
    programs = {"slurmctld": "slurm-wlm munge"}
    if kind.has_accounting:
        programs |= {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
    for program, packages in programs.items():
        if shutil.which(program) is None or os.geteuid() != 0:
            lacking(f"{program} as root: apt-get install {packages}")
    # Not below pytest's folder, which other users may not enter.
    with TemporaryDirectory(prefix="badc-slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Cluster(folder, kind)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
