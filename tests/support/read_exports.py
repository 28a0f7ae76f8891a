"""Reads exports with the programs they are for, in `.venv-readers`, and prints what these found.

.venv-readers/bin/python tests/support/read_exports.py EXPORTS DATASET PACKAGE
"""

import contextlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import crowsetta
import guano
import pandas as pd
from frictionless import validate

SECONDS = 3


def import_opensoundscape():
    """Makes its modules importable one by one: all of them want lightning, wandb and 3 GB more."""
    found = importlib.util.find_spec("opensoundscape")
    package = types.ModuleType("opensoundscape")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["opensoundscape"] = package


def read_with_crowsetta(exports):
    boxes, intervals = {}, {}
    for path in sorted((exports / "raven").glob("*.txt")):
        if len(path.read_text().splitlines()) > 1:  # it refuses tables without rows
            raven = crowsetta.formats.bbox.Raven.from_file(path, annot_col="Species")
            boxes[path.name] = [
                [one.onset, one.offset, one.low_freq, one.high_freq, one.label]
                for one in raven.to_bbox()
            ]
    for path in sorted((exports / "audacity").glob("*.txt")):
        if path.stat().st_size:
            track = crowsetta.formats.seq.AudSeq.from_file(path).to_seq()
            intervals[path.name] = [
                [float(one.onset_s), float(one.offset_s), one.label] for one in track.segments
            ]
    return {"boxes": boxes, "intervals": intervals}


def read_with_opensoundscape(exports, dataset):
    import_opensoundscape()
    from opensoundscape.annotations import (  # noqa: PLC0415  (see above)
        BoxedAnnotations,
        CategoricalLabels,
    )
    from opensoundscape.utils import make_clip_df  # noqa: PLC0415  (see above)

    scores = pd.read_csv(exports / "opensoundscape" / "clips.csv", index_col=[0, 1, 2])
    files = list(dict.fromkeys(scores.index.get_level_values("file")))
    own = make_clip_df(files, SECONDS, final_clip="remainder", audio_root=dataset)
    tables = [exports / "raven" / f"{Path(one).stem}.BADC.selection.table.txt" for one in files]
    boxes = BoxedAnnotations.from_raven_files(tables, "Species", audio_files=files)
    labels = boxes.labels_on_index(
        scores[[]], min_label_overlap=0.1, class_subset=list(scores.columns)
    )
    found = CategoricalLabels.from_multihot_df(scores > 0)
    return {
        "index": [list(one) for one in scores.index],
        "own_index": [list(one) for one in own.index],
        "labels": [int(one.sum()) for one in labels.to_numpy()],
        "above": [len(one) for one in found.class_labels],
        "classes": found.classes,
    }


def read_guano(exports):
    read = {}
    for path in sorted((exports / "guano").glob("*.guano.txt")):
        values = guano.GuanoFile.from_string(path.read_text(encoding="utf-8"))
        read[path.name] = {
            "start": values["Timestamp"].isoformat(),
            "length": values["Length"],
            "species": values.get("Species Auto ID", ""),
            "analysed": values["BADC|Analysed Seconds"],
        }
    return read


def validate_package(folder):
    with contextlib.chdir(folder):  # it would take brackets in a path for a pattern
        report = validate("datapackage.json")
    rows = {task.name: task.stats["rows"] for task in report.tasks}
    return {"errors": report.flatten(["type", "message"]), "rows": rows}


if __name__ == "__main__":
    exports, dataset, package = map(Path, sys.argv[1:])
    print(
        json.dumps(
            {
                "crowsetta": read_with_crowsetta(exports),
                "opensoundscape": read_with_opensoundscape(exports, dataset),
                "guano": read_guano(exports),
                "package": validate_package(package),
            }
        )
    )
