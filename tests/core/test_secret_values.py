"""What a secret looks like, and that it is replaced wherever it occurs."""

import base64
import html
import re
from urllib.parse import quote, quote_plus

import pytest

from badc_core.secret_values import MaskedStream, Secrets, is_secret

PLANTED = "hf_3f9ab77c21d0"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HF_TOKEN", "x", True),
        ("tmdb_api_key", "x", True),
        ("api-key", "x", True),
        ("SSH_AUTH_SOCK", "x", True),
        ("GIT_AUTHOR_NAME", "A Tester", False),
        ("AUTHOR", "A Tester", False),
        ("DATABASE_URL", "postgres://me:pw@host", True),
        ("HOMEPAGE", "https://example.org/a", False),
        ("DB_PASS", "x", True),
        ("MYSQL_PWD", "x", True),
        ("OLDPWD", "/home/me", False),
        ("BYPASS", "x", False),
        ("DEPLOY", "-----BEGIN RSA PRIVATE KEY-----\nabc", True),
        ("KEYBOARD", "x", False),
        ("USER_ID", "1", False),
        ("Secretarybird", "0.5", False),
    ],
)
def test_names_and_urls_say_what_is_secret(name, value, expected) -> None:
    assert is_secret(name, value) is expected


def test_secrets_are_replaced_in_every_text() -> None:
    key = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2E\n-----END KEY-----"
    secrets = Secrets(
        {"HF_TOKEN": PLANTED, "DB_URL": "postgres://me:s3cr@host", "SSH_KEY": key, "LANG": "de_DE"},
        {"PIN_TOKEN": "1", "USE_AUTH": "true"},
    )
    found = secrets.mask_json(
        {
            "error": f"401 for {PLANTED}",
            "nested": [{"line": "AAAAB3NzaC1yc2E", "password": "short"}],
            "url": "see https://me:other@host/x",
            PLANTED: "true, 1, de_DE",
            "n": 17,
            "auth": {"value": "hunter22", "more": [{"pin": 4711}], "on": True, "off": None},
            "api_key": 123456,
        }
    )
    assert found == {
        "error": "401 for ***",
        "nested": [{"line": "***", "password": "***"}],
        "url": "see https://***@host/x",
        "***": "true, 1, de_DE",
        "n": 17,
        "auth": {"value": "***", "more": [{"pin": "***"}], "on": True, "off": None},
        "api_key": "***",
    }


def test_a_password_that_is_also_a_folder_leaves_paths_usable() -> None:
    secrets = Secrets({"PGPASSWORD": "badc", "HF_TOKEN": PLANTED})
    assert secrets.mask_path(f"/srv/badc/{PLANTED}.wav") == "/srv/badc/***.wav"
    assert secrets.mask_text("password badc refused") == "password *** refused"


def test_a_secret_is_found_however_programs_encode_it() -> None:
    value = "p+ss w/rd==é<b>"
    forms = [as_printed(value) for as_printed in (quote, quote_plus, html.escape)]
    lower = re.sub("%..", lambda found: found.group().lower(), quote(value))
    forms += [
        quote(value, safe=""),
        lower,
        lower.replace("%20", "+"),
        base64.b64encode(value.encode()).decode(),
    ]
    for form in forms:
        assert Secrets({"HF_TOKEN": value}).mask_text(f"<{form}>") == "<***>"
    short = Secrets({"HF_TOKEN": "é", "PGPASSWORD": "badc\n  \nx"})
    assert (
        short.mask_text(r"caf\u00e9, caf%C3%A9, w6k=, '  '") == r"caf\u00e9, caf%C3%A9, w6k=, '  '"
    )


def test_nothing_secret_changes_nothing() -> None:
    assert Secrets({"TZ": "UTC", "EMPTY_TOKEN": "", "NO_KEY": None}).mask_text("UTC") == "UTC"


def test_a_command_is_recorded_without_the_secrets_that_were_typed() -> None:
    words = ["badc", "run", "a b", "--set", "detector.api_key=k3y-one", "HF_TOKEN=k3y-two"]
    words += ["--tmdb-token", "-k3y-three", "--password=k3y-four", "--keep", "k=v", "--auth"]
    words += ["--url=https://me:k3y-five@host/x", PLANTED]
    shown = Secrets({"HF_TOKEN": PLANTED}).mask_command(words)
    assert shown == (
        "badc run 'a b' --set detector.api_key=*** HF_TOKEN=*** --tmdb-token *** --password=*** "
        "--keep k=v --auth --url=https://***@host/x ***"
    )


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"
FORMS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
    "DB_PASSWORD": "say \"a 'b' c\" twice",
    "UMLAUT_PASSWORD": "grüße-aus-köln-ü",
    "RAW_TOKEN": "not\udcffutf8\udcfe-token",
    "DATABASE_URL": "postgres://me:pw-of-url-55@host/db",
    "DEPLOY": KEY,
}


@pytest.mark.parametrize("n_bytes", [1, 2, 7, 1 << 20])
def test_no_secret_is_cut_where_a_log_comes_in_pieces(n_bytes) -> None:
    text = "".join(f"{name}={value}\r{value}\n" for name, value in FORMS.items()) + KEY
    content = text.encode("utf-8", "surrogateescape")
    stream = MaskedStream(Secrets(FORMS))
    pieces = (content[at : at + n_bytes] for at in range(0, len(content), n_bytes))
    masked = b"".join(map(stream.add, pieces)) + stream.end()
    for value in FORMS.values():
        for line in value.splitlines():
            assert line.encode("utf-8", "surrogateescape") not in masked
    assert b"pw-of-url-55" not in masked
    assert masked.startswith(b"AWS_SECRET_ACCESS_KEY=***\r***\n")


@pytest.mark.parametrize("place", [-40, -20, -1, 0])
def test_no_secret_is_cut_on_a_line_of_megabytes(place) -> None:
    secret = FORMS["UMLAUT_PASSWORD"]
    line = "x" * ((1 << 20) + place) + secret
    content = (line * 3).encode()
    stream = MaskedStream(Secrets(FORMS))
    added = [stream.add(content[at : at + 65_536]) for at in range(0, len(content), 65_536)]
    masked = b"".join(added) + stream.end()
    assert masked == content.replace(secret.encode(), b"***")
    assert any(added)
