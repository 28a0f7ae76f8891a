"""The model runs once: what is only about selecting its results starts no worker."""

from badc_core.stages.stage import STAGES
from badc_dagster.runs import Project

QUICK = "[detector]\nname = 'band_energy'\nmin_score = {}\n"
SELECTING = (
    "thresholds = {'4-8 kHz' = 0.4}\n",
    "include = ['4-8 kHz']\n",
    "exclude = ['4-8 kHz']\n",
    "label_length = 'variable'\n",
    "score_floor = 0.2\n",
    "range = 'filter'\n",
    "range_threshold = 0.1\n",
    "range_week = 'year'\n",
    "species_list = 'species.txt'\n",
    "thresholds_file = 'thresholds.csv'\n",
    "calibration_file = 'curves.csv'\n",
)


def test_selecting_otherwise_runs_no_model(finished, n_workers):
    (finished.root / "species.txt").write_text("4-8 kHz\n")
    (finished.root / "thresholds.csv").write_text("label,threshold\n2-4 kHz,0.5\n")
    (finished.root / "curves.csv").write_text("label,intercept,slope\n4-8 kHz,0,1\n")
    for setting in ("", *SELECTING):
        finished.configure("", QUICK.format(0.3 if not setting else 0.1) + setting)
        assert finished.due().keys() <= {"detections"}, setting
    finished.configure("", QUICK.format(0.3) + "".join(SELECTING))
    before = {stage: finished.n_materialized(stage) for stage in STAGES}
    with Project.open(finished.root) as project:
        assert project.bring_up_to_date().n_finished == 3
    after = {stage: finished.n_materialized(stage) for stage in STAGES}
    assert n_workers == []
    assert after == before | {"detections": 6, "report_bundle": 6}
