"""`dagster dev` as `make dev` starts it: a backfill, the sensor, and pages that show them."""

import csv
import json
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from support.processes import command_lines
from support.waiting import wait_until
from support.web_server import WebServer

from badc_core.jobs import load_manifest
from badc_core.jobs.recording_tables import read_outputs
from badc_core.recordings.registry import read_registry

STAGES = ("recording", "chunk_manifest", "raw_detections", "detections", "report_bundle")
BAD = "rec_07"
GOOD = [f"rec_{number:02d}" for number in range(20) if number != 7]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = '[detector]\nname = "band_energy"\n\n[recordings]\nmin_age_s = 5\n'

PAGES = {
    "asset_group": "/locations/badc_dagster/asset-groups/dataset/lineage",
    "detections_partition": "/assets/detections?view=partitions&partition=rec_00",
    "backfill": "/runs/b/{backfill_id}",
}

BACKFILL = """
mutation($given: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $given) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
BACKFILL_STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
MATERIALIZED = """
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetMaterializations(limit: 1000) { partition runId }
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses { materializedPartitions failedPartitions }
      }
    }
  }
}"""
SYNCED = """
query($key: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      staleStatus(partition: $partition)
      staleCauses(partition: $partition) { reason }
    }
  }
}"""
START_SENSOR = """
mutation($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) {
    __typename
    ... on Sensor { sensorState { status } }
    ... on PythonError { message }
  }
}"""
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "badc_dagster",
    "sensorName": "new_audio_sensor",
}


class Dev(WebServer):
    """A running `dagster dev` and what can be asked of it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, environment, "dagster", "dev", "-m", "badc_dagster")
        self._home = environment["DAGSTER_HOME"]

    def node(self, asset: str):
        return self.ask(MATERIALIZED, key={"path": [asset]})["assetNodeOrError"]

    def materialized(self, asset: str) -> list[str]:
        return sorted(one["partition"] for one in self.node(asset)["assetMaterializations"])

    def causes_to_be_stale(self, asset: str, partition: str) -> list[str]:
        """Returns why the pages call a partition unsynced."""
        asked = self.ask(SYNCED, key={"path": [asset]}, partition=partition)["assetNodeOrError"]
        assert asked["staleStatus"] in {"FRESH", "STALE"}
        return [cause["reason"] for cause in asked["staleCauses"]]

    def processes(self) -> list[str]:
        """Returns the command lines of all processes that use this test's Dagster home."""
        return command_lines(f"DAGSTER_HOME={self._home}\0")


def fill(root: Path, field_audio: Path) -> None:
    """Makes 20 recordings of which one, rec_07, is half a file."""
    (root / "audio" / "S1").mkdir(parents=True)
    (root / "badc.toml").write_text(SETTINGS, encoding="utf-8")
    for number in range(20):
        content = (field_audio / f"aru_{number % 3 + 1}.wav").read_bytes()
        kept = content[: len(content) // 2] if number == 7 else content
        (root / "audio" / "S1" / f"rec_{number:02d}.wav").write_bytes(kept)


@pytest.fixture
def dev(badc, environment, tmp_path, field_audio, lacking):
    """Returns `dagster dev` over a scanned dataset of 20 recordings, one of them bad."""
    if not Path("/proc/self/environ").exists():
        lacking("/proc, to look for processes left behind")
    fill(tmp_path / "dataset", field_audio)
    assert badc("scan", tmp_path / "dataset").returncode == 0
    dev = Dev(tmp_path, {**environment, "DAGSTER_HOME": str(tmp_path / "dagster_home")})
    try:
        wait_until(dev.is_up, 180, every_s=1)
        yield dev
    finally:
        dev.stop()


@pytest.fixture
def photograph(dev, tmp_path, lacking):
    """Makes pictures of pages with a browser that has no window."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        lacking("chromium")

    def take(name: str, page: str) -> Path:
        target = tmp_path / "screenshots" / f"{name}.png"
        target.parent.mkdir(exist_ok=True)
        subprocess.run(
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                "--disable-background-networking",
                "--virtual-time-budget=15000",
                f"--user-data-dir={tmp_path / 'profiles' / name}",
                "--window-size=1600,1000",
                f"--screenshot={target}",
                f"http://127.0.0.1:{dev.port}{page}",
            ],
            check=True,
            capture_output=True,
            timeout=180,
        )
        return target

    return take


def run_backfill(
    dev: Dev, stages: Sequence[str] = STAGES, names: Sequence[str] = (*GOOD, BAD)
) -> tuple[str, str]:
    """Returns id and final status of a backfill of assets over recordings."""
    given = {
        "assetSelection": [{"path": [stage]} for stage in stages],
        "partitionNames": sorted(names),
    }
    launched = dev.ask(BACKFILL, given=given)["launchPartitionBackfill"]
    backfill_id = launched["backfillId"]

    def status():
        return dev.ask(BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"]

    wait_until(lambda: status() not in {"REQUESTED", "FAILING"}, 600, every_s=1)
    return backfill_id, status()


class Growing(threading.Thread):
    """A recorder that goes on writing until told to stop."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._content = content
        self.is_done = threading.Event()

    def run(self) -> None:
        with self._path.open("wb") as file:
            while not self.is_done.wait(0.5):
                file.write(self._content)
                file.flush()


@pytest.mark.soak
def test_a_backfill_and_the_sensor_do_their_work_and_the_pages_show_it(
    dev, photograph, tmp_path, field_audio
):
    backfill_id, status = run_backfill(dev)
    assert status == "COMPLETED_FAILED"
    for stage in STAGES:
        assert dev.materialized(stage) == GOOD, stage
        assert dev.causes_to_be_stale(stage, "rec_00") == []
    statuses = dev.node("recording")["assetPartitionStatuses"]
    assert statuses == {"materializedPartitions": GOOD, "failedPartitions": [BAD]}
    runs = {one["runId"] for one in dev.node("detections")["assetMaterializations"]}
    assert len(runs) <= 2, "recordings of a range share a run"

    sound = (field_audio / "aru_2.wav").read_bytes()
    recorder = Growing(tmp_path / "dataset" / "audio" / "S1" / "growing.wav", sound[:4000])
    recorder.start()
    (tmp_path / "dataset" / "audio" / "S1" / "dropped.wav").write_bytes(sound)
    started = dev.ask(START_SENSOR, selector=SELECTOR)["startSensor"]
    assert started["sensorState"]["status"] == "RUNNING"
    wait_until(lambda: "dropped" in dev.materialized("report_bundle"), 300, every_s=1)
    recorder.is_done.set()
    recorder.join()
    assert dev.materialized("report_bundle") == sorted([*GOOD, "dropped"])
    for partition in ("rec_00", "dropped"):
        assert dev.causes_to_be_stale("report_bundle", partition) == []
    assert "growing" not in read_registry(tmp_path / "dataset" / "recordings.csv")

    for name, page in PAGES.items():
        with Image.open(photograph(name, page.format(backfill_id=backfill_id))) as picture:
            assert picture.size == (1600, 1000)
            colours = picture.convert("RGB").getcolors(maxcolors=1_600_000)
            assert len(colours) > 100, f"{name} is an empty page"

    assert dev.stop() == 0
    wait_until(lambda: dev.processes() == [], 30)


@pytest.mark.soak
def test_the_runs_of_a_backfill_are_one_job_which_ends_as_the_backfill_did(dev, tmp_path):
    stages = ("recording", "chunk_manifest")
    backfill_id, status = run_backfill(dev, stages, ("rec_00", "rec_01", BAD))
    assert status == "COMPLETED_FAILED"
    (path,) = (tmp_path / "dagster_home" / "jobs" / "out").glob("**/runs.json")
    wait_until(lambda: json.loads(path.read_bytes()).get("ended"), every_s=1)
    about = json.loads(path.read_bytes())
    assert (about["started_by"], about["ended"]["status"]) == (f"backfill {backfill_id}", "failed")
    with path.with_name("runs.csv").open() as table:
        runs = [one["stages"] for one in csv.DictReader(table)]
    assert set(runs) == set(stages)
    assert len(runs) > len(stages), "recordings apart from each other have runs of their own"
    manifest = load_manifest(path.parent)
    statuses = {name: one["status"] for name, one in manifest["stages"].items()}
    assert statuses == {"recording": "failed", "chunk_manifest": "success"}
    for stage in stages:
        written = {one.recording_id for one in read_outputs(path.parent, stage)}
        assert written == {"rec_00", "rec_01"}
