"""Chromium, driven by real keys; nothing is downloaded, the system's own is used."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_browser(lacking: Callable[[str], NoReturn]) -> Iterator[Any]:
    """Yields a browser without a window; skips the test where there is none.

    Args:
        lacking: what ends a test that cannot run here.
    """
    program = next((path for one in BROWSERS if (path := shutil.which(one))), None)
    if program is None:
        lacking("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  (may not be there)
    except ImportError:
        lacking("the package playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
