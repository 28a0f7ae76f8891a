"""Files under other names: which recordings they are, and which recordings are missing."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.recordings.missing import find_missing, find_superseded
from badc_core.recordings.registry import forget_missing, read_registry, register_recordings
from badc_core.recordings.renames import match_renames
from badc_core.recordings.scan import FoundAudio, find_audio, list_folders
from badc_core.stages.fingerprints import Fingerprints


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    (tmp_path / "audio").mkdir()
    return Dataset.open(tmp_path)


def put(dataset: Dataset, path: str, content: str) -> Path:
    file = dataset.root / "audio" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def where(dataset: Dataset) -> dict[str, str]:
    """Returns recording_id -> path below audio, as the registry has them."""
    registry = read_registry(dataset.registry)
    return {one.recording_id: one.path.removeprefix("audio/") for one in registry}


@pytest.fixture
def scanned(dataset: Dataset) -> Dataset:
    for name in "abc":
        put(dataset, f"S1/{name}.wav", f"sound of {name}")
    register_recordings(dataset)
    return dataset


def test_a_renamed_folder_is_the_same_recordings_elsewhere(scanned: Dataset) -> None:
    before = read_registry(scanned.registry)
    (scanned.root / "audio/S1").rename(scanned.root / "audio/Pond")
    outcome = register_recordings(scanned)
    assert where(scanned) == {name: f"Pond/{name}.wav" for name in "abc"}
    assert outcome.renamed == {name: f"audio/S1/{name}.wav" for name in "abc"}
    assert (outcome.added, outcome.changed, outcome.missing) == ((), (), ())
    for one in read_registry(scanned.registry):
        assert one.fingerprint == before.require(one.recording_id).fingerprint


def test_only_renamed_recordings_are_described_anew_and_none_when_renamed_back(
    scanned: Dataset,
) -> None:
    def sources() -> dict[str, str]:
        fingerprints, registry = Fingerprints(scanned), read_registry(scanned.registry)
        return {one.recording_id: fingerprints.of_row(one) for one in registry}

    before = sources()
    (scanned.root / "audio/S1/b.wav").rename(scanned.root / "audio/S1/20240501_050000.wav")
    register_recordings(scanned)
    after = sources()
    assert {one for one in before if after[one] != before[one]} == {"b"}
    (scanned.root / "audio/S1/20240501_050000.wav").rename(scanned.root / "audio/S1/d.wav")
    register_recordings(scanned)
    assert len({before["b"], after["b"], sources()["b"]}) == 3
    (scanned.root / "audio/S1/d.wav").rename(scanned.root / "audio/S1/b.wav")
    assert register_recordings(scanned).renamed == {"b": "audio/S1/d.wav"}
    assert sources() == before
    assert "first_path" not in scanned.registry.read_text()


def test_exchanged_names_move_with_their_sound(scanned: Dataset) -> None:
    folder = scanned.root / "audio/S1"
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (folder / f"{old}.wav").rename(folder / f"{new}.wav")
    os.utime(folder / "a.wav", (1, 1))
    outcome = register_recordings(scanned)
    assert where(scanned) == {"a": "S1/b.wav", "b": "S1/a.wav", "c": "S1/c.wav"}
    assert (outcome.changed, outcome.added, outcome.missing) == ((), (), ())


def test_names_that_move_up_by_one_move_with_their_sound(scanned: Dataset) -> None:
    folder = scanned.root / "audio/S1"
    for number, (old, new) in enumerate((("c", "d"), ("b", "c"), ("a", "b"))):
        (folder / f"{old}.wav").rename(folder / f"{new}.wav")
        os.utime(folder / f"{new}.wav", (number, number))
    assert register_recordings(scanned).changed == ()
    assert where(scanned) == {"a": "S1/b.wav", "b": "S1/c.wav", "c": "S1/d.wav"}


def test_a_file_that_was_replaced_is_changed_not_renamed(scanned: Dataset) -> None:
    put(scanned, "S1/a.wav", "another sound")
    outcome = register_recordings(scanned)
    assert (outcome.changed, outcome.renamed, outcome.added) == (("a",), {}, ())


def test_a_file_moved_onto_another_leaves_no_recording_without_a_path(scanned: Dataset) -> None:
    folder = scanned.root / "audio/S1"
    (folder / "a.wav").replace(folder / "b.wav")
    os.utime(folder / "b.wav", (1, 1))
    outcome = register_recordings(scanned)
    assert (outcome.changed, outcome.missing, outcome.renamed) == (("b",), ("a",), {})
    assert find_superseded(scanned, outcome.registry) == {"a": "b"}


def test_a_copy_is_a_recording_of_its_own_and_the_original_stays(scanned: Dataset) -> None:
    shutil.copy2(scanned.root / "audio/S1/a.wav", scanned.root / "audio/S1/copy.wav")
    outcome = register_recordings(scanned)
    assert (outcome.added, outcome.renamed, outcome.missing) == (("copy",), {}, ())
    assert where(scanned)["a"] == "S1/a.wav"
    assert find_superseded(scanned, outcome.registry) == {}


def test_of_several_files_with_a_missing_ones_content_one_is_it_and_the_rest_are_copies(
    scanned: Dataset,
) -> None:
    (scanned.root / "audio/S1/a.wav").unlink()
    for path in ("S0/z.wav", "S2/a.wav", "S3/q.wav"):
        put(scanned, path, "sound of a")
    outcome = register_recordings(scanned)
    assert where(scanned)["a"] == "S2/a.wav"  # which has its file name
    assert (outcome.added, outcome.missing) == (("q", "z"), ())


def test_of_equal_recordings_each_is_found_once_and_the_rest_stay_missing(
    dataset: Dataset,
) -> None:
    for path in ("S1/x.wav", "S2/x.wav", "S3/y.wav"):
        put(dataset, path, "one sound")
    register_recordings(dataset)
    shutil.rmtree(dataset.root / "audio/S1")
    shutil.rmtree(dataset.root / "audio/S2")
    put(dataset, "new/S2/x.wav", "one sound")
    outcome = register_recordings(dataset)
    assert where(dataset)["S2__x"] == "new/S2/x.wav"
    assert (outcome.missing, outcome.added) == (("S1__x",), ())
    assert find_superseded(dataset, outcome.registry) == {"S1__x": "S2__x"}


def test_empty_files_are_never_taken_for_one_another(dataset: Dataset) -> None:
    put(dataset, "a.wav", "")
    register_recordings(dataset)
    (dataset.root / "audio/a.wav").rename(dataset.root / "audio/b.wav")
    outcome = register_recordings(dataset)
    assert (outcome.missing, outcome.added, outcome.renamed) == (("a",), ("b",), {})


def test_a_renamed_recording_is_known_by_the_fingerprint_it_had(scanned: Dataset) -> None:
    (scanned.root / "badc.toml").write_text('[recordings]\nfingerprint = "full"\n')
    (scanned.root / "audio/S1/a.wav").rename(scanned.root / "audio/S1/z.wav")
    outcome = register_recordings(Dataset.open(scanned.root))
    assert outcome.renamed == {"a": "audio/S1/a.wav"}
    assert register_recordings(Dataset.open(scanned.root)).changed == ()


def test_a_disk_that_is_not_there_renames_and_forgets_nothing(scanned: Dataset) -> None:
    before = scanned.registry.read_bytes()
    audio = scanned.root / "audio"
    audio.rename(scanned.root / "away")
    audio.mkdir()  # the empty folder it is mounted on
    outcome = register_recordings(scanned)
    assert (outcome.missing, outcome.renamed) == (("a", "b", "c"), {})
    assert find_superseded(scanned, outcome.registry) == {}
    with pytest.raises(DatasetInvalid, match="all of its 3 recordings are missing"):
        forget_missing(scanned)
    audio.rmdir()
    (scanned.root / "away").rename(audio)
    assert register_recordings(scanned).missing == ()
    assert scanned.registry.read_bytes() == before


def test_a_renamed_recordings_folder_is_followed(scanned: Dataset) -> None:
    (scanned.root / "audio").rename(scanned.root / "sound")
    (scanned.root / "badc.toml").write_text('[recordings]\nroots = ["sound"]\n')
    outcome = register_recordings(Dataset.open(scanned.root))
    assert list(outcome.renamed) == ["a", "b", "c"]
    assert outcome.total == 3


def test_links_that_lead_nowhere_and_annexed_ones_are_not_missing(dataset: Dataset) -> None:
    disk = dataset.root / "disk"
    (disk / "S2").mkdir(parents=True)
    audio = dataset.root / "audio"
    for name in ("a", "S2/b", "c"):
        (disk / f"{name}.wav").write_text(f"sound of {name}")
    (audio / "a.wav").symlink_to("../disk/a.wav")
    (audio / "S2").symlink_to("../disk/S2")
    annexed = dataset.root / ".git/annex/objects/MD5E-s1--c.wav"
    annexed.parent.mkdir(parents=True)
    (disk / "c.wav").rename(annexed)
    (audio / "c.wav").symlink_to("../.git/annex/objects/MD5E-s1--c.wav")
    assert len(register_recordings(dataset).added) == 3
    disk.rename(dataset.root / "unmounted")
    annexed.unlink()
    put(dataset, "other.wav", "sound of S2/b")
    outcome = register_recordings(dataset)
    assert (outcome.missing, outcome.renamed, outcome.added) == ((), {}, ("other",))
    assert forget_missing(dataset) == ()
    assert list_folders(dataset).closed.keys() == {"audio/S2"}


def test_a_renamed_link_without_content_is_recognised_once_its_content_is_here(
    dataset: Dataset,
) -> None:
    objects = dataset.root / ".git/annex/objects"
    objects.mkdir(parents=True)
    (objects / "K").write_text("one sound")
    link = dataset.root / "audio/a.wav"
    link.symlink_to("../.git/annex/objects/K")
    register_recordings(dataset)
    (objects / "K").rename(objects / "dropped")
    link.rename(dataset.root / "audio/z.wav")
    outcome = register_recordings(dataset)
    assert (outcome.added, outcome.missing) == (("z",), ("a",))
    (objects / "dropped").rename(objects / "K")
    outcome = register_recordings(dataset)
    assert where(dataset) == {"a": "z.wav"}
    assert (list(outcome.renamed), outcome.dropped, outcome.missing) == (["a"], ("z",), ())


def test_files_that_were_not_looked_at_are_neither_missing_nor_renamed(scanned: Dataset) -> None:
    shutil.copy2(scanned.root / "audio/S1/a.wav", scanned.root / "audio/new.wav")
    (new,) = (one for one in find_audio(scanned) if one.path == "audio/new.wav")
    assert isinstance(new, FoundAudio)
    outcome = register_recordings(scanned, [new])
    assert (outcome.added, outcome.missing, outcome.renamed) == (("new",), (), {})


def test_another_spelling_is_a_rename_where_case_makes_no_difference(scanned: Dataset) -> None:
    old = scanned.root / "audio/S1/a.wav"
    os.link(old, old.with_name("A.WAV"))  # so that both names lead to it, as there
    found = [one for one in find_audio(scanned) if one.path != "audio/S1/a.wav"]
    outcome = register_recordings(scanned, found)
    assert outcome.renamed == {"a": "audio/S1/a.wav"}
    assert where(scanned)["a"] == "S1/A.WAV"


def test_what_was_renamed_before_this_was_told_apart_is_counted_once(scanned: Dataset) -> None:
    """As after a rename under the code before: both names are in the registry."""
    rows = scanned.registry.read_text().splitlines()
    old = [line.replace("a,audio/S1/a.wav", "old,audio/S0/a.wav") for line in rows if "a," in line]
    scanned.registry.write_text("\n".join([*rows, old[0]]) + "\n")
    outcome = register_recordings(scanned)
    assert outcome.missing == ("old",)
    assert find_superseded(scanned, outcome.registry) == {"old": "a"}
    assert find_missing(scanned, outcome.registry) == ("old",)


contents = st.dictionaries(
    st.sampled_from([f"{s}/{n}" for s in "ABC" for n in "xyz"]), st.sampled_from("123")
)


@given(contents, contents, st.data())
def test_a_match_keeps_content_and_gives_no_path_twice(old, new, data) -> None:
    owned = data.draw(st.sets(st.sampled_from(sorted(old.keys() & new.keys()) or [""])))
    moved = match_renames(old, new, owned)
    assert all(old[before] == new[after] for before, after in moved.items())
    assert len(set(moved.values())) == len(moved)
    assert all(path in moved for path in set(moved.values()) & owned)
    free = {path for path in new if path not in owned}
    for content in set(old.values()):
        n_old = sum(one == content for one in old.values())
        n_free = sum(new[path] == content for path in free)
        n_moved = sum(old[one] == content for one in moved)
        assert n_moved >= min(n_old, n_free)
