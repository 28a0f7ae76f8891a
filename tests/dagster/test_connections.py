"""Which datasets the asset graph shows: their names, and that they live side by side."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from badc_core.datasets.connections import (
    Connection,
    Origin,
    connect,
    disconnect,
    find_connection,
    read_connections,
)
from badc_core.datasets.names import DEMO_ROOT
from badc_core.demo import _SETTINGS
from badc_core.errors import ConfigInvalid
from badc_dagster.definitions import build_defs


def test_with_no_dataset_connected_a_checkout_shows_the_demos_place(tmp_path):
    assert read_connections(tmp_path) == (Connection("demo", DEMO_ROOT),)


def test_the_demo_is_never_the_main_dataset(tmp_path):
    demo = connect(tmp_path, DEMO_ROOT)
    assert (demo.name, demo.is_main) == ("demo", False)
    first = connect(tmp_path, tmp_path / "Elk Island")
    assert (first.name, first.is_main) == ("elk_island", True)
    assert not connect(tmp_path, tmp_path / "pond").is_main
    with pytest.raises(ConfigInvalid, match="the demo is never the main dataset"):
        connect(tmp_path, DEMO_ROOT, wants_main=True)


def test_no_other_dataset_is_called_demo(tmp_path):
    assert connect(tmp_path, tmp_path / "demo").name == "demo_2"
    with pytest.raises(ConfigInvalid, match=r"'demo' is kept for the demo\. Choose another name$"):
        connect(tmp_path, tmp_path / "other", "demo")


def test_a_demo_outside_a_checkout_is_recognised_by_its_settings(tmp_path):
    for folder in ("somewhere", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "badc.toml").write_text(_SETTINGS, encoding="utf-8")
    assert connect(tmp_path, tmp_path / "somewhere").name == "demo"
    assert connect(tmp_path, tmp_path / "elsewhere").name == "demo_2"
    assert connect(tmp_path, tmp_path / "a").is_main


def test_a_disconnected_dataset_keeps_its_name_and_place(tmp_path):
    first = connect(tmp_path, tmp_path / "a", origin=Origin("https://x/a", "git"))
    disconnect(tmp_path, first)
    assert read_connections(tmp_path) == ()
    assert find_connection(tmp_path, tmp_path / "a") is None
    assert not connect(tmp_path, tmp_path / "b").is_main
    again = connect(tmp_path, tmp_path / "a")
    assert (again.name, again.is_main, again.origin) == ("a", True, Origin("https://x/a", "git"))


def test_a_name_follows_a_dataset_whose_folder_has_moved(tmp_path):
    (tmp_path / "x").mkdir()
    connect(tmp_path, tmp_path / "x")
    with pytest.raises(ConfigInvalid, match=r"is taken by .*/x\. Choose another name$"):
        connect(tmp_path, tmp_path / "y", "x")
    (tmp_path / "x").rename(tmp_path / "y")
    moved = connect(tmp_path, tmp_path / "y", "x")
    assert (moved.name, moved.root, moved.is_main) == ("x", tmp_path / "y", True)
    assert read_connections(tmp_path) == (moved,)


def test_a_connection_is_found_again_and_looking_for_one_writes_nothing(tmp_path):
    assert find_connection(tmp_path, tmp_path / "a") is None
    assert list(tmp_path.iterdir()) == []
    added = connect(tmp_path, tmp_path / "a")
    assert find_connection(tmp_path, tmp_path / "x" / ".." / "a") == added
    assert find_connection(tmp_path, tmp_path / "b") is None


def test_the_first_dataset_has_no_prefix_and_the_second_has_its_folders_name(tmp_path):
    first = connect(tmp_path, tmp_path / "Elk Island")
    second = connect(tmp_path, tmp_path / "Sambaa K'e 2024")
    assert (first.name, first.key_prefix) == ("elk_island", [])
    assert (first.partitions_name, first.scoped("pipeline_job")) == ("recordings", "pipeline_job")
    assert second.name == "sambaa_k_e_2024"
    assert second.partitions_name == "recordings/sambaa_k_e_2024"
    assert second.scoped("pipeline_job") == "sambaa_k_e_2024__pipeline_job"
    assert read_connections(tmp_path) == (first, second)


def test_connecting_again_changes_nothing(tmp_path):
    first = connect(tmp_path, tmp_path / "a")
    second = connect(tmp_path, tmp_path / "b", "marsh")
    written = (tmp_path / "datasets.toml").stat().st_mtime_ns
    assert connect(tmp_path, tmp_path / "a") == first
    assert connect(tmp_path, tmp_path / "b") == second
    assert connect(tmp_path, tmp_path / "b", "marsh") == second
    assert read_connections(tmp_path) == (first, second)
    assert (tmp_path / "datasets.toml").stat().st_mtime_ns == written


def test_a_folder_has_one_connection_however_its_path_is_written(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("a")
    first = connect(tmp_path, tmp_path / "a")
    assert first.root == tmp_path / "a"
    written = (tmp_path / "datasets.toml").stat().st_ino
    for path in ("other/../a", "a/.", "link"):
        assert connect(tmp_path, tmp_path / path) == first
        assert (tmp_path / "datasets.toml").stat().st_ino == written
    with pytest.raises(ConfigInvalid, match="already connected as 'a'"):
        connect(tmp_path, tmp_path / "link", "pond")
    assert read_connections(tmp_path) == (first,)


def test_folders_of_the_same_name_get_names_of_their_own(tmp_path):
    roots = [tmp_path / place / "site" for place in ("x", "y", "z")]
    assert [connect(tmp_path, root).name for root in roots] == ["site", "site_2", "site_3"]


def test_a_hostile_folder_name_survives_being_stored(tmp_path):
    root = tmp_path / 'é "quoted" \\ back # [[dataset]] \x7f\n$(touch x); \''
    connected = connect(tmp_path, root)
    assert read_connections(tmp_path) == (connected,)
    assert read_connections(tmp_path)[0].root == root


@pytest.mark.parametrize("name", ["marsh", "Marsh", "a-b", "", "é"])
def test_a_name_that_is_taken_or_unusable_is_refused(tmp_path, name):
    (tmp_path / "first").mkdir()
    connect(tmp_path, tmp_path / "first", "marsh")
    with pytest.raises(ConfigInvalid, match="Choose another name"):
        connect(tmp_path, tmp_path / "second", name)


def test_a_damaged_list_is_named_with_what_to_do(tmp_path):
    (tmp_path / "datasets.toml").write_text("[[dataset]\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"datasets\.toml.*badc scan DATASET"):
        read_connections(tmp_path)


def test_processes_that_connect_at_once_lose_no_dataset(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    roots = [tmp_path / f"site{number}" for number in range(8)]
    with ProcessPoolExecutor(8, spawn) as pool:
        names = {one.name for one in pool.map(connect, [tmp_path] * 8, roots)}
    assert len(names) == 8
    assert {one.root for one in read_connections(tmp_path)} == set(roots)


def test_two_datasets_load_and_run_side_by_side(graph, field_audio):
    other_root = graph.root.with_name("Other Site")
    (other_root / "audio" / "S9").mkdir(parents=True)
    (other_root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', encoding="utf-8")
    (other_root / "audio/S9/rec_1.wav").write_bytes((field_audio / "aru_3.wav").read_bytes())
    home = graph.root.parent / "home"
    other = type(graph)(other_root, connect(home, other_root), field_audio)
    graph.defs = other.defs = build_defs(read_connections(home))
    repository = graph.defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"pipeline_job", "other_site__pipeline_job", "other_site__corpus_job"} <= jobs
    sensors = {sensor.name for sensor in repository.sensor_defs}
    assert sensors == {"new_audio_sensor", "other_site__new_audio_sensor"}

    graph.scan()
    other.scan()
    assert graph.run_one("rec_1").success
    assert graph.n_materialized("detections") == 1
    assert other.n_materialized("detections") == 0
    assert other.run_one("rec_1").success
    assert other.execute("corpus_job").success
    assert other.dataset.bundle("rec_1").html.exists()
    assert other.due() == {}
    assert graph.due() == {"recording": ["rec_2", "rec_3"]}
    other.instance.dispose()
