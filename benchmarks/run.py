"""All benchmarks in one run on the same cores; the last line is one JSON object.

The bare model is measured before and after the pipeline, so that a machine that grows slower or
faster meanwhile does not decide the ratio. `--only pipeline,startup,...` runs some.

    python benchmarks/run.py
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bare_model import measure_bare_model
from birdnet_package import measure_birdnet_package
from corpus import make_corpus
from pipeline import measure_orchestration, measure_pipeline, measure_startup

from badc_core.devices.cores import usable_cores

_RESULTS = Path(__file__).parent / "results"
_PARTS = ("pipeline", "package", "startup", "orchestration")

Figures = dict[str, float | int | None]


def measure(parts: set[str]) -> Figures:
    """Returns the figures of the parts asked for, saying on stderr what runs."""
    figures: Figures = {"cores": usable_cores()}
    files = make_corpus(_RESULTS / "corpus")
    if "pipeline" in parts:
        _tell("bare model, pipeline, bare model")
        before = measure_bare_model(files, usable_cores())
        speed = measure_pipeline(files)
        bare = (before + measure_bare_model(files, usable_cores())) / 2
        figures["bare_model_x_realtime"] = round(bare, 1)
        figures["pipeline_x_realtime"] = round(speed.x_realtime, 1)
        figures["pipeline_over_bare"] = round(speed.x_realtime / bare, 3)
        figures["worker_peak_rss_mib"] = round(speed.worker_peak_rss_mib)
        figures["audio_bytes_written"] = speed.audio_bytes_written
    if "package" in parts:
        _tell("the birdnet package")
        package = measure_birdnet_package(files)
        figures["birdnet_package_x_realtime"] = package
        pipeline = figures.get("pipeline_x_realtime")
        figures["pipeline_over_birdnet_package"] = (
            round(pipeline / package, 3) if pipeline and package else None
        )
    single: dict[str, tuple[str, Callable[[], float]]] = {
        "startup": ("run_startup_s", lambda: measure_startup(files[0])),
        "orchestration": ("orchestration_s_per_recording_asset", measure_orchestration),
    }
    for part, (name, call) in single.items():
        if part in parts:
            _tell(part)
            figures[name] = round(call(), 4)
    return figures


def _tell(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr, flush=True)


def main() -> None:
    """Measures, keeps the result, prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(_PARTS), help=f"of {', '.join(_PARTS)}")
    parts = set(parser.parse_args().only.split(","))
    if unknown := parts - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures = measure(parts)
    line = json.dumps(figures)
    kept = _RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    kept.write_text(line + "\n", encoding="utf-8")
    print(line)


if __name__ == "__main__":
    main()
