import json
from pathlib import Path

from support.telemetry import read_events

from badc_core.telemetry.attempts import record
from badc_core.telemetry.log import SCHEMA_VERSION, TelemetryLog

FIELDS = {
    2: {
        "line": (
            "schema timestamp chunk_id recording_id status worker gpu_index gpu_name gpu_uuid "
            "attempt finished_at runtime_s audio_s x_realtime detections error details"
        ),
        "details": (
            "runner command returncode stdout stderr output attempt backoff_s will_retry notes "
            "peak_rss_mib peak_vram_mib gpu_metrics"
        ),
        "gpu_metrics": (
            "samples utilization_mean utilization_max utilization_of device_utilization_mean "
            "memory_used_mib device_memory_used_mib memory_total_mib power_w_mean energy_wh "
            "temperature_c_max sm_clock_mhz_mean"
        ),
    }
}
"""Schema version -> the fields of a line. Whoever changes fields adds a version here and in
`log.py`; what an old log says must stay known."""


def written(tmp_path: Path, attempt) -> dict:
    with TelemetryLog(tmp_path / "log.jsonl") as log:
        log.append(**record(attempt))
    return read_events(log.path)[-1]


def test_fields_change_only_with_the_schema_version(tmp_path, attempt) -> None:
    line = written(tmp_path, attempt(on_gpu=True))
    found = {
        "line": set(line),
        "details": set(line["details"]),
        "gpu_metrics": set(line["details"]["gpu_metrics"]),
    }
    assert line["schema"] == SCHEMA_VERSION
    assert found == {where: set(names.split()) for where, names in FIELDS[SCHEMA_VERSION].items()}


def test_an_attempt_on_a_gpu_is_written_down(tmp_path, attempt) -> None:
    line = written(
        tmp_path,
        attempt(
            on_gpu=True,
            attempt=2,
            command=("python", "analyze.py", "a b.wav"),
            returncode=0,
            output="out/rec_1.json",
            notes=("no place",),
            peak_vram_mib=1900.123456,
        ),
    )
    assert (line["gpu_index"], line["gpu_uuid"]) == (0, "GPU-aaaa")
    assert line["gpu_name"] == "NVIDIA Test 80GB"
    assert line["x_realtime"] == 30.0
    assert line["finished_at"] == "2026-05-01T06:00:02+00:00"
    details = line["details"]
    assert details["command"] == ["python", "analyze.py", "a b.wav"]
    assert details["attempt"] == line["attempt"] == 2
    assert details["peak_vram_mib"] == 1900.1235
    assert details["gpu_metrics"]["memory_used_mib"] == 2000.0
    assert details["notes"] == ["no place"]


def test_a_failure_on_the_cpu_is_written_down(tmp_path, attempt) -> None:
    line = written(
        tmp_path,
        attempt(status="failure", returncode=-9, stderr="x" * 900 + "end", backoff_s=2.0),
    )
    assert (line["gpu_index"], line["gpu_name"], line["gpu_uuid"]) == (None, None, None)
    assert line["error"] == "it broke"
    assert line["x_realtime"] is None
    assert line["details"]["gpu_metrics"] is None
    assert line["details"]["returncode"] == -9
    assert line["details"]["backoff_s"] == 2.0
    assert len(line["details"]["stderr"]) == 500
    assert line["details"]["stderr"].endswith("end")


def test_a_beginning_has_no_end(attempt) -> None:
    line = record(attempt(status="start"))
    assert line["finished_at"] is None
    assert line["x_realtime"] is None
    assert line["runtime_s"] == 0.0


def test_a_line_is_json_that_anybody_reads(attempt) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = json.dumps(record(attempt(on_gpu=True, runtime_s=0.0)))
    assert json.loads(text, parse_constant=refuse)["x_realtime"] is None
