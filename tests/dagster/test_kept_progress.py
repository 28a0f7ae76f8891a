"""What a tick found is kept for the next one, and mended where something has changed."""

from dataclasses import replace

import pytest

from badc_core.recordings.registry import Registry, read_registry
from badc_core.stages.work import Work
from badc_dagster.due import DueFinder
from badc_dagster.kept_progress import KeptProgress
from badc_dagster.known_fingerprints import read_known_fingerprints


class Kept:
    """What is kept of three finished recordings."""

    def __init__(self, graph):
        self.place = (graph.instance, graph.connection, graph.dataset)
        self.dataset = graph.dataset
        self.left_out = ()
        self._kept = KeptProgress(0.0)

    def find(self):
        registry = read_registry(self.dataset.registry)
        return self._kept.find(
            self.place, registry, self.left_out, read_known_fingerprints(*self.place)
        )

    def find_all(self):
        """Returns the same, found anew."""
        registry = read_registry(self.dataset.registry)
        return DueFinder(*self.place).find(registry.without(self.left_out))


@pytest.fixture
def kept(finished):
    return Kept(finished)


def remove_a_report(kept):
    kept.dataset.bundle("rec_1").html.unlink()


def put_it_back(kept):
    kept.dataset.bundle("rec_1").html.write_text("<html></html>")


def leave_work_dirty(kept):
    Work(kept.dataset.work_folder).begin("chunk_manifest", "rec_2").leave()


def leave_one_out(kept):
    kept.left_out = ("rec_3",)


def replace_a_file(kept):
    rows = list(read_registry(kept.dataset.registry))
    Registry([replace(rows[0], fingerprint="0" * 64), *rows[1:]]).write(kept.dataset.registry)


def forget_one(kept):
    rows = list(read_registry(kept.dataset.registry))
    Registry(rows[1:]).write(kept.dataset.registry)


@pytest.mark.parametrize(
    "changes",
    [
        [remove_a_report],
        [remove_a_report, put_it_back],
        [leave_work_dirty],
        [leave_one_out, remove_a_report],
        [replace_a_file, leave_work_dirty],
        [forget_one],
    ],
    ids=lambda changes: "-".join(one.__name__ for one in changes),
)
def test_after_a_change_what_is_kept_is_what_would_be_found_anew(kept, changes):
    first = kept.find()
    assert len(first.finished) == 3
    for change in changes:
        change(kept)
        found, anew = kept.find(), kept.find_all()
        assert found is first, "all recordings were looked at"
        assert (found.due, found.current, found.incomplete) == (
            anew.due,
            anew.current,
            anew.incomplete,
        )


def test_after_a_change_of_settings_all_are_looked_at(kept, finished):
    first = kept.find()
    finished.configure("[chunks]\nduration_s = 1.5\n")
    kept.dataset = finished.dataset
    kept.place = (*kept.place[:2], kept.dataset)
    found = kept.find()
    assert found is not first
    assert found.due.keys() == kept.find_all().due.keys()
    assert found.unfinished == {"rec_1", "rec_2", "rec_3"}
