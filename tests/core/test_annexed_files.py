"""Every file that BADC reads, as a link or pointer of git-annex whose content is elsewhere."""

import os
import shlex
import timeit
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from badc_core import annexed_files
from badc_core.annexed_files import (
    content_missing,
    lacks_content,
    read_annex_key,
    require_fetched,
    size_of_key,
)
from badc_core.audio.containers import examine
from badc_core.audio.reader import AudioFile
from badc_core.chunks.manifest import read_manifest
from badc_core.chunks.requests import read_requests
from badc_core.chunks.source import plan_file
from badc_core.chunks.status import STATUS_FILE, name_status, read_status
from badc_core.comparison.compared_tables import read_table as read_compared
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort, read_metadata
from badc_core.detectors.label_files import read_labels
from badc_core.errors import ContentMissing
from badc_core.inference.chunk_output import read_chunk_json
from badc_core.inference.raw_result import known_in_raw_result, read_raw_result
from badc_core.inference.run_spec import load_previous
from badc_core.plan_files import read_plan
from badc_core.recordings.deployments import read_deployments
from badc_core.recordings.failures import fetch_failures, read_failures
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registered import read_table
from badc_core.settings import Settings, load_settings
from badc_core.telemetry.summary import Summary, summary_path

KEY = "annex/objects/aa/bb/MD5E-s9--0123.x/MD5E-s9--0123.x"
RECORDING = SimpleNamespace(recording_id="a", sha256="")


def _link(path: Path) -> None:
    path.symlink_to(f".git/{KEY}")


def _pointer(path: Path) -> None:
    path.write_text(f"/{KEY}\n")


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "settings": ("badc.toml", load_settings),
    "registry": ("recordings.csv", lambda path: read_table(path, None)),
    "some rows": ("recordings.csv", lambda path: read_table(path, {"a"})),
    "stations": ("deployments.csv", read_deployments),
    "sound": ("a.wav", lambda path: AudioFile(path).__enter__()),
    "headers": ("a.flac", examine),
    "description": ("a.json", read_recording),
    "manifest": ("a.csv", lambda path: read_manifest(path, RECORDING)),
    "manifest by hand": ("a.csv", lambda path: read_requests([path], None)),
    "file to cut": ("a.wav", lambda path: plan_file(path, 3, 0)),
    "chunk status": (STATUS_FILE, lambda path: read_status(path.parent)),
    "raw detections": ("a.parquet", lambda path: read_raw_result(path, "a")),
    "detections": ("a.parquet", read_detections),
    "effort": ("a.parquet", read_effort),
    "metadata": ("a.parquet", read_metadata),
    "table to compare": ("a.csv", read_compared),
    "chunk's detections": ("a.json", read_chunk_json),
    "plan": ("plan.json", read_plan),
    "plan as CSV": ("plan.csv", read_plan),
    "summary": ("a.jsonl", Summary.load),
    "summary to resume from": ("a.jsonl.summary.json", load_previous),
    "labels": ("labels.txt", read_labels),
}


@pytest.mark.parametrize("make", [_link, _pointer])
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_names_the_file_and_how_to_get_it(tmp_path, reader, make) -> None:
    name, read = READERS[reader]
    path = tmp_path / "it's here" / name
    path.parent.mkdir()
    absent = summary_path(path) if reader == "summary" else path
    make(absent)
    with pytest.raises(ContentMissing) as caught:
        read(path)
    assert caught.value.where == str(absent)
    assert caught.value.remedy == f"Run: datalad get {shlex.quote(str(absent))}"


def test_the_command_works_wherever_it_is_typed(tmp_path, monkeypatch) -> None:
    (tmp_path / "ours" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    command = f"datalad get {tmp_path}/ours/-r -d {tmp_path}/ours"
    assert command in str(content_missing(Path("ours/-r")))


@pytest.mark.parametrize("make", [_link, _pointer])
def test_a_failure_of_which_only_the_file_name_is_here_is_shown_as_that(tmp_path, make) -> None:
    make(tmp_path / "a.json")
    dataset = SimpleNamespace(failure=lambda _: tmp_path / "a.json")
    fetch_failures(dataset)  # which fails: this is no repository
    (note,) = read_failures(dataset).values()
    assert note.recording_id == "a"
    assert f"run: datalad get {tmp_path}/a.json" in note.error


def test_results_that_only_save_work_count_as_none(tmp_path) -> None:
    _link(tmp_path / "a.parquet")
    assert known_in_raw_result(tmp_path / "a.parquet", "a", 0.1) == {}


def test_a_status_that_is_not_here_is_shown_as_that(tmp_path) -> None:
    _link(tmp_path / STATUS_FILE)
    assert name_status(tmp_path) == "not here"


def test_other_files_are_not_taken_for_annexed_ones(tmp_path) -> None:
    nowhere, short, long = tmp_path / "nowhere", tmp_path / "short", tmp_path / "long"
    nowhere.symlink_to("no/such/place")
    short.write_text("annex/objects")
    long.write_bytes(b"/annex/objects/" + bytes(40_000))
    for path in (nowhere, short, long, tmp_path, tmp_path / "absent"):
        assert not lacks_content(path)
    require_fetched(short)
    require_fetched(tmp_path / "absent")
    with pytest.raises(ContentMissing, match="leads nowhere"):
        require_fetched(nowhere)


def test_a_link_to_content_that_is_here_lacks_nothing(tmp_path) -> None:
    stored = tmp_path / ".git" / KEY
    stored.parent.mkdir(parents=True)
    stored.write_text("content")
    _link(tmp_path / "a")
    assert not lacks_content(tmp_path / "a")


@pytest.mark.parametrize("come", [b"RIFF\xff\xfe\n", b"", None])
def test_a_pointer_that_is_replaced_while_it_is_read_has_no_key(
    tmp_path, monkeypatch, come
) -> None:
    path = tmp_path / "a.wav"
    _pointer(path)
    assert read_annex_key(path) == "MD5E-s9--0123.x"

    def look_before_the_content_comes(looked_at: Path) -> bool:
        lacks = lacks_content(looked_at)
        path.unlink() if come is None else path.write_bytes(come)
        return lacks

    # The moment between looking and reading cannot be had otherwise.
    monkeypatch.setattr(annexed_files, "lacks_content", look_before_the_content_comes)
    assert read_annex_key(path) == ""


def test_a_key_says_the_size_unless_it_has_none() -> None:
    assert size_of_key("SHA256E-s300--ab-s5.wav") == 300
    assert size_of_key("URL--http&c%%host%a-s5.wav") is None


def test_to_tell_costs_microseconds(tmp_path) -> None:
    paths = [tmp_path / str(number) for number in range(2000)]
    for number, path in enumerate(paths):
        _link(path) if number % 2 else path.write_bytes(bytes(100))
    took_s = min(timeit.repeat(lambda: [lacks_content(one) for one in paths], number=1, repeat=3))
    assert took_s / len(paths) < 0.001


def test_a_dataset_opens_beside_files_that_are_not_here(tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    _link(tmp_path / "recordings.csv")
    assert Dataset.open(tmp_path).settings == Settings()
    assert os.path.lexists(Dataset.open(tmp_path).registry)
