"""`badc data connect`, `disconnect` and `status`, on real repositories."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from support.archives import HOSTILE_NAMES, copy_archive, enable_store, make_archive, run_in
from support.built_once import build_once
from support.commands import run_typed

from badc_core.annexed_files import lacks_content
from badc_core.atomic import _process_space
from badc_core.datasets.connections import read_connections, read_known
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DatasetInvalid,
    RecordingBusy,
    RepositoryFailed,
)
from badc_core.stages.work import Work
from badc_dagster.home import open_instance
from badc_dagster.resources import DatasetResource


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    files = [(f"audio/S1/{name}", name.encode() * 100) for name in HOSTILE_NAMES]
    return build_once(tmp_path_factory, "connected", lambda folder: make_archive(folder, files))


@pytest.fixture
def archive(built, tmp_path) -> Path:
    return copy_archive(built, tmp_path / "elsewhere")


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch) -> Path:
    """Returns the home of a user of their own, in whose folder commands are typed."""
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.delenv("BADC_DATA_CONFIG", raising=False)
    monkeypatch.chdir(user)
    return user


@pytest.fixture
def field(tmp_path, field_audio) -> Path:
    """Returns a plain folder of one recording."""
    root = tmp_path / "field"
    (root / "audio").mkdir(parents=True)
    shutil.copy(field_audio / "aru_1.wav", root / "audio" / "a.wav")
    return root


def typed_json(app, *words):
    return json.loads(run_typed(app, *words, "--json").stdout)


def use_store(root, archive):
    """Has a clone use the archive's store, which git-annex wants to hear is meant."""
    run_in(root, "git", "annex", "init", "--quiet")
    enable_store(root, archive.parent / "store")
    run_in(root, "git", "config", "remote.store.annex-verified", "verified")


def snapshot(*folders: Path) -> dict[Path, tuple[int, bytes]]:
    """Returns time and content of every file; a database's own are compared by content alone."""
    files = [one for folder in folders for one in folder.rglob("*") if one.is_file()]
    return {one: one.read_bytes() for one in files if one.suffix != ".db-shm"}


def names(home):
    return {one.name: one.key_prefix for one in read_connections(home)}


def test_a_dataset_is_cloned_below_the_current_folder_and_connected(app, home, user, archive):
    words = ("data", "connect", "sockeye-prod", "--url", archive, "--method", "git")
    planned = run_typed(app, *words, "--dry-run").stdout
    assert "would be cloned" in planned
    assert list(user.iterdir()) == []
    assert read_known(home) == ()
    run_typed(app, *words)
    (one,) = read_connections(home)
    assert one.root == user / "data/datalad/sockeye-prod"
    assert (one.name, one.is_main, one.origin.method) == ("sockeye_prod", True, "datalad")
    assert one.origin.url == str(archive)
    assert {path.name for path in one.root.glob("audio/S1/*")} == set(HOSTILE_NAMES)
    assert [path.name for path in one.root.parent.iterdir()] == ["sockeye-prod"]
    assert typed_json(app, "data", "connect", "sockeye-prod")["status"] == "updated"


def test_datalad_clones_too_and_describes_the_clone_by_its_own_folder(app, home, user, archive):
    assert typed_json(app, "data", "connect", "a b;$(touch x)", "--url", archive)["status"] == (
        "cloned"
    )
    root = user / "data/datalad/a b;$(touch x)"
    assert names(home) == {"a_b_touch_x": []}
    here = run_in(root, "git", "annex", "info", "here", "--fast")
    assert "/data/datalad/a b;$(touch x) [here]" in here
    assert run_in(root, "git", "status", "--porcelain") == ""


def test_a_half_clone_is_never_seen_and_swept_by_the_next(app, home, user, archive):
    words = ("data", "connect", "bogus", "--method", "git", "--url")
    with pytest.raises(RepositoryFailed, match="git clone"):
        run_typed(app, *words, user / "nowhere")
    folder = user / "data/datalad"
    assert list(folder.iterdir()) == []
    assert read_known(home) == ()
    run_typed(app, *words, archive)
    killed = f".bogus.{_process_space()}-999999999-0123abcd.part"
    (folder / killed).mkdir()
    shutil.move(folder / "bogus", user / "gone")
    run_typed(app, *words, archive)
    assert [one.name for one in folder.iterdir()] == ["bogus"]


def test_a_clone_is_brought_up_to_date_without_a_merge(app, home, user, archive):
    run_typed(app, "data", "connect", "bogus", "--url", archive, "--method", "git")
    root = user / "data/datalad/bogus"
    run_in(root, "git", "remote", "rename", "origin", "lab/archive")

    def commit(repository, text, name="notes.txt"):
        (repository / name).write_text(text, encoding="utf-8")
        run_in(repository, "git", "add", name)
        run_in(repository, "git", "commit", "-qm", text)

    commit(archive, "first")
    run_typed(app, "data", "connect", "bogus", "--no-pull")
    assert not (root / "notes.txt").exists()
    assert "1 new commit" in run_typed(app, "data", "connect", "bogus").stdout
    assert (root / "notes.txt").read_text() == "first"
    commit(archive, "second")
    (root / "notes.txt").write_text("changed here", encoding="utf-8")
    with pytest.raises(RepositoryFailed, match=r"1 changed file.*notes\.txt.*datalad save"):
        run_typed(app, "data", "connect", "bogus")
    run_in(root, "git", "checkout", "--", ".")
    commit(root, "mine", "mine.txt")
    with pytest.raises(RepositoryFailed, match=r"has 1 commit.*lacks 1.*how=merge"):
        run_typed(app, "data", "connect", "bogus")
    assert (root / "notes.txt").read_text() == "first"
    with Work(root / ".badc").analysing("a"):
        assert "a run is at work" in run_typed(app, "data", "connect", "bogus").stdout
    run_in(root, "git", "checkout", "-q", "--detach")
    assert "follows none" in run_typed(app, "data", "connect", "bogus").stdout


def test_settings_and_registry_that_are_annexed_are_fetched_or_nothing_is_connected(
    app, home, user, archive
):
    (archive / "badc.toml").write_text('[recordings]\ntimezone = "America/Edmonton"\n')
    columns = "recording_id,path,size_bytes,modified_ns,fingerprint\n"
    row = f"plain,audio/S1/plain.wav,900,0,{'0' * 64}\n"
    (archive / "recordings.csv").write_text(columns + row)
    added = ("badc.toml", "recordings.csv")
    run_in(archive, "git", "annex", "add", "--quiet", "--force-large", *added)
    run_in(archive, "git", "commit", "--quiet", "-m", "Add settings")
    run_in(archive, "git", "annex", "move", "--quiet", "--to", "store", *added)
    words = ("data", "connect", "bogus", "--method", "git")
    with pytest.raises(ContentMissing, match=r"badc\.toml: .*could not be .*datalad get .*bogus"):
        run_typed(app, *words, "--url", archive)
    assert read_known(home) == ()
    root = user / "data/datalad/bogus"
    use_store(root, archive)
    run_typed(app, *words)
    assert names(home) == {"bogus": []}
    assert not lacks_content(root / "badc.toml")
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("recordings") == ["plain"]


def test_an_unknown_name_says_what_is_missing(app, home, user):
    with pytest.raises(DatasetInvalid, match="Give its URL with --url"):
        run_typed(app, "data", "connect", "nope")
    assert "badc-bogus-data" in run_typed(app, "data", "connect", "bogus", "--dry-run").stdout
    assert read_known(home) == ()


def test_a_folder_is_connected_if_it_holds_recordings(app, home, user, field):
    (user / "empty" / "audio").mkdir(parents=True)
    with pytest.raises(DatasetInvalid, match="no recordings in its folder audio"):
        run_typed(app, "data", "connect", "./empty")
    assert read_known(home) == ()
    assert typed_json(app, "data", "connect", field)["method"] == "path"
    assert names(home) == {"field": []}
    assert list(field.iterdir()) == [field / "audio"]
    assert DatasetResource.from_registry("field").root == str(field)
    with pytest.raises(DatasetInvalid, match="Connected: field"):
        DatasetResource.from_registry("lake")


def test_the_main_dataset_is_chosen_while_nothing_has_results(app, home, user, field, tmp_path):
    shutil.copytree(field, tmp_path / "lake")
    run_typed(app, "data", "connect", field)
    run_typed(app, "data", "connect", tmp_path / "lake", "--main")
    assert names(home) == {"field": ["field"], "lake": []}
    run_typed(app, "scan", field)
    with pytest.raises(ConfigInvalid, match="field has results in the asset graph"):
        run_typed(app, "data", "connect", field, "--main")
    assert names(home) == {"field": ["field"], "lake": []}


def test_a_dataset_goes_and_comes_back_with_its_name_and_partitions(app, home, user, field):
    run_typed(app, "scan", field)
    run_typed(app, "data", "disconnect", "field", "--dry-run")
    assert names(home) == {"field": []}
    before = snapshot(field)
    gone = run_typed(app, "data", "disconnect", "field").stdout
    assert f"its files stay in {field}" in gone
    assert names(home) == {}
    assert snapshot(field) == before
    with pytest.raises(DatasetInvalid, match="not in the asset graph"):
        run_typed(app, "status", field)
    with pytest.raises(DatasetInvalid, match="not a connected dataset"):
        run_typed(app, "data", "disconnect", "field")
    assert "disconnected, main" in run_typed(app, "data", "status").stdout
    run_typed(app, "data", "connect", "field")
    assert names(home) == {"field": []}
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("recordings") == ["a"]


def test_a_dataset_is_taken_out_without_git(app, home, user, field, monkeypatch):
    run_in(field, "git", "init", "--quiet")
    run_in(field, "git", "commit", "--quiet", "--allow-empty", "-m", "Start")
    run_typed(app, "data", "connect", field)
    monkeypatch.setenv("PATH", str(user))
    for words in (("--dry-run",), ()):
        done = typed_json(app, "data", "disconnect", "field", *words)
        assert done["here_bytes"] is None
    assert names(home) == {}


def test_contents_that_are_elsewhere_are_dropped_and_others_kept(app, home, user, archive):
    run_typed(app, "data", "connect", "bogus", "--url", archive, "--method", "git")
    root = user / "data/datalad/bogus"
    use_store(root, archive)
    run_in(root, "git", "annex", "get", "--quiet", ".")
    (root / "audio" / "only here.wav").write_bytes(b"mine" * 100)
    run_in(root, "git", "annex", "add", "--quiet", "audio/only here.wav")
    (before,) = typed_json(app, "data", "status")
    contents = before["repository"]["contents"]
    assert (contents["n_files"], contents["n_here"]) == (len(HOSTILE_NAMES) + 1,) * 2
    with Work(root / ".badc").analysing("a"), pytest.raises(RecordingBusy):
        run_typed(app, "data", "disconnect", "bogus", "--drop-content")
    done = run_typed(app, "data", "disconnect", "bogus", "--drop-content")
    assert f"of {len(HOSTILE_NAMES)} files" in done.stdout
    assert "1 file kept, such as" in done.stderr
    (after,) = typed_json(app, "data", "status")
    contents = after["repository"]["contents"]
    assert (contents["n_here"], contents["here_bytes"]) == (1, 400)
    assert len(list((root / "audio/S1").iterdir())) == len(HOSTILE_NAMES)


def test_a_store_that_git_annex_does_not_use_yet_is_named(app, home, user, archive):
    run_typed(app, "data", "connect", "bogus", "--url", archive, "--method", "git")
    root = user / "data/datalad/bogus"
    run_in(root, "git", "annex", "init", "--quiet")
    enable_store(root, archive.parent / "store")
    shown = run_typed(app, "data", "status", "--show-siblings")
    assert f"git -C {root} annex verifyremote store" in shown.stderr
    assert "sibling store" in shown.stdout
    run_in(root, "git", "config", "remote.store.annex-verified", "verified")
    assert "verifyremote" not in run_typed(app, "data", "status").stderr


def test_contents_of_an_unlocked_branch_are_counted(app, home, user, archive):
    run_typed(app, "data", "connect", "bogus", "--url", archive, "--method", "git")
    root = user / "data/datalad/bogus"
    use_store(root, archive)
    run_in(root, "git", "annex", "get", "--quiet", "audio/S1/plain.wav")
    run_in(root, "git", "annex", "adjust", "--unlock", "--quiet")
    (one,) = typed_json(app, "data", "status")
    contents = one["repository"]["contents"]
    assert (contents["n_files"], contents["n_here"]) == (len(HOSTILE_NAMES), 1)
    assert contents["here_bytes"] == len("plain.wav") * 100
    assert one["repository"]["n_changed"] == 0


def test_datasets_of_the_original_are_known_and_its_list_is_kept_up_to_date(
    app, home, user, archive, monkeypatch
):
    listed = user / "data.toml"
    root = user / "old place"
    listed.write_text(
        f'[datasets.north-shore]\npath = "{root}"\nurl = "{archive}"\nmethod = "git"\n'
        'status = "connected"\nlast_connected = "2025-01-12T21:07:14+00:00"\nnote = "mine"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("BADC_DATA_CONFIG", str(listed))
    (one,) = typed_json(app, "data", "status")
    assert (one["name"], one["status"], one["present"]) == ("north_shore", "listed", False)
    run_typed(app, "data", "connect", "north-shore", "--method", "git")
    assert names(home) == {"north_shore": []}
    assert (root / "audio").is_dir()
    row = tomllib.loads(listed.read_text(encoding="utf-8"))["datasets"]["north-shore"]
    assert (row["status"], row["note"], row["url"]) == ("connected", "mine", str(archive))
    assert row["last_connected"] > "2026"
    run_typed(app, "data", "disconnect", "north-shore")
    row = tomllib.loads(listed.read_text(encoding="utf-8"))["datasets"]["north-shore"]
    assert (row["status"], row["path"]) == ("disconnected", str(root))
    assert "last_disconnected" in row
    assert [one["status"] for one in typed_json(app, "data", "status")] == ["disconnected"]


def test_no_list_of_the_original_is_made_where_there_is_none(app, home, user, field):
    run_typed(app, "data", "connect", field)
    assert list(user.rglob("data.toml")) == []


def test_a_folder_that_is_gone_is_named_and_the_others_are_shown(app, home, user, field, tmp_path):
    shutil.copytree(field, tmp_path / "lake")
    for folder in (field, tmp_path / "lake"):
        run_typed(app, "data", "connect", folder)
    shutil.rmtree(field)
    shown = run_typed(app, "data", "status", "--details", "--show-siblings")
    assert "field: its folder is not there" in shown.stderr
    assert "lake" in shown.stdout


def test_reading_commands_write_nothing(app, finished, user):
    root, home = finished.root, user.parent / "home"
    run_typed(app, "run", root)
    recording = root / "audio/S1/rec_1.wav"
    before = snapshot(root, home, user)
    for words in (
        ("status", root),
        ("report", root),
        ("report", root, "--recording", "rec_1"),
        ("infer", "monitor", root),
        ("telemetry", root),
        ("data", "status", "--details", "--show-siblings"),
        ("scan", root, "--explain", recording),
        ("chunk", "status", root),
        ("data", "connect", root, "--dry-run"),
        ("data", "disconnect", "dataset", "--dry-run"),
    ):
        run_typed(app, *words)
        assert changed(before, snapshot(root, home, user)) == [], words


def changed(before, after):
    return sorted(
        str(one) for one in before.keys() | after.keys() if before.get(one) != after.get(one)
    )
