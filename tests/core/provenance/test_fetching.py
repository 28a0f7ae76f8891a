"""Fetching ahead, and dropping only what was fetched and is not used."""

import fcntl
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.archives import copy_archive, make_archive, run_in
from support.built_once import build_once
from support.locks import refuse_locks

from badc_core.annexed_files import lacks_content
from badc_core.errors import ContentMissing
from badc_core.provenance import dropping
from badc_core.provenance.annex import drop
from badc_core.provenance.dropping import FetchedSounds, UsedSound
from badc_core.provenance.fetching import Fetcher, Needed, require_fetched_all

N_SOUNDS = 30


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    files = [(f"audio/{number:02}.wav", os.urandom(9000)) for number in range(N_SOUNDS)]
    return build_once(tmp_path_factory, "sounds", lambda folder: make_archive(folder, files))


@pytest.fixture
def archive(built, tmp_path) -> Path:
    return copy_archive(built, tmp_path)


@pytest.fixture
def sounds(archive) -> dict[str, Path]:
    return {path.stem: path for path in sorted((archive / "audio").iterdir())}


def needs_of(sounds: dict[str, Path]) -> list[Needed]:
    return [Needed(name, sound=lambda path=path: path) for name, path in sounds.items()]


def used(archive: Path, drops: bool = True) -> FetchedSounds:
    return FetchedSounds(archive, archive / ".badc", drops)


def use(these: FetchedSounds, sound: Path) -> UsedSound:
    return these.use(these.find_marks([sound])[sound])


def count_here(sounds: dict[str, Path]) -> int:
    return sum(not lacks_content(path) for path in sounds.values())


def test_sounds_are_fetched_a_few_ahead_and_dropped_after_use(archive, sounds) -> None:
    most = 0
    with Fetcher(needs_of(sounds), used(archive)) as contents:
        for name, path in sounds.items():
            with contents.using(name):
                assert not lacks_content(path)
                most = max(most, count_here(sounds))
    assert 1 < most < N_SOUNDS
    assert count_here(sounds) == 0
    assert list((archive / ".badc/fetched").iterdir()) == []


def test_the_next_ones_are_fetched_while_one_is_used(archive, sounds) -> None:
    with Fetcher(needs_of(sounds), used(archive)) as contents, contents.using("00"):
        until_s = time.monotonic() + 60
        while lacks_content(sounds["15"]) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert not lacks_content(sounds["15"])
        assert lacks_content(sounds["16"])


def test_without_drop_after_what_was_fetched_stays(archive, sounds) -> None:
    some = dict(list(sounds.items())[:2])
    with Fetcher(needs_of(some), used(archive, drops=False)) as contents:
        for name in some:
            with contents.using(name):
                pass
    assert count_here(some) == 2


def test_what_was_here_and_what_another_run_uses_is_not_dropped(archive, sounds) -> None:
    some = dict(list(sounds.items())[:3])
    require_fetched_all([some["00"]])
    other = used(archive, drops=False)
    in_use = use(other, some["01"])
    with Fetcher(needs_of(some), used(archive)) as contents:
        for name in some:
            with contents.using(name):
                pass
    assert [lacks_content(path) for path in some.values()] == [False, False, True]
    other.release([in_use])
    used(archive).sweep()
    assert [lacks_content(path) for path in some.values()] == [False, True, True]


@pytest.mark.parametrize("mode", ["locked", "unlocked"])
def test_equal_sounds_are_dropped_after_the_last_use(archive, sounds, mode) -> None:
    first, second = sounds["00"], archive / "audio/equal.wav"
    second.symlink_to(first.readlink())
    run_in(archive, "git", "add", "audio/equal.wav")
    run_in(archive, "git", "commit", "--quiet", "-m", "Add an equal one")
    if mode == "unlocked":
        run_in(archive, "git", "annex", "adjust", "--unlock")
    needs = needs_of({"first": first, "second": second})
    with ExitStack() as later:
        with Fetcher(needs[:1], used(archive)) as contents, contents.using("first"):
            others = later.enter_context(Fetcher(needs[1:], used(archive)))
            later.enter_context(others.using("second"))
        assert not lacks_content(second)
    assert lacks_content(first)
    assert lacks_content(second)


def test_a_batch_keeps_what_its_steps_fetch(archive, sounds) -> None:
    some = dict(list(sounds.items())[:2])
    with used(archive).keeping(some.values()):
        for _ in range(2):
            with Fetcher(needs_of(some), used(archive)) as contents:
                for name in some:
                    with contents.using(name):
                        pass
            assert count_here(some) == 2
    assert count_here(some) == 0


def test_what_a_killed_run_fetched_is_dropped_by_the_next(archive, sounds, monkeypatch) -> None:
    killed = used(archive)
    in_use = use(killed, sounds["00"])
    killed.mark(in_use, sounds["00"])
    require_fetched_all([sounds["00"]])
    os.close(in_use.descriptor)  # as the kernel does when a process dies
    used(archive, drops=False).sweep()
    assert not lacks_content(sounds["00"])
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse_locks)
        used(archive).sweep()  # nobody knows whether another run uses it
    assert not lacks_content(sounds["00"])
    used(archive).sweep()
    assert lacks_content(sounds["00"])


@pytest.mark.parametrize("mode", ["locked", "unlocked"])
def test_what_the_user_fetched_in_place_of_a_killed_runs_sound_is_not_dropped(
    archive, sounds, mode
) -> None:
    if mode == "unlocked":
        run_in(archive, "git", "annex", "adjust", "--unlock")
    killed, sound = used(archive), sounds["00"]
    in_use = use(killed, sound)
    killed.mark(in_use, sound)
    require_fetched_all([sound])
    os.close(in_use.descriptor)
    # As `git pull` does.
    other = run_in(archive, "git", "rev-parse", "HEAD:audio/01.wav").strip()
    old_mode = "100644" if mode == "unlocked" else "120000"
    words = ("--cacheinfo", f"{old_mode},{other},audio/00.wav")
    run_in(archive, "git", "update-index", *words)
    run_in(archive, "git", "checkout", "--", "audio/00.wav")
    assert lacks_content(sound)
    require_fetched_all([sound])
    used(archive).sweep()
    assert not lacks_content(sound)
    assert list((archive / ".badc/fetched").iterdir()) == []


def test_what_the_git_annex_of_a_killed_run_is_fetching_is_dropped_later(
    archive, sounds, monkeypatch
) -> None:
    some = list(sounds.values())[:4]
    killed, later = used(archive), used(archive)
    marks = killed.find_marks(some)
    # The one that is here comes last.
    *arriving, here = sorted(some, key=lambda one: marks[one])
    for one in some:
        in_use = use(killed, one)
        killed.mark(in_use, one)
        os.close(in_use.descriptor)
    require_fetched_all([here])
    monkeypatch.setattr(dropping, "_SWEPT_AT_ONCE", 1)
    later.sweep()
    assert lacks_content(here)
    os.utime(marks[arriving[0]], (0, 0))
    later.sweep()
    assert not marks[arriving[0]].exists(), "no transfer takes that long"
    require_fetched_all(arriving[1:])
    later.sweep()
    assert all(map(lacks_content, some))
    assert list((archive / ".badc/fetched").iterdir()) == []


def test_a_refused_drop_is_a_warning_once_and_tried_again(
    archive, sounds, caplog, monkeypatch
) -> None:
    some = dict(list(sounds.items())[:2])
    run_in(archive, "git", "annex", "numcopies", "2")
    with Fetcher(needs_of(some), used(archive)) as contents:
        for name in some:
            with contents.using(name):
                pass
    assert count_here(some) == 2
    assert caplog.text.count("not dropped after use") == 1
    with monkeypatch.context() as patch:
        patch.setattr(dropping, "_SWEPT_AT_ONCE", 1)
        asked = []
        patch.setattr(dropping, "drop", lambda paths: asked.append(1) or drop(paths))
        used(archive).sweep()
    assert len(asked) == 1, "where one is refused, so would be the others"
    run_in(archive, "git", "annex", "numcopies", "1")
    used(archive).sweep()
    assert count_here(some) == 0


def test_what_cannot_be_fetched_fails_alone_unless_it_can_be_done_without(
    archive, sounds, caplog
) -> None:
    gone = archive / "audio/gone.wav"
    gone.symlink_to("../.git/annex/objects/aa/bb/KEY/KEY")
    needs = [
        Needed("needs it", sound=lambda: gone),
        Needed("does without", sound=lambda: gone, requires_sound=False),
        Needed("too", sound=lambda: gone, requires_sound=False),
        Needed("table", [gone]),
        Needed("saves work", useful=[gone]),
        *needs_of({"00": sounds["00"]}),
    ]
    with Fetcher(needs, used(archive)) as contents:
        for name in ("needs it", "table"):
            with pytest.raises(ContentMissing, match="datalad get"), contents.using(name):
                pass
        for name in ("does without", "too", "saves work", "00"):
            with contents.using(name):
                pass
    assert caplog.text.count(f"going on without a sound: {gone}") == 1


def test_of_what_nobody_needs_any_more_nothing_is_fetched_or_said(archive, sounds, caplog) -> None:
    sound = sounds["00"]
    needs = [
        Needed("sound", sound=lambda: sound, requires_sound=False),
        Needed("saves work", useful=[sounds["01"]]),
    ]
    with Fetcher(needs, used(archive)) as contents:
        contents.stop_waiting()
        for name in ("sound", "saves work"):
            with contents.using(name):
                pass
    assert count_here(sounds) == 0
    assert caplog.text == ""
