"""All benchmarks in one run on the same cores; the last line is one JSON object.

The bare model, the pipeline and its peers take turns, and ratios are of one round, so
that a machine that grows slower or faster meanwhile does not decide them. `--only speed` or `--only
startup,orchestration` runs some.

    python benchmarks/run.py
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bare_model import measure_bare_model
from birdnet_package import measure_birdnet_package
from corpus import make_corpus
from executor import measure as measure_executor
from hawkears import measure as measure_hawkears
from memory import measure as measure_memory
from pipeline import PipelineSpeed, measure_orchestration, measure_pipeline, measure_startup
from process_per_chunk import measure_process_per_chunk

from badc_core.devices.places import usable_cores

_RESULTS = Path(__file__).parent / "results"
_ROUNDS = 3
_PARTS = ("speed", "startup", "orchestration", "memory", "hawkears", "executor")

Figures = dict[str, Any]


def measure(parts: set[str], n_rounds: int) -> Figures:
    """Returns the figures of the parts asked for, saying on stderr what runs."""
    figures: Figures = {"cores": usable_cores()}
    files = make_corpus(_RESULTS / "corpus")
    if "speed" in parts:
        figures |= _measure_speed(files, n_rounds)
    single: dict[str, tuple[str, Callable[[], float]]] = {
        "startup": ("run_startup_s", lambda: measure_startup(files[0])),
        "orchestration": ("orchestration_s_per_recording_asset", measure_orchestration),
    }
    for part, (name, call) in single.items():
        if part in parts:
            _tell(part)
            figures[name] = round(call(), 4)
    several: dict[str, Callable[[], Figures | None]] = {
        "memory": measure_memory,
        "hawkears": lambda: measure_hawkears(files[-1]),
        "executor": measure_executor,
    }
    for part, measure_several in several.items():
        if part in parts:
            _tell(part)
            figures |= measure_several() or {f"{part}_measured": None}
    return figures


def _measure_speed(files: list[Path], n_rounds: int) -> Figures:
    """Measures the pipeline and its peers in turn, a few rounds; every round is in the result.

    The bare detector runs before and after the pipeline, so that a machine whose speed drifts
    favours neither.
    """
    rounds: dict[str, list[float]] = {
        name: []
        for name in (
            "bare_model",
            "bare_detector",
            "pipeline",
            "selected_pipeline",
            "birdnet_package",
            "process_per_chunk",
            "bare_loop",
        )
    }
    pipeline: list[PipelineSpeed] = []
    for number in range(1, n_rounds + 1):
        _tell(f"round {number} of {n_rounds}: the bare model, the pipeline, its peers")
        before = measure_bare_model(files, usable_cores(), "detector")
        pipeline.append(measure_pipeline(files))
        after = measure_bare_model(files, usable_cores(), "detector")
        rounds["bare_detector"].append((before + after) / 2)
        rounds["bare_model"].append(measure_bare_model(files, usable_cores()))
        rounds["pipeline"].append(pipeline[-1].x_realtime)
        rounds["selected_pipeline"].append(pipeline[-1].selected_x_realtime)
        package = measure_birdnet_package(files)
        rounds["birdnet_package"] += [] if package is None else [package]
        rounds["process_per_chunk"].append(measure_process_per_chunk(files, usable_cores()))
        rounds["bare_loop"].append(measure_process_per_chunk(files, usable_cores(), "model"))
    ours = rounds["pipeline"]
    selected = rounds["selected_pipeline"]
    peers = {
        "pipeline_over_bare": "bare_model",
        "pipeline_over_bare_detector": "bare_detector",
        "pipeline_over_birdnet_package": "birdnet_package",
        "pipeline_over_process_per_chunk": "process_per_chunk",
        "pipeline_over_bare_loop": "bare_loop",
    }
    return {
        **{f"{name}_x_realtime": _median(speeds) for name, speeds in rounds.items()},
        **{name: _ratio(ours, rounds[peer]) for name, peer in peers.items()},
        "selected_pipeline_over_bare_detector": _ratio(selected, rounds["bare_detector"]),
        "worker_peak_rss_mib": round(max(one.worker_peak_rss_mib for one in pipeline)),
        "audio_bytes_written": max(one.audio_bytes_written for one in pipeline),
        "rounds": {name: [round(one, 1) for one in speeds] for name, speeds in rounds.items()},
    }


def _median(speeds: list[float]) -> float | None:
    return round(median(speeds), 1) if speeds else None


def _ratio(ours: list[float], theirs: list[float]) -> float | None:
    """Returns the median of the rounds' ratios: what is divided was measured side by side."""
    if not theirs:
        return None
    return round(median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


def _tell(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr, flush=True)


def main() -> None:
    """Measures, keeps the result, prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(_PARTS), help=f"of {', '.join(_PARTS)}")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of the speed part")
    wanted = parser.parse_args()
    parts = set(wanted.only.split(","))
    if unknown := parts - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures = measure(parts, wanted.rounds)
    line = json.dumps(figures)
    kept = _RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    kept.write_text(line + "\n", encoding="utf-8")
    print(line)


if __name__ == "__main__":
    main()
