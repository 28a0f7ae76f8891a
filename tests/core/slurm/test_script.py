"""The script of a task, and the options it is submitted with."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import get_args

import pytest
from support.lacking import lacking
from support.waiting import wait_until

from badc_core.errors import ConfigInvalid
from badc_core.settings import load_settings
from badc_core.slurm.script import render_script, sbatch_options
from badc_core.slurm_settings import SlurmResources, SlurmSettings, StageName
from badc_core.stages.stage import STAGES

HOSTILE = Path('/scratch/it\'s $(touch x); `id` & "%A" -é')


def test_a_script_is_good_bash_whatever_the_paths_are(tmp_path) -> None:
    settings = SlurmSettings(
        image=str(HOSTILE / "badc.sif"), gres="gpu:1", setup=("module load x",)
    )
    script = tmp_path / "task.sh"
    script.write_text(render_script(settings, "raw_detections", [HOSTILE]))
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck") is None:
        lacking("shellcheck")
    # 2016 doubts that nothing is to be expanded in quotes: nothing is.
    subprocess.run(["shellcheck", "-e", "SC2016", script], check=True)
    assert "apptainer exec --nv --bind" in script.read_text()


@pytest.mark.parametrize("given", [signal.SIGUSR1, signal.SIGTERM, None])
def test_a_script_passes_signals_on_and_ends_as_its_program_does(tmp_path, given) -> None:
    program = tmp_path / "a python"
    program.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; echo told; exit 75' USR1\n"
        'echo "$@"; for _ in $(seq 1 30); do sleep 0.1; done; exit 3\n'
    )
    program.chmod(0o755)
    script, log = tmp_path / "task.sh", tmp_path / "logs" / "7_2.out"
    log.parent.mkdir()
    settings = SlurmSettings(python=str(program), setup=("echo set up",))
    script.write_text(render_script(settings, "raw_detections", [HOSTILE]))
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    words = ["bash", str(script), "5"]
    with subprocess.Popen(words, cwd=tmp_path, env={**os.environ, **variables}) as task:
        wait_until(lambda: log.exists() and "badc_core.slurm.node . 5" in log.read_text(), 20)
        time.sleep(0.2)
        if given:
            task.send_signal(given)
        assert task.wait(20) == (75 if given else 3)
    said = log.read_text().splitlines()
    assert said == ["set up", "-m badc_core.slurm.node . 5", *(["told"] if given else [])]


def test_a_task_that_is_stopped_while_it_is_set_up_starts_nothing(tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    script = tmp_path / "task.sh"
    settings = SlurmSettings(python="/bin/false", setup=("kill -USR1 $$", "sleep 0.1"))
    script.write_text(render_script(settings, "raw_detections", []))
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    words = ["bash", "-x", str(script), "5"]
    ended = subprocess.run(words, cwd=tmp_path, env={**os.environ, **variables}, check=False)
    assert ended.returncode == 75
    assert "/bin/false" not in (tmp_path / "logs" / "7_2.out").read_text()


def test_an_image_has_packages_of_its_own_only() -> None:
    script = render_script(SlurmSettings(image="b.sif"), "raw_detections", [Path("/d")])
    assert "apptainer exec --bind /d b.sif python3 -E -s -m badc_core.slurm.node" in script


@pytest.mark.parametrize(
    ("asked", "n_gpus"),
    [
        ({}, 0),
        ({"gres": "gpu"}, 1),
        ({"gres": "gpu:nvidia-a100:2"}, 2),
        ({"gres": "gpu:v100:1,gpu:a100-40gb:2,nvme:9"}, 3),
        ({"gres": "gpu_mem:80G"}, 0),
        ({"extra": ("--mail-type=FAIL", "--gpus-per-node=4")}, 4),
        ({"extra": ("--gpus=a100:2,v100:1",)}, 3),
        ({"extra": ("--gres=gpu:a100",)}, 1),
        ({"extra": ("-G2",), "gres": "gpu:1"}, 2),
    ],
)
def test_gpus_are_counted_however_they_are_asked_for(asked, n_gpus) -> None:
    assert SlurmResources(**asked).n_gpus == n_gpus


def test_options_are_those_of_the_stage(tmp_path) -> None:
    (tmp_path / "badc.toml").write_text(
        "[slurm]\naccount = 'st-birds'\ntime = '1:00:00'\nmax_running_tasks = 20\nmem = '4G'\n"
        "extra = ['--mail-type=FAIL']\n"
        "[slurm.resources.raw_detections]\ngres = 'gpu:1'\ntime = '4:00:00'\n"
    )
    settings = load_settings(tmp_path / "badc.toml").slurm
    common = [
        "--parsable",
        "--job-name=badc-x-0",
        "--array=0-9%20",
        f"--chdir={HOSTILE}",
        "--output=/dev/null",  # the folder's name has a %
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
        "--account=st-birds",
    ]
    options = sbatch_options(settings, "raw_detections", "badc-x-0", 10, HOSTILE)
    assert options == [*common, "--gres=gpu:1", "--time=4:00:00", "--mem=4G", "--mail-type=FAIL"]
    options = sbatch_options(settings, "report_bundle", "badc-x-0", 10, HOSTILE)
    assert options == [*common, "--time=1:00:00", "--mem=4G", "--mail-type=FAIL"]
    options = sbatch_options(settings, "report_bundle", "badc-x-0", 10, tmp_path)
    assert "--output=logs/%A_%a.out" in options


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("extra = ['4G']", "invalid sbatch option"),
        ("stages = ['detektions']", "detektions"),
        ("cpus_per_task = 0", "cpus_per_task"),
        ("resources = {detektions = {mem = '4G'}}", "detektions"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(tmp_path, line, what) -> None:
    (tmp_path / "badc.toml").write_text(f"[slurm]\n{line}\n")
    with pytest.raises(ConfigInvalid, match=what):
        load_settings(tmp_path / "badc.toml")


def test_stages_are_those_of_the_table() -> None:
    assert get_args(StageName) == tuple(STAGES)


def test_a_resource_of_a_stage_may_be_emptied() -> None:
    settings = SlurmSettings(gres="gpu:1", resources={"detections": SlurmResources(gres="")})
    assert settings.for_stage("detections").options() == []
    assert settings.for_stage("raw_detections").options() == ["--gres=gpu:1"]
