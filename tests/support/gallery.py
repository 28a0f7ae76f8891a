"""A gallery in a browser, with somebody who presses keys."""

import time
from pathlib import Path
from typing import Any

_COUNT_PLAYS = """() => {
    window.plays = [];
    document.addEventListener('keydown', () => window.plays.push(['key', performance.now()]), true);
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
        this.onplaying = () => window.plays.push(['sound', performance.now(), this.src]);
        return play.call(this);
    };
}"""


class Reviewer:
    """Somebody at a gallery.

    Args:
        browser: as `open_browser` yields it.
        page: the gallery's file.
        options: of the browser's window.
    """

    def __init__(self, browser: Any, page: Path, **options: Any) -> None:
        self.errors: list[str] = []
        self.page = browser.new_page(**options)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(page.as_uri())
        self.page.evaluate(_COUNT_PLAYS)

    def press(self, *keys: str) -> None:
        for one in keys:
            self.page.keyboard.press(one)

    def hear_next(self, key: str) -> float:
        """Presses a key, and returns the seconds until the next sound is heard."""
        before = self.page.evaluate("window.plays.length")
        self.press(key)
        self.page.wait_for_function(
            "before => window.plays.slice(before).some(one => one[0] === 'sound')", arg=before
        )
        events = self.page.evaluate("before => window.plays.slice(before)", before)
        pressed = next(one[1] for one in events if one[0] == "key")
        return (next(one[1] for one in events if one[0] == "sound") - pressed) / 1000

    def shown(self, name: str) -> str:
        text: str = self.page.inner_text(f"#{name}")
        return text

    def save(self, folder: Path, key: str = "s") -> Path:
        """Saves the verdicts by a key, and returns the file that the browser wrote."""
        with self.page.expect_download() as waiting:
            self.press(key)
        target = folder / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target

    def violations(self) -> list[str]:
        """Returns what axe-core finds wrong with the page, everything on it opened."""
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  (may not be there)

        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        time.sleep(0.1)
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]
