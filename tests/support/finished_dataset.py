"""A small dataset that went through every stage, without the asset graph.

MARSH has tones, which band_energy finds; RIDGE a recording of which it finds nothing; BROKEN one
that cannot be read.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.chunks.manifest import write_manifest
from badc_core.corpus.building import build_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.errors import UnreadableRecording
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.failures import note_failure, read_failures
from badc_core.recordings.registry import register_recordings
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site
from badc_core.stages.fingerprint_files import store_fingerprint
from badc_core.stages.stage import STAGES
from support.built_once import build_once
from support.detecting import detect_in_process
from support.sounds import RATE_HZ, write_tone

MARSH_1, MARSH_2 = "20240601_053000", "20240602_053000"
RIDGE, BROKEN = "20240601_060000", "20240603_053000"
GOOD = (RIDGE, MARSH_1, MARSH_2)

SETTINGS = """
[recordings]
timezone = "America/Edmonton"

[chunks]
duration_s = 3.0
min_chunk_s = 1.0

[detector]
name = "band_energy"
min_score = 0.25

[report]
bundle = "full"

[inference]
cpu_workers = 1
"""


def build_dataset(root: Path) -> Dataset:
    """Returns a dataset in a folder, with results of every stage; the corpus is `add_corpus`'s."""
    write_tone(root / "audio" / "MARSH" / f"{MARSH_1}.wav", 10.0, 1)
    write_tone(root / "audio" / "MARSH" / f"{MARSH_2}.wav", 7.0, 2)
    quiet = np.random.default_rng(3).normal(0, 0.0005, 6 * RATE_HZ)
    for station in ("RIDGE", "BROKEN"):
        (root / "audio" / station).mkdir()
    sf.write(root / "audio" / "RIDGE" / f"{RIDGE}.wav", quiet, RATE_HZ)
    (root / "audio" / "BROKEN" / f"{BROKEN}.wav").write_bytes(b"no sound at all")
    (root / "badc.toml").write_text(SETTINGS, encoding="utf-8")
    dataset = Dataset.open(root)
    for row in register_recordings(dataset).registry:
        try:
            recording = describe_recording(dataset, row)
        except UnreadableRecording as error:
            note_failure(dataset, row.recording_id, "recording", error)
            continue
        recording.write(dataset.recording(row.recording_id))
        write_manifest(dataset, row.recording_id)
    detect_in_process(dataset, GOOD)
    for one in GOOD:
        write_bundle(dataset, one)
        for stage in STAGES:
            store_fingerprint(dataset, stage, one, f"fingerprint-of-{stage}")
    return dataset


def copy_finished(folders: pytest.TempPathFactory, target: Path) -> Dataset:
    """Returns a copy, in a new folder, of such a dataset with its corpus, which is built once."""

    def build(folder: Path) -> None:
        add_corpus(build_dataset(folder / "dataset"))

    built = build_once(folders, "finished", build)
    shutil.copytree(built / "dataset", target, dirs_exist_ok=True)
    return Dataset.open(target)


def add_corpus(dataset: Dataset) -> None:
    """Writes the corpus of all recordings."""
    failures = {one: note.error for one, note in read_failures(dataset).items()}
    build_corpus(dataset, [*GOOD, BROKEN], failures)
    write_site(dataset)
