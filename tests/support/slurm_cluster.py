"""A real Slurm cluster on this machine: Debian's slurm-wlm, in a folder of its own.

Two nodes with two cores each share this machine; `gpu1` has four pretend GPUs, which are device
files that nothing reads. Daemons run as root, as slurmd must.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

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
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
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
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=1:00:00 State=UP OverSubscribe=NO
PartitionName=short Nodes=ALL MaxTime=2 State=UP
"""


class Cluster:
    """A cluster that runs.

    Args:
        folder: for all its files.
        max_array: MaxArraySize.
    """

    def __init__(self, folder: Path, max_array: int = 101) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._conf = folder / "slurm.conf"
        self._max_array = max_array

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes Slurm's commands talk to it."""
        return {"SLURM_CONF": str(self._conf)}

    def start(self) -> None:
        """Starts all daemons and waits until nodes are idle."""
        self._write()
        self._start_munge()
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
            self.call("scancel", "-u", "root")
            time.sleep(0.5)
        for name in reversed(list(self._processes)):
            with suppress(subprocess.TimeoutExpired):
                self.stop(name)

    def _write(self) -> None:
        for name in ("state", "munge", *(f"spool/{node}" for node in NODES)):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().partition(".")[0]
        devices = [self._device(number) for number in range(4)]
        gres = {"n1": "Gres=gpu:4", "n2": ""}
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 "
            f"RealMemory=4000 {gres[node]} State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        )
        text = _CONF.format(
            folder=self._folder,
            host=host,
            ctld_port=ports[0],
            nodes=nodes,
            max_array=self._max_array,
        )
        self._conf.write_text(text)
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
        words = ["runuser", "-u", "munge", "--", "munged", "-F", f"--key-file={key}", *options]
        self._start("munged", *words)
        until_s = time.monotonic() + _START_S
        while not (folder / "socket").exists():
            assert time.monotonic() < until_s, "munged did not start"
            time.sleep(0.05)

    def _start(self, name: str, *words: str) -> None:
        with (self._folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )


@contextmanager
def running_cluster(folder: Path, max_array: int = 101) -> Iterator[Cluster]:
    """Yields a cluster, which ends with the block."""
    cluster = Cluster(folder, max_array)
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
