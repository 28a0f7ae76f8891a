"""A dataset in Alberta in May, in which a model of one's own hears a bird of the desert."""

from pathlib import Path

from badc_core.datasets.dataset import Dataset
from support.detecting import cut_recordings
from support.sounds import write_tone

CACTUS_WREN = "Cactus Wren"
OVENBIRD = "Ovenbird"
ENGINE = "Engine"

LABELS = "Campylorhynchus brunneicapillus_Cactus Wren\nSeiurus aurocapilla_Ovenbird\nEngine\n"
SCORES = (0.6, 0.8, 0.4)

_SETTINGS = """
[recordings]
timezone = "America/Edmonton"

[chunks]
duration_s = 6.0

[detector]
name = "python"

[detector.model]
function = "score.py:score"
labels = "labels.txt"
sample_rate_hz = 16000
window_s = 3.0
"""


def build_alberta(root: Path, length_s: float = 9.0) -> Dataset:
    """Returns a dataset of one recording, cut: each label in each window of 3 s."""
    write_tone(root / "audio" / "BOG" / "20240515_053000.wav", length_s)
    (root / "deployments.csv").write_text("location,latitude,longitude\nBOG,55.0,-114.0\n")
    (root / "labels.txt").write_text(LABELS)
    scores = ", ".join(map(str, SCORES))
    (root / "score.py").write_text(
        "import numpy as np\n\n\n"
        f"def score(windows):\n    return np.tile(np.array([{scores}]), (len(windows), 1))\n"
    )
    (root / "badc.toml").write_text(_SETTINGS)
    dataset = Dataset.open(root)
    cut_recordings(dataset)
    return dataset
