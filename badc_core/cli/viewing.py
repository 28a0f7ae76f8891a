"""Opening report pages in a browser, and serving them to one (`site/serving.py`)."""

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from badc_core.cli.output import Output
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ProgramMissing
from badc_core.options import OptionSpec
from badc_core.provenance.fetching import require_fetched_all
from badc_core.site.serving import HOST, PageServer

_MOST_PORT = 65_535
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables of which one is set where a browser has a screen, or somebody wants a certain one."""


@dataclass(frozen=True)
class ViewOptions:
    """How report pages are looked at."""

    open_page: Annotated[
        bool, OptionSpec("Open the report page in a browser.", option="--open")
    ] = False
    serve: Annotated[
        bool,
        OptionSpec("Serve the pages to browsers on this machine, until Ctrl-C.", option="--serve"),
    ] = False
    port: Annotated[
        int | None,
        OptionSpec(
            "Port to serve at.",
            "that of web_interface.reports_url, or any free one",
            least=1,
            most=_MOST_PORT,
        ),
    ] = None


def view_page(dataset: Dataset, page: Path, view: ViewOptions, out: Output) -> None:
    """Opens a report page in a browser and serves the pages, as far as was asked for.

    Args:
        dataset: whose pages.
        page: the one to be opened.
        view: what was asked for.
        out: where the address is printed.

    Raises:
        ContentMissing: the page is annexed, and could not be fetched.
        OptionInvalid: nothing can be served at that port.
        ProgramMissing: there is no browser, or no screen for it.
    """
    if view.open_page or view.serve:
        require_fetched_all([page])
    if not view.serve:
        if view.open_page:
            _open(page.as_uri(), page)
        return
    with PageServer(dataset, view.port or _usual_port(dataset)) as server:
        address = server.address(page)
        out.remark(f"Serving at {address} (end with Ctrl-C)")
        if view.open_page:
            _open(address, page)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            out.remark("Stopped.")


def _usual_port(dataset: Dataset) -> int:
    """Returns the port at which links in the web interface expect the pages; 0 if at none here."""
    usual = urlsplit(dataset.settings.web_interface.reports_url)
    return usual.port or 0 if usual.hostname in (HOST, "localhost") else 0


def _open(address: str, page: Path) -> None:
    has_screen = sys.platform != "linux" or any(os.environ.get(one) for one in _SCREENS)
    if not (has_screen and webbrowser.open(address)):
        what = "there is no browser to open it in" if has_screen else "there is no screen here"
        remedy = "Copy the page to a machine with a browser, or use --serve and an ssh tunnel to it"
        raise ProgramMissing(what, page, remedy)
