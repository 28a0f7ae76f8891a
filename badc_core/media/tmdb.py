"""Stage 2, tmdb: what The Movie Database knows of a film: title, year, cast and crew.

Source: https://developer.themoviedb.org/reference (search/movie, movie/{id}, append_to_response;
keys of version 3 in the query, of version 4 as a bearer token).
"""

import json
import os
import re
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from badc_core.errors import ConfigInvalid
from badc_core.json_texts import parse_object
from badc_core.media.documents import write_document
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult, Skipped
from badc_core.media_settings import MediaSettings

URL = "https://api.themoviedb.org/3"
KEY_VARIABLE = "TMDB_API_KEY"
_TIMEOUT_S = 20
_MOST_BYTES = 16 * 1024 * 1024
_UNAUTHORIZED = 401
_YEAR_IN_NAME = re.compile(r"[ ._(\[-]+((?:18[7-9]|19\d|20\d)\d)[)\]]?(?:[ ._-].*)?$")


class _NoAnswer(Exception):
    """TMDB gives no answer that can be used; the text says why."""


def run(folder: MediaFolder, settings: MediaSettings, url: str = URL) -> MediaEnd:
    """Writes what TMDB knows of the film whose title the settings or the file's name give.

    Args:
        folder: the video's.
        settings: title and year.
        url: where TMDB is.

    Raises:
        ConfigInvalid: TMDB refuses the key.
        StorageFull, OutputUnwritable: the answer cannot be written.
    """
    discard(folder.tmdb)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return Skipped(f"there is no key for TMDB in {KEY_VARIABLE}")
    title, year = find_title(folder, settings)
    try:
        found = _Client(url, key).find(title, year)
    except _NoAnswer as error:
        return Skipped(str(error))
    if found is None:
        return Skipped(f"TMDB knows no film called {title}{f' of {year}' if year else ''}")
    write_document(folder.tmdb, found)
    return MediaResult(
        {"tmdb_data": MediaOutput(folder.tmdb, "What TMDB knows of the film")},
        {
            "tmdb_id": found["tmdb_id"],
            "title": found["title"],
            "year": found["year"],
            "cast_count": len(found["cast"]),
            "crew_count": len(found["crew"]),
        },
    )


def find_title(folder: MediaFolder, settings: MediaSettings) -> tuple[str, int | None]:
    """Returns the title and year of the settings, else of the file's name: `A_Film_(1999).mkv`."""
    stem, year = folder.video.stem, settings.year
    if match := _YEAR_IN_NAME.search(stem):
        stem, year = stem[: match.start()], year or int(match[1])
    return settings.title or " ".join(re.sub(r"[._]+", " ", stem).split()), year


class _Client:
    def __init__(self, url: str, key: str) -> None:
        is_token = "." in key
        self._url = url
        self._query: dict[str, str] = {} if is_token else {"api_key": key}
        self._headers = {"Accept": "application/json"}
        if is_token:
            self._headers["Authorization"] = f"Bearer {key}"

    def find(self, title: str, year: int | None) -> dict[str, Any] | None:
        """Returns what is written of the best match; None where there is none."""
        wanted = {"query": title, **({"year": str(year)} if year else {})}
        matches = self._ask("/search/movie", wanted).get("results")
        if not matches:
            return None
        try:
            number = int(matches[0]["id"])
            return _select(self._ask(f"/movie/{number}", {"append_to_response": "credits"}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _NoAnswer(f"TMDB's answer is not understood ({error!r})") from error

    def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Returns an answer; no error names the address, which may hold the key."""
        address = f"{self._url}{path}?{urlencode({**self._query, **query})}"
        request = Request(address, headers=self._headers)  # noqa: S310  (https, or a test's)
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return parse_object(answer.read(_MOST_BYTES))
        except HTTPError as error:
            error.close()
            if error.code == _UNAUTHORIZED:
                what = "TMDB refuses the key"
                raise ConfigInvalid(what, KEY_VARIABLE, "Check the key") from None
            raise _NoAnswer(f"TMDB answers {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise _NoAnswer(f"TMDB cannot be reached ({reason})") from None
        except json.JSONDecodeError:
            raise _NoAnswer("TMDB's answer is not JSON") from None
        except ValueError as error:
            raise _NoAnswer(f"TMDB's answer is not understood ({error})") from None


def _select(film: dict[str, Any]) -> dict[str, Any]:
    people = film.get("credits") or {}
    return {
        "tmdb_id": int(film["id"]),
        "title": str(film["title"]),
        "original_title": str(film.get("original_title") or film["title"]),
        "year": int(str(film.get("release_date") or "0")[:4]),
        "overview": str(film.get("overview") or ""),
        "cast": [
            {"name": str(one["name"]), "character": str(one.get("character") or "")}
            for one in people.get("cast") or []
        ],
        "crew": [
            {"name": str(one["name"]), "job": str(one.get("job") or "")}
            for one in people.get("crew") or []
        ],
    }
