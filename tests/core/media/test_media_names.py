"""Names are found in texts by rule, and misheard ones are corrected."""

import json
import sys

import pytest
from rapidfuzz import fuzz

from badc_core.errors import PackageMissing
from badc_core.media import post_ner, pre_ner
from badc_core.media.documents import Entity, Transcript, Utterance, Word, write_document
from badc_core.media.entities import find_names
from badc_core.media.post_ner import correct
from badc_core.media_settings import MediaSettings

FILM = {
    "tmdb_id": 7,
    "title": "The Heron",
    "year": 2024,
    "overview": "Every spring, Ada Nygren walks along the Salmon River to Fort Nelson.",
    "cast": [
        {"name": "Maria Voss", "character": "Ada Nygren / The Warden (voice)"},
        {"name": "Émile Roux", "character": ""},
    ],
    "crew": [{"name": "Jo Park", "job": "Director"}],
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("We met Ada Nygren at Salmon River.", [("Ada Nygren", "name"), ("Salmon River", "place")]),
        ("The wind was strong. Nobody saw it.", []),
        ("Owls call. Then Émile came with O'Brien.", [("Émile", "name"), ("O'Brien", "name")]),
        ("He saw the Gulf of Mexico and I did not.", [("Gulf of Mexico", "name")]),
        ("From Lake Louise to Lake Louise", [("Lake Louise", "place")]),
        ("", []),
    ],
)
def test_capitalised_words_inside_sentences_are_names(text, names):
    assert [(one.text, one.kind) for one in find_names(text)] == names


def test_the_names_of_a_film_prepare_the_recogniser(folder):
    write_document(folder.tmdb, FILM)
    end = pre_ner.run(folder, MediaSettings(title="The Heron"))
    found = json.loads(folder.pre_ner.read_text())["entities"]
    assert [(one["text"], one["kind"]) for one in found] == [
        ("Ada Nygren", "person"),
        ("The Warden", "person"),
        ("The Heron", "name"),
        ("Salmon River", "place"),
        ("Fort Nelson", "place"),
        ("Maria Voss", "person"),
        ("Émile Roux", "person"),
        ("Jo Park", "person"),
    ]
    counts = {"entity_count": 8, "person_count": 5, "location_count": 2}
    assert end.metadata == counts
    assert folder.ner_prompt.read_text().startswith("Ada Nygren, The Warden, The Heron, Salmon")


def test_without_a_film_or_a_title_there_is_no_prompt_left(folder):
    pre_ner.run(folder, MediaSettings(title="The Heron"))
    assert folder.ner_prompt.is_file()
    end = pre_ner.run(folder, MediaSettings())
    assert end.metadata["entity_count"] == 0
    assert end.outputs.keys() == {"entities"}
    assert not folder.ner_prompt.exists()


def spoken(text):
    words = [
        Word(start_ms=n * 100, end_ms=n * 100 + 90, word=one, probability=0.5)
        for n, one in enumerate(text.split())
    ]
    return Utterance(start_ms=0, end_ms=len(words) * 100, text=text, words=tuple(words))


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ('She said "Ada Nigren," and left.', 'She said "Ada Nygren," and left.'),
        ("At Salmen River we slept.", "At Salmon River we slept."),
        ("The salmon river is long.", "The salmon river is long."),
        ("At SALMON RIVER we slept.", "At SALMON RIVER we slept."),
        ("Adam is here.", "Adam is here."),
        ("It is the Herring.", "It is the Herring."),
    ],
)
def test_only_what_is_nearly_a_known_name_is_corrected(text, corrected):
    known = [
        Entity(text=one, kind="name") for one in ("Ada", "Ada Nygren", "Salmon River", "Heron")
    ]
    corrections = []
    after = correct(spoken(text), known, 85.0, fuzz.ratio, corrections)
    assert after.text == corrected
    assert [one.start_ms for one in after.words] == [one.start_ms for one in spoken(text).words]
    assert len(corrections) == (text != corrected)


def test_corrections_are_counted_and_the_names_spoken_are_listed(folder):
    write_document(folder.tmdb, FILM)
    pre_ner.run(folder, MediaSettings())
    segments = (spoken("Then Ada Nigren saw Whooping Cranes."), spoken("So did Maria Voss."))
    write_document(
        folder.transcript,
        Transcript(language="en", model="m", prompt_source="", segments=segments),
    )
    end = post_ner.run(folder, MediaSettings())
    after = json.loads(folder.post_ner.read_text())
    assert end.metadata["corrections_made"] == 1
    assert after["corrections"][0] == {
        "start_ms": 100, "said": "Ada Nigren", "name": "Ada Nygren", "score": 90.0,
    }  # fmt: skip
    assert after["segments"][0]["text"] == "Then Ada Nygren saw Whooping Cranes."
    names = [one["text"] for one in after["entities"]]
    assert names == ["Ada Nygren", "Maria Voss", "Whooping Cranes"]
    assert end.metadata["entity_count"] == 3


def test_without_rapidfuzz_the_stage_fails_and_leaves_nothing_behind(folder, monkeypatch):
    write_document(
        folder.transcript, Transcript(language="en", model="m", prompt_source="", segments=())
    )
    post_ner.run(folder, MediaSettings())
    assert folder.post_ner.is_file()
    monkeypatch.setitem(sys.modules, "rapidfuzz.fuzz", None)
    with pytest.raises(PackageMissing, match=r"rapidfuzz is not .* install 'badc\[media\]'"):
        post_ner.run(folder, MediaSettings())
    assert not folder.post_ner.exists()
