"""A web interface that is open shows datasets as they come and go, without a restart."""

import shutil

import pytest
from support.commands import run_badc
from support.waiting import wait_until
from support.web_server import WebServer

from badc_dagster.web_interface import reload_web_interface

_ASSETS = "{ assetNodes { groupName assetKey { path } } }"


@pytest.fixture
def web(environment, tmp_path):
    home = tmp_path / "dagster_home"
    server = WebServer(
        tmp_path,
        {**environment, "DAGSTER_HOME": str(home)},
        "dagster-webserver",
        "-m",
        "badc_dagster",
    )
    yield server
    server.stop()


@pytest.mark.slow
def test_datasets_appear_and_go_without_a_restart(field_audio, tmp_path, request, monkeypatch):
    for name in ("pond", "lake"):
        (tmp_path / name / "audio").mkdir(parents=True)
        shutil.copy(field_audio / "aru_1.wav", tmp_path / name / "audio")
    home = tmp_path / "dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    run_badc("data", "connect", tmp_path / "pond", folder=tmp_path)
    web = request.getfixturevalue("web")
    wait_until(web.is_up, 120)

    def groups():
        nodes = web.ask(_ASSETS)["assetNodes"]
        paths = {one["groupName"]: one["assetKey"]["path"][:-1] for one in nodes}
        return {name: path for name, path in paths.items() if name.partition("_")[0] == name}

    assert groups() == {"pond": []}
    run_badc("data", "connect", tmp_path / "lake", folder=tmp_path)
    run_badc("data", "disconnect", "pond", folder=tmp_path)
    assert not reload_web_interface(tmp_path / "dagster", web.port)
    assert groups() == {"pond": []}
    assert reload_web_interface(home, web.port)
    assert groups() == {"lake": ["lake"]}
    web.stop()
    assert not reload_web_interface(home, web.port)
