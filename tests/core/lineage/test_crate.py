"""A corpus as an RO-Crate: complete, small, and valid."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pytest
import rocrate
from support.archives import run_in
from support.built_once import build_once
from support.commands import run_badc
from support.finished_dataset import GOOD, MARSH_1, copy_finished

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, OutputUnwritable
from badc_core.hashing import sha256_file
from badc_core.lineage.crate import export_crate

_REPOSITORY = Path(__file__).resolve().parents[3]
_VALIDATOR = _REPOSITORY / ".venv-crate" / "bin"

# The validator fetches the specification's context from the web; the package rocrate has it.
_FILL_CACHE = """
import io, sys
from pathlib import Path
from urllib.parse import unquote
import urllib3
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession

class FromFile(HTTPAdapter):
    def send(self, request, **_):
        body = io.BytesIO(Path(sys.argv[2]).read_bytes())
        named = {"preload_content": False, "request_url": request.url}
        headers = {"Content-Type": "application/ld+json"}
        return self.build_response(request, urllib3.HTTPResponse(body, headers, 200, **named))

session = CachedSession(cache_name=sys.argv[1], backend="sqlite")
session.mount("https://", FromFile())
session.get("https://w3id.org/ro/crate/1.3/context")
"""


@pytest.fixture(scope="session")
def committed(tmp_path_factory) -> Path:
    """Returns a dataset with a corpus, committed."""

    def build(folder: Path) -> None:
        copy_finished(tmp_path_factory, folder)
        run_in(folder, "git", "init", "--quiet")
        run_in(folder, "git", "add", ".")
        run_in(folder, "git", "commit", "--quiet", "-m", "Results")

    return build_once(tmp_path_factory, "crate-dataset", build)


def entities(crate: Path) -> dict[str, dict]:
    content = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    return {one["@id"]: one for one in content["@graph"]}


def test_a_crate_has_results_inputs_software_settings_people_and_licences(committed, tmp_path):
    dataset = Dataset.open(committed)
    licence = "https://creativecommons.org/licenses/by/4.0/"
    written = export_crate(dataset, tmp_path / "crate", licence)
    assert (written.n_recordings, written.unknown) == (3, ())
    found = entities(tmp_path / "crate")
    root, run = found["./"], found["#run"]
    assert root["license"] == {"@id": licence}
    assert found[root["author"]["@id"]] == {
        "@id": "#person-1",
        "@type": "Person",
        "name": "A Tester",
    }
    assert "tester@example.org" not in json.dumps(found)
    assert root["version"] == run_in(committed, "git", "rev-parse", "HEAD").strip()
    assert root["mentions"] == {"@id": "#run"}
    required = [
        found[one["@id"]] for one in found[run["instrument"]["@id"]]["softwareRequirements"]
    ]
    names = {one["name"]: one["version"] for one in required}
    assert names.keys() == {"band_energy", "duckdb", "numpy", "pyarrow", "soundfile"}
    settings = found["#settings-1"]
    assert "min_score 0.25" in settings["description"]
    assert {"@id": "#settings-1"} in run["object"]
    assert {"@id": "corpus.duckdb"} in run["result"]
    for one in root["hasPart"]:
        assert found[one["@id"]]["sha256"] == sha256_file(tmp_path / "crate" / unquote(one["@id"]))
    with (tmp_path / "crate" / "recordings_analysed.csv").open(encoding="utf-8") as file:
        rows = {row["recording_id"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {*GOOD}
    sound = dataset.audio(f"audio/MARSH/{MARSH_1}.wav")
    assert rows[MARSH_1]["sha256"] == sha256_file(sound)


def test_a_crate_is_valid(committed, tmp_path, lacking):
    if not (_VALIDATOR / "rocrate-validator").exists():
        lacking("roc-validator: make crate-validator")
    crate, cache = tmp_path / "crate", tmp_path / "cache"
    export_crate(Dataset.open(committed), crate)
    context = Path(rocrate.__file__).with_name("data") / "ro-crate.jsonld"
    subprocess.run([_VALIDATOR / "python", "-c", _FILL_CACHE, cache, context], check=True)
    words = ("validate", "--offline", "--cache-path", cache, "--no-paging", "-v", crate)
    validated = subprocess.run(
        [_VALIDATOR / "rocrate-validator", "-y", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stdout[-5000:]
    assert "is a valid" in validated.stdout


@pytest.fixture
def own(committed, tmp_path) -> Path:
    """Returns a copy of the dataset, in a folder of a repository with others."""
    shutil.copytree(committed, tmp_path / "all" / "pond", ignore=shutil.ignore_patterns(".git"))
    run_in(tmp_path / "all", "git", "init", "--quiet")
    run_in(tmp_path / "all", "git", "add", ".")
    run_in(tmp_path / "all", "git", "commit", "--quiet", "-m", "Results")
    return tmp_path / "all" / "pond"


def commit_as(name: str, path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("\n")
    run_in(path.parent, "git", "add", path.name)
    run_in(path.parent, "git", "commit", "--quiet", f"--author={name} <{name}@x.org>", "-m", "More")


def test_whoever_committed_the_corpus_ran_it_and_people_elsewhere_did_nothing(own, tmp_path):
    for _ in range(2):
        commit_as("Neighbour", own.parent / "notes.txt")
        commit_as("Helper", own / "badc.toml")
    export_crate(Dataset.open(own), tmp_path / "crate")
    found = entities(tmp_path / "crate")
    authors = [found[one["@id"]]["name"] for one in found["./"]["author"]]
    assert authors == ["Helper", "A Tester"]
    assert found[found["#run"]["agent"]["@id"]]["name"] == "A Tester"


def test_stations_may_be_outside_and_no_cell_is_a_formula(own, tmp_path):
    stations = tmp_path / "stations.csv"
    stations.write_text("location\nMARSH\n", encoding="utf-8")
    with duckdb.connect(own / "artifacts" / "corpus" / "corpus.duckdb") as corpus:
        corpus.execute("UPDATE recordings SET location = '=1+1'")
    dataset = Dataset.open(own, {"recordings": {"deployments": str(stations)}})
    export_crate(dataset, tmp_path / "crate")
    added = entities(tmp_path / "crate")["stations.csv"]
    assert (added["name"], added["description"]) == ("stations.csv", "The stations.")
    with (tmp_path / "crate" / "recordings_analysed.csv").open(encoding="utf-8") as file:
        assert {row["location"] for row in csv.DictReader(file)} == {"'=1+1"}


def test_the_command_warns_without_a_licence_and_needs_a_corpus(committed, tmp_path):
    done = run_badc("data", "export-crate", committed, tmp_path / "crate", folder=tmp_path)
    assert "RO-Crate of 3 recordings" in done.stdout
    assert "no licence was chosen" in done.stderr
    assert entities(tmp_path / "crate")["#licence"]["name"].startswith("No licence was chosen")
    shutil.copytree(committed / "audio", tmp_path / "new" / "audio")
    failed = run_badc("data", "export-crate", "new", "crate", folder=tmp_path, code=1)
    assert "there is no corpus yet" in failed.stderr


def test_a_corpus_without_its_page_is_no_crate(own, tmp_path):
    Dataset.open(own).corpus.html.unlink()
    failed = run_badc("data", "export-crate", own, tmp_path / "crate", folder=tmp_path, code=1)
    assert "report.html: the corpus has no page. Run: badc run" in failed.stderr
    assert not (tmp_path / "crate").exists()


def test_without_the_package_the_extra_is_named(committed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    with pytest.raises(BadcError, match=r"pip install 'badc\[lineage\]'"):
        export_crate(Dataset.open(committed), tmp_path / "crate")


def test_only_an_older_crate_is_replaced(committed, tmp_path):
    dataset, folder = Dataset.open(committed), tmp_path / "crate"
    folder.mkdir()
    export_crate(dataset, folder, "ours")
    export_crate(dataset, folder)
    (folder / "notes.txt").write_text("rain")
    (tmp_path / "file").write_text("not a folder")
    shutil.copytree(committed, tmp_path / "copy", symlinks=True)
    shutil.copyfile(folder / "ro-crate-metadata.json", tmp_path / "copy/ro-crate-metadata.json")
    for place, why in (
        (folder, r"notes\.txt in it is not of a crate"),
        (tmp_path / "file", "is there already, and no folder"),
        (tmp_path / "copy", "in it is not of a crate"),
    ):
        before = {one: one.lstat().st_mtime_ns for one in place.rglob("*")}
        with pytest.raises(OutputUnwritable, match=why):
            export_crate(dataset, place)
        assert {one: one.lstat().st_mtime_ns for one in place.rglob("*")} == before
    assert (tmp_path / "file").read_text() == "not a folder"
    run_badc("data", "export-crate", committed, ".", folder=tmp_path, code=1)
    (tmp_path / "empty").mkdir()
    run_badc("data", "export-crate", committed, ".", folder=tmp_path / "empty")
    assert entities(tmp_path / "empty")["#badc"]
