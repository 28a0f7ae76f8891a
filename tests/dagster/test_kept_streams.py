"""What Dagster does to standard output and error while a step runs."""

import os

import pytest

from badc_dagster.in_process import keeping_streams


def test_streams_that_were_left_elsewhere_are_put_back(tmp_path):
    before = [os.fstat(stream).st_ino for stream in (1, 2)]
    elsewhere = os.open(tmp_path / "full", os.O_CREAT | os.O_WRONLY)

    def leave_elsewhere():
        for stream in (1, 2):
            os.dup2(elsewhere, stream)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), keeping_streams():
        leave_elsewhere()
    os.close(elsewhere)
    assert [os.fstat(stream).st_ino for stream in (1, 2)] == before
