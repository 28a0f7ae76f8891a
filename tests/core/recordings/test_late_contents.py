"""Contents that a step found at a recording's path: entered, and nothing is written in vain."""

import os

from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.late_contents import enter_contents, look_again
from badc_core.recordings.registry import register_recordings


def test_the_registry_is_written_only_where_a_content_is_new(tmp_path):
    sound = write_tone(tmp_path / "audio" / "a.wav", 1.0)
    dataset = Dataset.open(tmp_path)
    (row,) = register_recordings(dataset).registry
    before = dataset.registry.stat()
    enter_contents(dataset, [look_again(dataset, row)])
    assert os.path.samestat(dataset.registry.stat(), before)
    write_tone(sound, 2.0)
    late = look_again(dataset, row)
    enter_contents(dataset, [late])
    assert not os.path.samestat(dataset.registry.stat(), before)
    assert late.is_new
    before = dataset.registry.stat()
    enter_contents(dataset, [late])  # which is known by now
    assert os.path.samestat(dataset.registry.stat(), before)
