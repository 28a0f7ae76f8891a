"""Stage 3, pre_ner: names that may be spoken, to prepare the recogniser. Rules: `entities.py`."""

import re
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from badc_core.atomic import write_text
from badc_core.errors import InputOutdated
from badc_core.media.documents import Entities, Entity, write_document
from badc_core.media.entities import NAME, PERSON, PLACE, find_names, prompt_of, unique
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult
from badc_core.media_settings import MediaSettings

_MOST_PEOPLE = 20
_NOT_SPOKEN = re.compile(r"\((voice|uncredited|.*archive.*)\)", re.IGNORECASE)


class _Person(BaseModel):
    name: str
    character: str = ""


class _Film(BaseModel):
    title: str
    overview: str = ""
    cast: tuple[_Person, ...] = ()
    crew: tuple[_Person, ...] = ()


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:
    """Writes names, and a prompt with them; there is no prompt where no name is known.

    Names are those in the title of the settings and, where tmdb ran, those of the film: its
    characters, its people and what its summary names.

    Raises:
        InputOutdated: what tmdb wrote cannot be read.
        StorageFull, OutputUnwritable: the names cannot be written.
    """
    discard(folder.pre_ner, folder.ner_prompt)
    entities = unique(_names(folder, settings))
    write_document(folder.pre_ner, Entities(entities=entities))
    outputs = {"entities": MediaOutput(folder.pre_ner, "Names that may be spoken")}
    if prompt := prompt_of(entities):
        write_text(folder.ner_prompt, prompt + "\n")
        outputs["prompt"] = MediaOutput(folder.ner_prompt, "What prepares the recogniser")
    return MediaResult(
        outputs,
        {
            "entity_count": len(entities),
            "person_count": sum(one.kind == PERSON for one in entities),
            "location_count": sum(one.kind == PLACE for one in entities),
        },
    )


def _names(folder: MediaFolder, settings: MediaSettings) -> Iterator[Entity]:
    if folder.tmdb.is_file():
        try:
            film = _Film.model_validate_json(folder.tmdb.read_bytes())
        except ValidationError as error:
            what = f"cannot be read ({error.errors()[0]['msg']})"
            raise InputOutdated(what, folder.tmdb, "Run the stage tmdb again") from error
        for one in film.cast[:_MOST_PEOPLE]:
            character = _NOT_SPOKEN.sub("", one.character).strip()
            yield from (Entity(text=name, kind=PERSON) for name in _split(character))
        yield Entity(text=film.title, kind=NAME)
        yield from find_names(film.overview)
        for one in (*film.cast[:_MOST_PEOPLE], *film.crew[:_MOST_PEOPLE]):
            yield Entity(text=one.name, kind=PERSON)
    if settings.title:
        yield Entity(text=settings.title, kind=NAME)


def _split(character: str) -> list[str]:
    """Returns the names of a role: `Jack / The Stranger` has two."""
    return [name.strip() for name in character.split("/") if name.strip()]
