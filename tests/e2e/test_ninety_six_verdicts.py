"""From a queue to another corpus by real keys: 96 verdicts, thresholds, and no model that runs."""

import csv

import pytest
from support.browser import open_browser
from support.gallery import Reviewer
from support.sounds import write_tone

from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.dataset import Dataset

N_VERDICTS = 96
MOST_S = 5 * 60
SETTINGS = """
[chunks]
duration_s = 30.0
[detector]
name = "band_energy"
min_score = 0.1
{more}
[inference]
cpu_workers = 1
"""


@pytest.mark.soak
def test_96_verdicts_become_thresholds_and_the_model_does_not_run(badc, tmp_path, lacking):
    root = tmp_path / "dataset"
    for number in range(6):
        write_tone(root / "audio" / "MARSH" / f"2024060{number + 1}_053000.wav", 60.0, number)
    (root / "badc.toml").write_text(SETTINGS.format(more=""), encoding="utf-8")
    assert badc("run", root).returncode == 0
    made = badc("review", "queue", root, "--per-species", N_VERDICTS, "--species", "2-4 kHz")
    assert f"{N_VERDICTS} detections of 1 label" in made.stdout, made.stderr
    dataset = Dataset.open(root)
    raw = {path: path.read_bytes() for path in dataset.raw_detections("x").parent.iterdir()}
    with dataset.reviews.queue("queue-1").table.open(encoding="utf-8", newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    limit = sorted(scores)[12]
    with open_browser(lacking) as browser:
        reviewer = Reviewer(browser, dataset.reviews.queue("queue-1").page)
        reviewer.press("Space")
        keys = ["1" if score > limit else "2" for score in scores]
        waits = [reviewer.hear_next(key) for key in keys[:-1]]
        reviewer.press(keys[-1])
        saved = reviewer.save(tmp_path)
        assert reviewer.errors == []
    per_sound_s = (MOST_S - sum(waits)) / N_VERDICTS
    print(f"{N_VERDICTS} verdicts: the page took {sum(waits):.2f} s, {max(waits):.3f} s at most;")
    print(f"of five minutes {per_sound_s:.2f} s are left to listen to each sound")
    assert sum(waits) < 30

    assert badc("review", "import", root, saved).returncode == 0
    done = badc("review", "results", root, "--precision", 0.9)
    assert f"{N_VERDICTS} detections judged" in done.stdout, done.stderr
    applied = badc("review", "apply", root, "--precision", 0.9)
    assert 'thresholds_file = "thresholds.csv"' in applied.stdout, applied.stderr
    before = _count(dataset)
    lines = "\n".join(one for one in applied.stdout.splitlines() if "_file = " in one)
    (root / "badc.toml").write_text(SETTINGS.format(more=lines), encoding="utf-8")
    assert badc("run", root).returncode == 0
    assert {path: path.read_bytes() for path in raw} == raw
    threshold = Dataset.open(root).settings.detector.thresholds["B2000"]
    assert _count(dataset, threshold) == _count(dataset) < before


def _count(dataset, threshold=0.0):
    """Returns the detections of the corpus with a score of at least so much."""
    asked = "SELECT count(*) AS n FROM real_detections WHERE label = 'B2000' AND confidence >= ?"
    with Snapshot(dataset) as snapshot:
        assert snapshot.is_corpus
        return snapshot.read(asked, threshold)["n"][0].as_py()
