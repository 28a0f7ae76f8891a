"""An installation with a job for pipelines, and short ways to write and run them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from badc_core.jobs import JobManager, PipelineManifest, load_manifest
from badc_core.pipelines.definition import Pipeline, read_pipeline
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.run import PipelineEnd, run_pipeline
from support.processes import command_lines
from support.waiting import wait_until


class Lab:
    """An installation with one job.

    Attributes:
        root: the installation.
        input: what the job is about; its name is a hostile one.
        shown: the lines that were shown so far.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.input = root / "-n $(touch pwned) {job} 'ü\n.wav"
        self.input.write_text("chip\n", encoding="utf-8")
        (root / "config").mkdir()
        (root / "config" / ".env").write_text("HF_TOKEN=hf_3f9ab77c21d0\n", encoding="utf-8")
        manager = JobManager(root / "config", root / "out", root / "logs")
        manager.create_job("ana")
        self.folder = manager.get_job_output_dir()
        PipelineManifest(self.folder / "manifest.json").set_input(self.input)
        self.shown: list[str] = []

    @property
    def job(self) -> PipelineJob:
        return PipelineJob.open(self.folder)

    @property
    def manifest(self) -> dict[str, Any]:
        return load_manifest(self.folder) or {}

    def record(self, stage: str) -> dict[str, Any]:
        return self.manifest["stages"][stage]

    def write(self, text: str, name: str = "words.toml") -> Pipeline:
        """Returns a pipeline from the text of its file."""
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return read_pipeline(path)

    def run(self, text: str) -> PipelineEnd:
        return run_pipeline(self.write(text), self.job, self.shown.append, self.shown.append)

    def start(
        self, terminal: int | None = None, *, is_ignored: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Starts a process that runs the pipeline last written, in the job.

        Args:
            terminal: that it writes to, and is ended with; None for none.
            is_ignored: it goes on when the terminal is closed, as under `nohup`.
        """
        # Set in any case, since these tests may be under `nohup` themselves.
        handler = "SIG_IGN" if is_ignored else "SIG_DFL"
        code = (
            f"import signal; signal.signal(signal.SIGHUP, signal.{handler})\n"
            "import sys; from pathlib import Path; from badc_core.jobs import exit_codes\n"
            "from badc_core.pipelines.definition import read_pipeline\n"
            "from badc_core.pipelines.pipeline_job import PipelineJob\n"
            "from badc_core.pipelines.run import run_pipeline\n"
            "with exit_codes():\n"
            "    job = PipelineJob.open(Path(sys.argv[2]))\n"
            "    run_pipeline(read_pipeline(Path(sys.argv[1])), job, print, print)\n"
        )
        words = [sys.executable, "-c", code, self.root / "words.toml", self.folder]
        if terminal is None:
            return subprocess.Popen(words, stdout=subprocess.DEVNULL)
        # `setsid --ctty` takes the terminal of its standard input.
        words = ["setsid", "--ctty", *words]
        if is_ignored:
            return subprocess.Popen(words, stdin=terminal, stdout=subprocess.DEVNULL)
        return subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal)

    def processes(self) -> list[str]:
        """Returns the command lines of all processes of the job's stages."""
        return command_lines(f'"output_dir": "{self.folder}"')

    def wait_for(self, name: str) -> None:
        """Waits until a stage has written a file."""
        wait_until((self.folder / name).exists, 30, 0.01)

    def stamps(self, *names: str) -> list[tuple[int, bytes]]:
        """Returns times and contents of outputs."""
        paths = [self.folder / one for one in names]
        return [(one.stat().st_mtime_ns, one.read_bytes()) for one in paths]


def stage(name: str, script: str = "", more: str = "") -> str:
    """Returns a stage that is a shell script, as TOML."""
    words = json.dumps(["sh", "-c", script or ":", "sh", "{input}"], ensure_ascii=False)
    return f'[[stage]]\nname = "{name}"\ncommand = {words}\n{more}\n'
