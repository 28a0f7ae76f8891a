"""`badc scan`: what it says."""

import json
import os

import pytest
from support.commands import run_typed

from badc_core.cli.app import build_app


@pytest.fixture
def unnameable(graph, lacking):
    """Adds a file whose name is not UTF-8 and returns that name, escaped."""
    try:
        with open(os.fsencode(graph.root) + b"/audio/S1/b\xe9b\xe9.wav", "wb"):  # noqa: PTH123
            pass
    except OSError:
        lacking("a file system that takes names that are not UTF-8")
    return "audio/S1/b\\xe9b\\xe9.wav"


def test_a_scan_counts_what_it_found(graph):
    done = run_typed(build_app(), "scan", graph.root)
    assert done.stdout == f"3 recordings in {graph.root}: 3 new, 0 changed, 0 missing\n"
    result = json.loads(run_typed(build_app(), "scan", graph.root, "--json").stdout)
    assert (result["recordings"], result["new"]) == (3, [])


def test_a_name_that_cannot_be_written_down_stops_no_scan_and_is_shown(graph, unnameable):
    done = run_typed(build_app(), "scan", graph.root)
    assert unnameable in done.stderr
    assert "rename it" in done.stderr
    assert done.stdout.endswith("3 new, 0 changed, 0 missing, 1 left out\n")
    assert graph.instance.get_dynamic_partitions("recordings") == ["rec_1", "rec_2", "rec_3"]
