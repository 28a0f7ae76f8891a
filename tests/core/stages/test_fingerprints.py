import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.errors import ConfigInvalid
from badc_core.hashing import digest_json
from badc_core.inference import config_hashes
from badc_core.inference.config_hashes import detections_hash, file_hash, model_hash
from badc_core.settings import Settings
from badc_core.stages import stage as stage_table
from badc_core.stages.fingerprints import Fingerprints, as_source, mark_incomplete
from badc_core.stages.stage import STAGES

CHANGES: dict[str, tuple[Any, str | None]] = {
    "recordings.roots": (["audio", "more"], "recording"),
    "recordings.extensions": (["wav"], None),
    "recordings.min_age_s": (5.0, None),
    "recordings.templates": (["{location}/*"], "recording"),
    "recordings.timezone": ("America/Edmonton", "recording"),
    "recordings.deployments": ("absent_too.csv", None),
    "recordings.fingerprint": ("full", "recording"),
    "recordings.accept_truncated": (True, None),
    "recordings.channel": ("first", None),
    "recordings.dataset_name": ("another", None),
    "chunks.duration_s": (30.0, "chunk_manifest"),
    "chunks.overlap_s": (1.0, "chunk_manifest"),
    "chunks.min_chunk_s": (2.0, "chunk_manifest"),
    "detector.name": ("stub", "raw_detections"),
    "detector.min_score": (0.3, "detections"),
    "detector.score_floor": (0.05, None),
    "detector.sensitivity": (1.1, "raw_detections"),
    "detector.window_overlap_s": (1.5, "raw_detections"),
    "detector.thresholds": ({"0.5-1 kHz": 0.5}, "detections"),
    "detector.include": (["0.5-1 kHz"], "detections"),
    "detector.exclude": (["0.5-1 kHz"], "detections"),
    "detector.range": ("filter", "detections"),
    "detector.range_threshold": (0.1, "detections"),
    "detector.range_week": ("year", "detections"),
    "detector.species_list": ("species.txt", "detections"),
    "detector.thresholds_file": ("thresholds.csv", "detections"),
    "detector.calibration_file": ("curves.csv", "detections"),
    "detector.label_length": ("variable", "detections"),
    "detector.command": ("true", None),
    "detector.runtime": ("elsewhere", None),
    "detector.hawkears": ({"models": 2}, None),
    "detector.model": ({"window_s": 5.0}, None),
    "inference.fail_fast": (True, None),
    "inference.cpu_workers": (3, None),
    "inference.workers_per_gpu": (3, None),
    "inference.max_gpus": (1, None),
    "inference.vram_mib": (1024, None),
    "inference.max_retries": (1, None),
    "inference.backoff_s": (2.0, None),
    "inference.timeout_s": (2.0, None),
    "inference.timeout_per_audio_s": (2.0, None),
    "inference.load_timeout_s": (2.0, None),
    "inference.max_failed_fraction": (0.5, None),
    "inference.retry_budget": (0.5, None),
    "inference.chunk_json": (True, None),
    "inference.scratch": ("elsewhere", None),
    "report.bucket_minutes": (30, "report_bundle"),
    "report.top_labels": (5, "report_bundle"),
    "report.top_recordings": (5, "report_bundle"),
    "report.top_detections": (5, "report_bundle"),
    "report.padding_s": (2.0, "report_bundle"),
    "report.bundle": ("full", "report_bundle"),
    "export.formats": (["raven"], None),
    "report.language": ("de", "report_bundle"),
    "speech.privacy": ("flag", "report_bundle"),
    "web_interface.owners": (["team:birds"], None),
    "web_interface.reports_url": ("https://birds.example", None),
    "web_interface.fresh_within_h": (24.0, None),
    "notify.command": (["true"], None),
    "work.folder": ("elsewhere", None),
    "datalad.record": ("off", None),
    "datalad.drop_after": (True, None),
    "slurm.account": ("a", None),
    "slurm.partition": ("a", None),
    "slurm.qos": ("a", None),
    "slurm.gres": ("gpu:1", None),
    "slurm.time": ("1:00:00", None),
    "slurm.cpus_per_task": (2, None),
    "slurm.mem": ("4G", None),
    "slurm.constraint": ("a", None),
    "slurm.extra": (["--exclusive"], None),
    "slurm.stages": (["raw_detections"], None),
    "slurm.folder": ("/a", None),
    "slurm.setup": (["module load a"], None),
    "slurm.python": ("/a", None),
    "slurm.image": ("/a", None),
    "slurm.target_minutes": (5.0, None),
    "slurm.max_running_tasks": (2, None),
    "slurm.resubmissions": (1, None),
    "slurm.resources": ({"raw_detections": {"mem": "4G"}}, None),
}
"""Each setting, another value than its default, and the stage whose output that changes.

`detector.command`, `detector.hawkears` and `detector.model` decide nothing for the detectors of
other names, `recordings.channel` nothing for recordings with one channel, and
`recordings.accept_truncated` nothing for those that are whole.
"""


@pytest.fixture(autouse=True)
def foreign(tmp_path: Path, monkeypatch) -> Path:
    """Installs a detector of others; returns the file that says which version it is."""
    site = tmp_path / "site"
    metadata = site / "foreign_rule-1.dist-info"
    metadata.mkdir(parents=True)
    (site / "foreign_rule.py").write_text(
        "from pathlib import Path\n"
        "from badc_core.detectors.interface import DetectorIdentity\n"
        "def identify(settings):\n"
        "    version = Path(__file__).with_name('version').read_text()\n"
        "    return DetectorIdentity('foreign', version, None, '', 3.0)\n"
    )
    (site / "version").write_text("1")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-rule\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[badc.detectors]\nforeign = foreign_rule\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "foreign_rule", raising=False)
    return site / "version"


def open_dataset(folder: Path, **overrides: dict[str, Any]) -> Dataset:
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    detector = {"name": "band_energy", **overrides.pop("detector", {})}
    return Dataset.open(folder, {"detector": detector, **overrides})


def hashes(folder: Path, **overrides: dict[str, Any]) -> dict[str, str]:
    fingerprints = Fingerprints(open_dataset(folder, **overrides))
    return {stage: as_source(fingerprints.of(stage, "the same source")) for stage in STAGES}


def chain(fingerprints: Fingerprints, source: str) -> list[str]:
    """Returns the fingerprints of all stages' outputs, each made from the one before."""
    made = []
    for stage in STAGES:
        source = fingerprints.of(stage, source)
        made.append(source)
    return made


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_every_setting_is_judged_here() -> None:
    known = {
        f"{section}.{name}"
        for section, field in Settings.model_fields.items()
        for name in field.annotation.model_fields
    }
    assert known == CHANGES.keys()


@pytest.mark.parametrize("setting", CHANGES)
def test_a_setting_changes_the_stage_it_matters_to_and_no_other(
    tmp_path: Path, setting: str
) -> None:
    section, _, name = setting.partition(".")
    value, stage = CHANGES[setting]
    (tmp_path / "species.txt").write_text("1-2 kHz\n")
    (tmp_path / "thresholds.csv").write_text("label,threshold\n1-2 kHz,0.5\n")
    (tmp_path / "curves.csv").write_text("label,intercept,slope\n1-2 kHz,0,1\n")
    before, after = hashes(tmp_path), hashes(tmp_path, **{section: {name: value}})
    assert changed(before, after) == ({stage} if stage else set())


def sources(folder: Path, table: str) -> list[str]:
    """Returns what three recordings are described from, under a table of stations."""
    (folder / "deployments.csv").write_text(table)
    fingerprints = Fingerprints(open_dataset(folder))
    return [
        fingerprints.of_file(path, "content")
        for path in ("audio/S1/x.wav", "audio/S2/x.wav", "audio/x.wav")
    ]


def test_a_row_of_the_table_of_stations_concerns_its_own_station_alone(tmp_path: Path) -> None:
    one = sources(tmp_path, "location,latitude\nS1,54.5\n")
    other = sources(tmp_path, "location,latitude\nS1,54.6\n")
    more = sources(tmp_path, "location,latitude\nS1,54.6\nS3,50\n")
    assert [before == after for before, after in zip(one, other, strict=True)] == [0, 1, 0]
    assert [before == after for before, after in zip(other, more, strict=True)] == [1, 1, 0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_code_version_changes_its_own_stage(tmp_path: Path, monkeypatch, stage: str) -> None:
    before = hashes(tmp_path)
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], code_version="next"))
    assert changed(before, hashes(tmp_path)) == {stage}


def test_another_version_of_the_detector_changes_the_detections(
    tmp_path: Path, foreign: Path
) -> None:
    before = hashes(tmp_path, detector={"name": "foreign"})
    foreign.write_text("2")
    assert changed(before, hashes(tmp_path, detector={"name": "foreign"})) == {"raw_detections"}


@pytest.fixture
def own_model(tmp_path: Path) -> dict[str, Any]:
    """Returns settings of a function of the user's own, whose files lie in `models`."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "score.py").write_text("def score(windows):\n    return [[0.5]] * len(windows)\n")
    (folder / "labels.txt").write_text("Ovenbird\n")
    (folder / "weights").write_bytes(b"1")
    return {
        "name": "python",
        "model": {
            "function": f"{folder / 'score.py'}:score",
            "labels": f"{folder / 'labels.txt'}",
            "file": f"{folder / 'weights'}",
            "sample_rate_hz": 48_000,
            "window_s": 3.0,
        },
    }


@pytest.mark.parametrize("file", ["score.py", "labels.txt", "weights"])
def test_every_file_of_a_model_of_ones_own_decides_the_detections(
    tmp_path: Path, own_model: dict[str, Any], file: str
) -> None:
    before = hashes(tmp_path, detector=own_model)
    path = tmp_path / "models" / file
    path.write_text(path.read_text() + "1")
    assert changed(before, hashes(tmp_path, detector=own_model)) == {"raw_detections"}


@pytest.mark.parametrize(
    ("key", "value", "decides"),
    [
        ("sample_rate_hz", 32_000, True),
        ("window_s", 5.0, True),
        ("output", "scores", True),
        ("activation", "softmax", True),
        ("licence", "MIT", True),
        ("batch_windows", 9, False),
        ("uses_gpu", True, False),
    ],
)
def test_what_is_said_of_a_model_decides_the_detections_unless_it_is_about_speed(
    tmp_path: Path, own_model: dict[str, Any], key: str, value: Any, decides: bool
) -> None:
    before = hashes(tmp_path, detector=own_model)
    own_model["model"][key] = value
    after = hashes(tmp_path, detector=own_model)
    assert changed(before, after) == ({"raw_detections"} if decides else set())


def test_a_model_that_was_moved_with_its_dataset_keeps_its_fingerprints(tmp_path: Path) -> None:
    relative = {
        "function": "score.py:score",
        "labels": "labels.txt",
        "sample_rate_hz": 48_000,
        "window_s": 3.0,
    }
    made = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "score.py").write_text("def score(windows):\n    return windows\n")
        (tmp_path / place / "labels.txt").write_text("Ovenbird\n")
        made.append(hashes(tmp_path / place, detector={"name": "python", "model": relative}))
    assert made[0] == made[1]


def test_detectors_without_a_model_of_ones_own_keep_the_settings_they_had() -> None:
    shared = {
        *("name", "min_score", "sensitivity", "window_overlap_s", "thresholds"),
        *("include", "exclude"),
    }
    more = {"command": {"command"}, "hawkears": {"hawkears"}, "hawkears1": {"hawkears"}}
    for name in ("birdnet", "band_energy", "command", "hawkears", "hawkears1", "foreign"):
        fingerprint_inputs = DetectorSettings(name=name).fingerprint_inputs()
        assert set(fingerprint_inputs) == shared | more.get(name, set())
    identity = DetectorIdentity("hawkears", "2", None, "MIT", 3.0, uses_gpu=True)
    assert identity.model_inputs() == asdict(identity)
    assert DetectorIdentity.from_json(json.loads(json.dumps(asdict(identity)))) == identity


def test_a_file_that_only_marks_what_was_found_runs_no_model(tmp_path: Path, monkeypatch) -> None:
    identity = DetectorIdentity("birdnet", "2.4", "a" * 64, "MIT", 3.0, companions=("labels: 1",))
    monkeypatch.setattr(stage_table, "identify_detector", lambda _: identity)
    settings = DetectorSettings(name="birdnet")
    found, own, models = [], [], []
    for number in (1, 2):
        for module in (stage_table, config_hashes):
            monkeypatch.setattr(module, "describe_marks", lambda _, n=number: (f"range: {n}",))
        found.append(hashes(tmp_path, detector={"name": "birdnet"}))
        own.append(detections_hash(settings, identity))
        models.append(model_hash(settings, identity))
    assert changed(*found) == {"detections"}
    assert models[0] == models[1]
    assert own[0] != own[1]


def test_a_changed_list_of_species_selects_again_and_runs_no_model(tmp_path: Path) -> None:
    listed = {"name": "band_energy", "species_list": "here.txt"}
    found = []
    for names in ("1-2 kHz\n", "2-4 kHz\n"):
        (tmp_path / "here.txt").write_text(names)
        found.append(hashes(tmp_path, detector=listed))
    assert changed(*found) == {"detections"}
    (tmp_path / "here.txt").rename(tmp_path / "there.txt")
    assert hashes(tmp_path, detector=listed | {"species_list": "there.txt"}) == found[1]
    with pytest.raises(ConfigInvalid, match="there is no such list of species"):
        hashes(tmp_path, detector=listed)


def test_a_lower_floor_of_hawkears_changes_the_files_of_its_chunks() -> None:
    identity = DetectorIdentity("hawkears", "2", None, "MIT", 3.0)
    wide, narrow, plain = (
        file_hash(DetectorSettings(name="hawkears", **given), identity)
        for given in ({"score_floor": 0.2}, {"score_floor": 0.7}, {})
    )
    assert wide != narrow == plain
    band = {
        file_hash(DetectorSettings(name="band_energy", score_floor=one), identity)
        for one in (None, 0.2)
    }
    assert len(band) == 1


def test_a_change_reaches_every_stage_behind_it_and_none_before(tmp_path: Path) -> None:
    before = chain(Fingerprints(open_dataset(tmp_path)), "file")
    for number, overrides in enumerate(
        [
            {"recordings": {"timezone": "UTC"}},
            {"chunks": {"duration_s": 30.0}},
            {"detector": {"sensitivity": 1.1}},
            {"detector": {"min_score": 0.5}},
            {"report": {"top_labels": 3}},
        ]
    ):
        after = chain(Fingerprints(open_dataset(tmp_path, **overrides)), "file")
        same = [one == other for one, other in zip(before, after, strict=True)]
        assert same == [True] * number + [False] * (len(STAGES) - number)


def test_a_dataset_that_was_moved_keeps_its_fingerprints(tmp_path: Path) -> None:
    assert hashes(tmp_path / "here") == hashes(tmp_path / "there")


def test_another_process_gives_the_same_fingerprints(tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from badc_core.datasets.dataset import Dataset\n"
        "from badc_core.stages.fingerprints import Fingerprints\n"
        "from badc_core.stages.stage import STAGES\n"
        "dataset = Dataset.open(Path(sys.argv[1]), {'detector': {'name': 'band_energy'}})\n"
        "print(*(Fingerprints(dataset).of(stage, 'file') for stage in STAGES))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )
    fingerprints = Fingerprints(dataset)
    assert told.stdout.split() == [fingerprints.of(stage, "file") for stage in STAGES]


def test_there_is_no_fingerprint_without_a_detector(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no detector is called 'hawk'"):
        hashes(tmp_path, detector={"name": "hawk"})


def under(folder: Path, **detector: Any) -> Fingerprints:
    return Fingerprints(open_dataset(folder, detector=detector))


def test_a_result_serves_every_minimum_score_that_its_floor_is_not_above(tmp_path: Path) -> None:
    made = under(tmp_path, min_score=0.25).of("raw_detections", "file")
    assert made.endswith("@0.1")
    for detector, serves in [
        ({"min_score": 0.25}, True),
        ({"min_score": 0.1}, True),
        ({"min_score": 0.9, "thresholds": {"4-8 kHz": 0.1}}, True),
        ({"min_score": 0.05}, False),
        ({"min_score": 0.9, "thresholds": {"4-8 kHz": 0.05}}, False),
        ({"score_floor": 0.05}, True),
        ({"sensitivity": 1.2}, False),
    ]:
        now = under(tmp_path, **detector)
        assert now.is_current(made, now.of("raw_detections", "file")) == serves, detector


def test_what_is_made_from_a_result_does_not_depend_on_its_floor(tmp_path: Path) -> None:
    fingerprints = under(tmp_path)
    assert fingerprints.of("detections", "abc@0.1") == fingerprints.of("detections", "abc@0.05")
    assert fingerprints.of("detections", "abc@0.1") != fingerprints.of("detections", "abd@0.1")


def test_a_result_that_lacks_chunks_is_never_current_and_counts_down_to_its_floor(
    tmp_path: Path,
) -> None:
    before = under(tmp_path)
    made = mark_incomplete(before.of("raw_detections", "file"), ["c1"])
    for detector, is_usable in [({}, True), ({"min_score": 0.05}, False)]:
        now = under(tmp_path, **detector)
        wanted = now.of("raw_detections", "file")
        assert not now.is_current(made, wanted)
        assert now.is_incomplete(made, wanted) == is_usable
    whole, lacking = (before.of("detections", one) for one in (as_source(made)[:32], made))
    assert whole != lacking


def test_several_inputs_all_count_in_their_order(tmp_path: Path) -> None:
    fingerprints = under(tmp_path)
    sources = [("a",), ("a", "b"), ("b", "a"), ("a", "c")]
    assert len({fingerprints.of("detections", *one) for one in sources}) == 4


@pytest.mark.parametrize("sources", [("a",), ("é", "中\u2028"), ('"\\\n\x00', "")])
def test_a_fingerprint_is_the_digest_of_the_list_of_sources(tmp_path: Path, sources) -> None:
    fingerprints = under(tmp_path)
    listed = [*sources, fingerprints.settings_hash("detections")]
    assert fingerprints.of("detections", *sources) == digest_json(listed)
