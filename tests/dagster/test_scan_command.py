"""`badc scan`: what it says."""

import os

import pytest

from badc_dagster.cli.scan import scan


@pytest.fixture
def unnameable(graph, lacking):
    """Adds a file whose name is not UTF-8 and returns that name, escaped."""
    try:
        with open(os.fsencode(graph.root) + b"/audio/S1/b\xe9b\xe9.wav", "wb"):  # noqa: PTH123
            pass
    except OSError:
        lacking("a file system that takes names that are not UTF-8")
    return "audio/S1/b\\xe9b\\xe9.wav"


def test_a_scan_counts_what_it_found(graph, capsys):
    scan(graph.root)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"3 recordings in {graph.root}: 3 new, 0 changed, 0 missing"


def test_a_name_that_cannot_be_written_down_stops_no_scan_and_is_shown(graph, unnameable, capsys):
    scan(graph.root)
    left_out, counted = capsys.readouterr().out.splitlines()
    assert unnameable in left_out
    assert "rename it" in left_out
    assert counted.endswith("3 new, 0 changed, 0 missing, 1 left out")
    assert graph.instance.get_dynamic_partitions("recordings") == ["rec_1", "rec_2", "rec_3"]
