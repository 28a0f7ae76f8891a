"""TMDB's client against a server of our own, and without one."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from badc_core.errors import ConfigInvalid
from badc_core.media import tmdb
from badc_core.media.folder import MediaFolder
from badc_core.media.results import Skipped
from badc_core.media_settings import MediaSettings

KEY = "0123456789abcdef"
FILM = {
    "id": 27,
    "title": "The Heron",
    "release_date": "2024-05-01",
    "overview": "A bird.",
    "credits": {
        "cast": [{"name": "Maria Voss", "character": "Ada"}, {"name": "Jo Park"}],
        "crew": [{"name": "Jo Park", "job": "Director"}],
    },
}


class _Stand:
    """A server that answers as TMDB does, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = {
            "/3/search/movie": (200, {"results": [{"id": 27}, {"id": 28}]}),
            "/3/movie/27": (200, FILM),
        }
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                stand.asked.append((parts.path, parse_qs(parts.query), dict(self.headers)))
                code, content = stand.answers[parts.path]
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/3"


@pytest.fixture
def stand(monkeypatch):
    monkeypatch.setenv("TMDB_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    stand = _Stand()
    thread = threading.Thread(target=stand.server.serve_forever, args=(0.01,))
    thread.start()
    yield stand
    stand.server.shutdown()
    thread.join()
    stand.server.server_close()


def test_the_film_of_a_file_name_is_found_with_its_cast(folder, stand):
    film = MediaFolder(folder.video.with_name("The.Heron.(2024).1080p.mkv"), folder.root)
    end = tmdb.run(film, MediaSettings(), stand.url)
    assert end.metadata == {
        "tmdb_id": 27, "title": "The Heron", "year": 2024, "cast_count": 2, "crew_count": 1,
    }  # fmt: skip
    assert end.outputs["tmdb_data"].path == folder.root / "metadata" / "tmdb_data.json"
    written = json.loads(folder.tmdb.read_text())
    assert written["cast"] == [
        {"name": "Maria Voss", "character": "Ada"},
        {"name": "Jo Park", "character": ""},
    ]
    (first, query, _), (second, more, _) = stand.asked
    assert (first, second) == ("/3/search/movie", "/3/movie/27")
    assert query == {"api_key": [KEY], "query": ["The Heron"], "year": ["2024"]}
    assert more["append_to_response"] == ["credits"]


def test_a_token_is_sent_as_a_header_and_the_settings_give_the_title(folder, stand, monkeypatch):
    monkeypatch.setenv("TMDB_API_KEY", "eyJh.eyJz.c2ln")
    tmdb.run(folder, MediaSettings(title="Owls & Co", year=1999), stand.url)
    _, query, headers = stand.asked[0]
    assert query == {"query": ["Owls & Co"], "year": ["1999"]}
    assert headers["Authorization"] == "Bearer eyJh.eyJz.c2ln"


@pytest.mark.parametrize(
    ("code", "content", "reason"),
    [
        (200, {"results": []}, "TMDB knows no film called Field Notes of 2024"),
        (500, {}, "TMDB answers 500 Internal Server Error"),
        (429, {}, "TMDB answers 429 Too Many Requests"),
        (200, b"<html>", "TMDB's answer is not JSON"),
        (200, [1], "TMDB's answer is not understood (must be an object)"),
        (200, {"results": [{}]}, "TMDB's answer is not understood (KeyError('id'))"),
        (200, {"results": 3}, "TMDB's answer is not understood"),
    ],
)
def test_an_answer_of_no_use_skips_the_stage_and_says_why(folder, stand, code, content, reason):
    folder.tmdb.parent.mkdir(parents=True)
    folder.tmdb.write_text("{}")
    stand.answers["/3/search/movie"] = code, content
    end = tmdb.run(folder, MediaSettings(), stand.url)
    assert isinstance(end, Skipped)
    assert end.reason.startswith(reason)
    assert not folder.tmdb.exists()


def test_a_key_that_is_refused_is_an_error_that_does_not_show_it(folder, stand):
    stand.answers["/3/search/movie"] = 401, {}
    with pytest.raises(ConfigInvalid, match="TMDB_API_KEY: TMDB refuses the key") as caught:
        tmdb.run(folder, MediaSettings(), stand.url)
    assert KEY not in str(caught.value)


def test_without_a_key_or_a_server_the_stage_is_skipped(folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TMDB_API_KEY", " ")
    end = tmdb.run(folder, MediaSettings())
    assert end == Skipped("there is no key for TMDB in TMDB_API_KEY")
    monkeypatch.setenv("TMDB_API_KEY", KEY)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        end = tmdb.run(folder, MediaSettings(), f"http://127.0.0.1:{unused.getsockname()[1]}/3")
    assert end.reason.startswith("TMDB cannot be reached (")
    assert KEY not in end.reason


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("The.Heron.2024.1080p.mkv", ("The Heron", 2024)),
        ("the_heron.mp4", ("the heron", None)),
        ("The Heron (1987).mp4", ("The Heron", 1987)),
        ("20240601_053000.wav", ("20240601 053000", None)),
        ("2001 A Walk (1999).mp4", ("2001 A Walk", 1999)),
    ],
)
def test_title_and_year_are_read_from_the_file_name(folder, name, found):
    film = MediaFolder(folder.video.with_name(name), folder.root)
    assert tmdb.find_title(film, MediaSettings()) == found
