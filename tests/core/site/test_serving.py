"""`badc report --serve`: which files it gives away, and how, asked over real HTTP."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest
from support.commands import BADC, run_badc
from support.finished_dataset import MARSH_1, copy_finished

from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.site.serving import HOST, PageServer, find_range


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return copy_finished(tmp_path_factory, tmp_path_factory.mktemp("served") / "my birds")


@contextmanager
def serving(dataset):
    with PageServer(dataset) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(dataset):
    with serving(dataset) as running:
        yield running


def ask(server, address, method="GET", **headers):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, address, headers=named)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def address_of(dataset, path):
    return f"/{quote(dataset.below(path))}"


def test_the_page_of_the_dataset_and_all_that_it_links_to_can_be_read(server, dataset):
    status, headers, _ = ask(server, "/")
    assert (status, headers["Location"]) == (302, "/artifacts/corpus/report.html")
    status, headers, page = ask(server, headers["Location"])
    assert status == 200
    assert page == dataset.corpus.html.read_bytes()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    links = set(re.findall(r'<a [^>]*href="([^"#]+)', page.decode()))
    assert any(MARSH_1 in one for one in links)
    for one in links:
        path = os.path.normpath(f"/artifacts/corpus/{one}")
        assert ask(server, path)[0] == 200, one


def test_it_listens_on_this_machine_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address(server.dataset.corpus.html) == (
        f"http://127.0.0.1:{server.server_port}/artifacts/corpus/report.html"
    )


def test_nothing_else_of_the_dataset_is_given_away(server, dataset):
    (dataset.root / "secret.html").write_text("no page of ours")
    (dataset.corpus.folder / ".hidden.html").write_text("no page of ours")
    recording = next((dataset.root / "audio").rglob("*.wav"))
    private = [
        *(dataset.root / "badc.toml", dataset.root / "secret.html", recording),
        *(dataset.corpus.duckdb, dataset.corpus.parts, dataset.detections(MARSH_1)),
        *(dataset.corpus.folder / ".hidden.html", dataset.registry),
        dataset.recording(MARSH_1),
    ]
    for path in private:
        assert path.is_file()
        assert ask(server, address_of(dataset, path))[0] == 404, path
    for folder in ("/artifacts/corpus/", "/artifacts/corpus", "/artifacts/", "/audio/"):
        assert ask(server, folder)[0] == 404, folder


@pytest.mark.parametrize(
    "address",
    [
        "/artifacts/corpus/../../secret.html",
        "/artifacts/corpus/%2e%2e/%2e%2e/secret.html",
        "/artifacts/corpus/..%2f..%2fsecret.html",
        "/artifacts/corpus/..%5c..%5csecret.html",
        "/artifacts/corpus/%00report.html",
        "/artifacts/corpus//report.html",
        "/artifacts/corpus/" + "long" * 200 + ".html",
        "/artifacts/corpus/report.html/",
    ],
)
def test_no_way_of_writing_an_address_leads_out(server, dataset, address):
    (dataset.root / "secret.html").write_text("no page of ours")
    assert ask(server, address)[0] == 404


def test_a_link_that_leads_outside_is_refused_and_one_inside_is_followed(server, dataset, tmp_path):
    outside = tmp_path / "outside.html"
    outside.write_text("somebody else's")
    folder = dataset.corpus.folder
    for name, target in (
        ("out.html", outside),
        ("in.html", "report.html"),
        ("loop.html", "loop.html"),
    ):
        (folder / name).symlink_to(target)
    (folder / "elsewhere").symlink_to(tmp_path)
    (folder / "config.html").symlink_to(dataset.root / "badc.toml")
    for name in ("out.html", "loop.html", "elsewhere/outside.html", "config.html"):
        assert ask(server, f"/artifacts/corpus/{name}")[0] == 404, name
    assert ask(server, "/artifacts/corpus/in.html")[0] == 200


def test_a_folder_of_results_on_another_disk_is_served(dataset, tmp_path):
    copy = Dataset.open(shutil.copytree(dataset.root, tmp_path / "copy", symlinks=True))
    shutil.move(copy.artifacts, tmp_path / "disk")
    copy.artifacts.symlink_to(tmp_path / "disk")
    with serving(copy) as server:
        assert ask(server, "/artifacts/corpus/report.html")[0] == 200


def git(dataset, *words):
    subprocess.run(["git", *words], cwd=dataset.root, check=True, capture_output=True)


def test_an_annexed_page_is_served_and_one_whose_content_is_elsewhere_is_explained(
    dataset, tmp_path
):
    copy = Dataset.open(shutil.copytree(dataset.root, tmp_path / "copy", symlinks=True))
    for words in (
        ["git", "init", "-q"],
        ["git", "annex", "init", "-q"],
        ["git", "annex", "add", "-q", "."],
    ):
        subprocess.run(words, cwd=copy.root, check=True, capture_output=True)
    assert copy.corpus.html.is_symlink()
    page = copy.corpus.html.read_bytes()
    with serving(copy) as server:
        address = address_of(copy, copy.corpus.html)
        assert ask(server, address)[2] == page
        assert (
            ask(server, f"/{quote(os.path.relpath(copy.corpus.html.resolve(), copy.root))}")[0]
            == 404
        )
        drop = ["git", "annex", "drop", "-q", "--force", copy.corpus.html]
        subprocess.run(drop, cwd=copy.root, check=True, capture_output=True)
        status, _, explained = ask(server, address)
    assert status == 404
    assert b"datalad get" in explained


def test_parts_of_a_sound_are_sent_as_browsers_ask_for_them(server, dataset):
    clip = dataset.reviews.queue("q").clips / "one.wav"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(bytes(range(200)))
    address = address_of(dataset, clip)
    status, headers, content = ask(server, address, Range="bytes=10-19")
    assert (status, content) == (206, bytes(range(10, 20)))
    assert headers["Content-Range"] == "bytes 10-19/200"
    assert headers["Content-Type"] == "audio/wav"
    assert ask(server, address, Range="bytes=190-")[2] == bytes(range(190, 200))
    assert ask(server, address, Range="bytes=-5")[2] == bytes(range(195, 200))
    status, headers, _ = ask(server, address, Range="bytes=200-")
    assert (status, headers["Content-Range"]) == (416, "bytes */200")
    stale = ask(server, address, Range="bytes=10-19", If_Range="Mon, 01 Jan 2001 00:00:00 GMT")
    assert (stale[0], len(stale[2])) == (200, 200)
    status, headers, content = ask(server, address, "HEAD")
    assert (status, headers["Content-Length"], content) == (200, "200", b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=5-999", range(5, 10)),
        ("bytes=-999", range(10)),
        ("bytes=7-3", None),
        ("bytes=0-1,4-5", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(header, expected):
    assert find_range(header, 10) == expected


def test_it_can_only_be_read(server, dataset):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(server, "/artifacts/corpus/report.html", method)[0] == 501
    assert dataset.corpus.html.is_file()


def test_a_page_of_another_site_cannot_read_along(server):
    for host in ("evil.example", f"evil.example:{server.server_port}", ""):
        assert ask(server, "/artifacts/corpus/report.html", Host=host)[0] == 421
    assert ask(server, "/artifacts/corpus/report.html", Host="localhost:9999")[0] == 200


def test_a_port_in_use_is_said(server, dataset):
    with pytest.raises(OptionInvalid, match=f"port {server.server_port}"):
        PageServer(dataset, server.server_port)


def start(dataset, *words, **environment):
    return subprocess.Popen(
        [BADC, "report", dataset.root, *words],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_cleanly(dataset, number):
    running = start(dataset, "--serve")
    line = running.stderr.readline()
    address = re.search(r"http://\S+", line)[0]
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", urlsplit(address).path)
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read()
    running.send_signal(number)  # while the browser keeps its connection open
    out, errors = running.communicate(timeout=60)
    connection.close()
    assert running.returncode == 0
    assert errors == "Stopped.\n"
    assert "Report: " in out


def test_the_page_is_opened_in_the_browser_that_is_wanted(dataset, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    opened = start(dataset, "--open", BROWSER=f"{browser} %s")
    _, errors = opened.communicate(timeout=60)
    assert opened.returncode == 0, errors
    assert (tmp_path / "opened").read_text().strip() == dataset.corpus.html.as_uri()


def test_where_there_is_no_screen_one_sentence_says_so(dataset, monkeypatch):
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    blind = run_badc("report", dataset.root, "--open", folder=dataset.root, code=1)
    assert "there is no screen here" in blind.stderr
    assert "--serve" in blind.stderr
    assert len(blind.stderr.splitlines()) == 1
    assert "Report: " in blind.stdout


def test_a_request_that_names_no_host_properly_is_answered(server):
    assert ask(server, "/artifacts/corpus/report.html", Host="[")[0] == 400
