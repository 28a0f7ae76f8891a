import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from badc_core.recordings.identity import MAX_ID_LENGTH, assign_ids, below_root

NAMES = st.text(st.sampled_from("abAB01._+- 'é\u0301ßñ鳥_"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.builds(
    lambda folders, name, ending: "/".join(["audio", *folders, f"{name}.{ending}"]),
    st.lists(NAMES, max_size=4),
    NAMES,
    st.sampled_from(["wav", "WAV", "flac"]),
)
SAFE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")


def test_a_unique_stem_is_the_name() -> None:
    assert assign_ids(["audio/S1/a.wav"], {}) == {"audio/S1/a.wav": "a"}


def test_two_new_files_with_one_stem_are_both_named_by_their_folders() -> None:
    ids = assign_ids(["audio/S1/a.wav", "audio/S2/A.wav"], {})
    assert ids == {"audio/S1/a.wav": "S1__a", "audio/S2/A.wav": "S2__A"}


def test_as_few_folders_as_needed_tell_files_apart() -> None:
    paths = ["audio/X/S1/Data/a.wav", "audio/X/S2/Data/a.wav", "audio/X/S1/Other/a.wav"]
    assert list(assign_ids(paths, {}).values()) == ["S1__Data__a", "Other__a", "S2__Data__a"]


def test_a_name_once_given_stays_when_a_rival_comes() -> None:
    ids = assign_ids(["audio/S2/a.wav"], {"a": "audio/S1/a.wav"})
    assert ids == {"audio/S2/a.wav": "S2__a"}


def test_a_third_rival_gets_no_bare_stem() -> None:
    taken = {"S1__a": "audio/S1/a.wav", "S2__a": "audio/S2/a.wav"}
    assert assign_ids(["audio/S3/a.wav"], taken) == {"audio/S3/a.wav": "S3__a"}


def test_files_that_differ_in_their_ending_get_a_hash() -> None:
    ids = assign_ids(["audio/S1/a.wav", "audio/S1/a.flac"], {})
    assert all(re.fullmatch(r"S1__a-[0-9a-f]{8}", name) for name in ids.values())
    assert len(set(ids.values())) == 2


def test_letters_that_cannot_stand_in_a_name_are_replaced_and_hashed() -> None:
    (name,) = assign_ids(["audio/Sambaa K'e/dawn chorus.wav"], {}).values()
    assert re.fullmatch(r"dawn_chorus-[0-9a-f]{8}", name)


def test_a_name_is_the_same_in_both_unicode_forms() -> None:
    composed = "audio/Montréal.wav"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    one, other = assign_ids([composed], {}), assign_ids([decomposed], {})
    assert list(one.values()) == list(other.values())


def test_a_slug_that_is_another_files_stem_is_not_given_twice() -> None:
    paths = ["audio/S1__a.wav", "audio/S1/a.wav", "audio/S2/a.wav"]
    assert len(set(assign_ids(paths, {}).values())) == 3


def test_the_deepest_root_is_taken_off() -> None:
    assert below_root("audio/extra/a/b.wav", ("audio", "audio/extra")) == "a/b.wav"


@given(st.lists(PATHS, max_size=12, unique=True), st.lists(PATHS, max_size=12, unique=True))
def test_names_are_unique_safe_and_never_change(first: list[str], later: list[str]) -> None:
    given_first = assign_ids(first, {})
    taken = {name: path for path, name in given_first.items()}
    given_later = assign_ids(later, taken)
    assert set(given_later) == set(later) - set(first)
    names = [*given_first.values(), *given_later.values()]
    assert len({name.lower() for name in names}) == len(names)
    assert all(SAFE.fullmatch(name) and len(name) <= MAX_ID_LENGTH for name in names)


@given(st.lists(PATHS, max_size=12, unique=True), st.randoms())
def test_names_do_not_depend_on_the_order_of_the_files(paths: list[str], random) -> None:
    shuffled = list(paths)
    random.shuffle(shuffled)
    assert assign_ids(paths, {}) == assign_ids(shuffled, {})


@given(st.text(st.sampled_from("aé. -"), min_size=1, max_size=400))
def test_no_name_is_too_long_or_starts_badly(stem: str) -> None:
    for name in assign_ids([f"audio/{stem}.wav"], {}).values():
        assert len(name) <= MAX_ID_LENGTH
        assert name[0] not in ".-"
