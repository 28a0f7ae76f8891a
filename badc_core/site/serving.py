"""The pages of a dataset over HTTP, for browsers on this machine; nothing can be changed.

Addresses are the paths of files in the dataset, so that links between pages lead on. Served are
pages, tables and review clips in the folders of reports; never recordings, settings or databases.
"""

import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from badc_core.annexed_files import content_missing, find_root, lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid

HOST = "127.0.0.1"
_OWN_NAMES = ("127.0.0.1", "localhost")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
}
"""What is served, by the ending of its name."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_AT_ONCE_BYTES = 1 << 18
_IDLE_S = 60


class PageServer(ThreadingHTTPServer):
    """A server of one dataset's pages; `serve_forever` answers until it is interrupted."""

    daemon_threads = True

    def __init__(self, dataset: Dataset, port: int = 0) -> None:
        """Begins to listen.

        Args:
            dataset: whose pages.
            port: of this machine; 0: any that is free.

        Raises:
            OptionInvalid: the port is in use, or not for this user.
        """
        self.dataset = dataset
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            what = f"cannot listen on port {port} ({error.strerror})"
            raise OptionInvalid(what, "--port", "Give another port, or none") from error

    def address(self, page: Path) -> str:
        """Returns the address of a page, which need not exist."""
        return page_address(f"http://{HOST}:{self.server_port}", self.dataset, page)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what went wrong, except that a browser wanted no more of an answer."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def page_address(server: str, dataset: Dataset, page: Path) -> str:
    """Returns the address of a page.

    Args:
        server: the address at which the dataset's folder is served.
        dataset: whose page.
        page: its path.
    """
    return f"{server.rstrip('/')}/{quote(dataset.below(page))}"


def find_served(dataset: Dataset, address: str) -> Path | None:
    """Returns the file at an address; None where there is none to be served.

    Args:
        dataset: whose files.
        address: the path of a request, as it came.
    """
    parts = unquote(address, errors="surrogateescape").split("/")[1:]
    if any(one.startswith(".") or "\0" in one or "\\" in one or not one for one in parts):
        return None
    path = dataset.root.joinpath(*parts)
    if path.suffix.lower() not in _TYPES:
        return None
    folders = (dataset.corpus.folder, dataset.aggregate, dataset.reviews.folder)
    folder = next((one for one in folders if path.is_relative_to(one)), None)
    if folder is None or not (lacks_content(path) or os.path.isfile(path)):  # noqa: PTH113  (no errors)
        return None
    # Links may lead to other places of the folder, and to what git-annex keeps of the dataset.
    real, inside = path.resolve(), [folder.resolve()]
    repository = find_root(dataset.root.resolve())
    if repository is not None:
        inside.append((repository / ".git" / "annex" / "objects").resolve())
    return path if any(real.is_relative_to(one) for one in inside) else None


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "BADC"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        """Answers with a file, or the part of it that was asked for."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Answers with what would be said of a file."""
        self._answer(with_content=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Prints nothing: the terminal is for what went wrong."""

    def _answer(self, with_content: bool) -> None:
        dataset = self.server.dataset
        # Another site must not read along by giving this machine's address a name of its own.
        try:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            address = urlsplit(self.path).path
        except ValueError:  # such as one bracket of an IPv6 address
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if host not in _OWN_NAMES:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        if address == "/":
            page = {"Location": f"/{quote(dataset.below(dataset.corpus.html))}"}
            self._begin(HTTPStatus.FOUND, 0, page)
            return
        path = find_served(dataset, address)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="There is no such page")
        elif lacks_content(path):
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"{content_missing(path)}")
        else:
            self._send(path, with_content)

    def _send(self, path: Path, with_content: bool) -> None:
        """Sends a file, or the part of it that was asked for."""
        with path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            last_modified = format_datetime(datetime.fromtimestamp(path.stat().st_mtime, UTC), True)
            headers = {
                "Content-Type": _TYPES[path.suffix.lower()],
                "Accept-Ranges": "bytes",
                "Last-Modified": last_modified,
                "Cache-Control": "no-cache",  # pages are renewed in place
                "X-Content-Type-Options": "nosniff",
            }
            is_same = self.headers.get("If-Range", last_modified) == last_modified
            sent = find_range(self.headers.get("Range", "") if is_same else "", size_bytes)
            if sent is None:
                status, sent = HTTPStatus.OK, range(size_bytes)
            elif sent:
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {sent.start}-{sent.stop - 1}/{size_bytes}"
            else:
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                headers["Content-Range"] = f"bytes */{size_bytes}"
            self._begin(status, len(sent), headers)
            if with_content:
                self._copy(file, sent)

    def _begin(self, status: HTTPStatus, length_bytes: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length_bytes)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _copy(self, file: BinaryIO, sent: range) -> None:
        file.seek(sent.start)
        left_bytes = len(sent)
        while left_bytes and (content := file.read(min(left_bytes, _AT_ONCE_BYTES))):
            self.wfile.write(content)
            left_bytes -= len(content)


def find_range(header: str, size_bytes: int) -> range | None:
    """Returns which bytes of a file were asked for: empty where it has none of them, None: all.

    Args:
        header: the request's `Range`. Of several ranges, and of what is none, nothing is known
            here: then all is the right answer.
        size_bytes: of the file.

    Source: RFC 9110, section 14.
    """
    asked = _RANGE.fullmatch(header.replace(" ", ""))
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        return range(max(0, size_bytes - int(last)), size_bytes)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
