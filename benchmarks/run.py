"""All benchmarks in one run on the same cores; the last line is one JSON object.

The bare model and the birdnet package are measured before and after the pipeline, so that a
machine that grows slower or faster meanwhile does not decide the ratios. `--only speed` or
`--only startup,orchestration` runs some.

    python benchmarks/run.py
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from bare_model import measure_bare_model
from birdnet_package import measure_birdnet_package
from corpus import make_corpus
from pipeline import measure_orchestration, measure_pipeline, measure_startup

from badc_core.devices.cores import usable_cores

_RESULTS = Path(__file__).parent / "results"
_PARTS = ("speed", "startup", "orchestration")

Figures = dict[str, float | int | None]


def measure(parts: set[str]) -> Figures:
    """Returns the figures of the parts asked for, saying on stderr what runs."""
    figures: Figures = {"cores": usable_cores()}
    files = make_corpus(_RESULTS / "corpus")
    if "speed" in parts:
        figures |= _measure_speed(files)
    single: dict[str, tuple[str, Callable[[], float]]] = {
        "startup": ("run_startup_s", lambda: measure_startup(files[0])),
        "orchestration": ("orchestration_s_per_recording_asset", measure_orchestration),
    }
    for part, (name, call) in single.items():
        if part in parts:
            _tell(part)
            figures[name] = round(call(), 4)
    return figures


def _measure_speed(files: list[Path]) -> Figures:
    """Measures the pipeline between two rounds of what it is compared with."""
    rounds = [_measure_peers(files)]
    _tell("the pipeline")
    speed = measure_pipeline(files)
    rounds.append(_measure_peers(files))
    bare = mean(bare for bare, _ in rounds)
    packages = [package for _, package in rounds if package is not None]
    package = mean(packages) if packages else None
    return {
        "bare_model_x_realtime": round(bare, 1),
        "pipeline_x_realtime": round(speed.x_realtime, 1),
        "pipeline_over_bare": round(speed.x_realtime / bare, 3),
        "worker_peak_rss_mib": round(speed.worker_peak_rss_mib),
        "audio_bytes_written": speed.audio_bytes_written,
        "birdnet_package_x_realtime": round(package, 1) if package else None,
        "pipeline_over_birdnet_package": round(speed.x_realtime / package, 3) if package else None,
    }


def _measure_peers(files: list[Path]) -> tuple[float, float | None]:
    _tell("the bare model")
    bare = measure_bare_model(files, usable_cores())
    _tell("the birdnet package")
    return bare, measure_birdnet_package(files)


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
