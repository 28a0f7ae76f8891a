"""Reviews in the asset graph: drawn, cut, judged and summed up there, and only where asked for."""

import csv

from support.commands import run_typed

from badc_core.cli.app import build_app
from badc_core.reviews.verdicts import import_verdicts


def test_a_review_goes_through_the_asset_graph(archive):
    assert archive.execute("review_job").success
    queue = archive.dataset.reviews.queue("queue-1")
    assert archive.latest("review_clips").metadata["sounds"].value > 0
    assert queue.page.exists()
    with queue.table.open(encoding="utf-8", newline="") as file:
        rows = [{**row, "verdict": "correct"} for row in csv.DictReader(file)]
    saved = archive.root / "saved.csv"
    with saved.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    import_verdicts(archive.dataset, saved)
    assert archive.execute("thresholds_job").success
    assert archive.latest("verdicts").metadata["correct"].value == len(rows)
    assert archive.latest("thresholds").metadata["wanted_precision"].value == 0.9
    assert archive.dataset.reviews.thresholds.exists()
    config = {"review_queue": {"species": ["Jay"], "stations": [], "per_species": 3}}
    assert not archive.execute("review_job", config=config).success
    # `badc run` makes none of them.
    before = archive.n_materialized("review_queue")
    run_typed(build_app(), "run", archive.root)
    assert archive.n_materialized("review_queue") == before
