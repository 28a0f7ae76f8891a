"""JSON that is damaged, or was never ours."""

import io
import queue
from types import SimpleNamespace

import pytest

from badc_core.engine.pool import Message, WorkerProcess
from badc_core.json_texts import parse_object

DEEP = "[" * 100_000
BAD = [DEEP, '{"a":' * 100_000, "", "{", "[]", "3", "null", '"a"', b"\xff\xfe", "9" * 5000]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_object_is_a_value_error(text) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (of several kinds)
        parse_object(text)


def test_an_object_is_read() -> None:
    assert parse_object('{"a": [1, 2.5]}') == {"a": [1, 2.5]}


@pytest.mark.parametrize("line", [DEEP, "[]", "Segmentation fault"])
def test_a_worker_whose_line_is_no_message_counts_as_gone(line: str) -> None:
    worker = object.__new__(WorkerProcess)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    worker.__dict__.update(_inbox=inbox, _process=SimpleNamespace(stdout=io.StringIO(line + "\n")))
    worker._listen()
    assert inbox.get_nowait().content is None
    assert inbox.empty()
