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
    return any("rec_1" in ids for ids in graph.due().values())


def test_its_detections_are_made_and_made_again_when_the_model_changes(graph) -> None:
    models = graph.root / "models"
    models.mkdir()
    write_bird_model(models / "birds.onnx")
    (models / "labels.txt").write_text(BIRD_LABELS)
    graph.configure("", OURS)
    graph.scan()
    assert device_tags(graph.connection) == {"badc/devices": "cpu"}
    assert graph.run_one("rec_1").success
    identity = identify_detector(graph.dataset.settings.detector)
    made = rows(graph)
    assert {one["label"] for one in made} == {"Low sound", "High sound"}
    told = {(one["runner"], one["model_version"], one["model_sha256"]) for one in made}
    assert told == {("onnx", identity.version, identity.model_sha256)}
    assert not is_due(graph)
    (models / "labels.txt").write_text(BIRD_LABELS.replace("Low", "Deep"))
    assert is_due(graph)
    assert graph.run_one("rec_1").success
    assert {one["label"] for one in rows(graph)} == {"Deep sound", "High sound"}
    assert not is_due(graph)
