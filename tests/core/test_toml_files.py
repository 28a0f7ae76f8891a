"""Settings files as editors of all kinds write them, and spoilt in all ways."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from badc_core.errors import ConfigInvalid
from badc_core.settings import load_settings
from badc_core.toml_files import read_toml, render_toml

TEXT = '[report]\ntop_labels = 7\n[recordings]\nroots = ["Été"]\n'


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
    ],
)
def test_settings_are_read_with_or_without_a_byte_order_mark(tmp_path: Path, content) -> None:
    path = tmp_path / "badc.toml"
    path.write_bytes(content)
    settings = load_settings(path)
    assert (settings.report.top_labels, settings.recordings.roots) == (7, ("Été",))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (TEXT.encode("utf-16-le"), "not valid TOML"),
        (b"\xff\xfea", "not UTF-8 text"),
        ("# \xe9".encode("latin-1"), "not UTF-8 text"),
        (b"[report]\ntop_labels = " + b"9" * 5000, "a number or a date in it is out of range"),
        (b"[report]\ntop_labels = " + b"9" * 400, "out of range"),
        (b"[inference]\ntimeout_s = " + b"9" * 400, "out of range"),
        (b"a = " + b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (b"a = " + b"{b=" * 20_000 + b"1" + b"}" * 20_000, "too deep"),
        (b"a" + b".a" * 5_000 + b" = 1", "a"),
        (b"a = 2024-02-30", "not valid TOML"),
        (b"\0", "not valid TOML"),
    ],
    ids=range(11),
)
def test_a_spoilt_settings_file_is_one_clear_error(tmp_path: Path, content, what) -> None:
    path = tmp_path / "badc.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"badc\.toml") as caught:
        load_settings(path)
    assert what in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_an_unreadable_settings_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "badc.toml").mkdir()
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_settings(tmp_path / "badc.toml")
    (tmp_path / "turn.toml").symlink_to("turn.toml")
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_settings(tmp_path / "turn.toml")


def test_tables_are_written_so_that_they_are_read_back(tmp_path):
    content = {
        "version": 1,
        "dataset": [{"name": "a", "is_main": True}, {"name": 'é\x7f\n\t"\\', "sizes": [1, 2.5]}],
        "datasets": {
            "with space": {"path": "/x", "more": {"at": datetime(2025, 1, 2, tzinfo=UTC)}}
        },
        "empty": {},
    }
    (tmp_path / "a.toml").write_text(render_toml(content), encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == content
