"""A network of a lab's own in the asset graph, its files beside `badc.toml`."""

from support.own_models import BIRD_LABELS, write_bird_model

from badc_core.detections.store import read_detections
from badc_core.detectors.registry import identify_detector
from badc_dagster.leased_devices import device_tags

OURS = """
[detector]
name = "onnx"
min_score = 0.1

[detector.model]
file = "models/birds.onnx"
labels = "models/labels.txt"
sample_rate_hz = 48000
window_s = 3.0
activation = "sigmoid"
licence = "ours"
"""


def rows(graph) -> list[dict]:
    return read_detections(graph.dataset.detections("rec_1")).to_pylist()


def is_due(graph) -> bool:
    return "rec_1" in graph.due().get("raw_detections", ())


def make_detections(graph) -> None:
    for stage in ("raw_detections", "detections"):
        assert graph.run_range(stage, "rec_1").success


def test_its_detections_are_made_and_made_again_when_the_model_changes(cut) -> None:
    models = cut.root / "models"
    models.mkdir()
    write_bird_model(models / "birds.onnx")
    (models / "labels.txt").write_text(BIRD_LABELS)
    cut.configure("", OURS)
    assert device_tags(cut.connection) == {"badc/devices": "cpu"}
    assert is_due(cut)
    make_detections(cut)
    identity = identify_detector(cut.dataset.settings.detector)
    made = rows(cut)
    assert {one["label"] for one in made} == {"Low sound", "High sound"}
    told = {(one["runner"], one["model_version"], one["model_sha256"]) for one in made}
    assert told == {("onnx", identity.version, identity.model_sha256)}
    assert not is_due(cut)
    (models / "labels.txt").write_text(BIRD_LABELS.replace("Low", "Deep"))
    assert is_due(cut)
    make_detections(cut)
    assert {one["label"] for one in rows(cut)} == {"Deep sound", "High sound"}
    assert not is_due(cut)
