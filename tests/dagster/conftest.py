"""A Dagster home and a dataset of short real recordings, each test's own."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import ScriptDirectory
from support.built_once import build_once
from support.migrations import reading_once

from badc_core.datasets.connections import Connection, connect
from badc_core.datasets.dataset import Dataset
from badc_core.engine import pool
from badc_core.recordings.registry import Registry, read_registry, register_recordings
from badc_core.stages.stage import STAGES
from badc_dagster.dagster_private import close_database_connections
from badc_dagster.definitions import build_defs
from badc_dagster.due import DueFinder, Progress
from badc_dagster.home import open_instance, prepare_home
from badc_dagster.partitions import asset_key, range_tags, recording_partitions, register_keys

QUICK = '[detector]\nname = "band_energy"\nmin_score = 0.1\n'


class Graph:
    """A dataset in the asset graph, and short ways to run things in it.

    Attributes:
        root: the dataset's folder.
        sound: the folder of real recordings that files are copied from.
    """

    def __init__(self, root: Path, connection: Connection, sound: Path) -> None:
        self.root = root
        self.connection = connection
        self.instance = open_instance()
        self.defs = build_defs([connection])
        self.partitions = recording_partitions(connection)
        self._sound = sound

    @property
    def dataset(self) -> Dataset:
        """The dataset under its settings of now."""
        return Dataset.open(self.root)

    def configure(self, more: str, detector: str = QUICK) -> None:
        (self.root / "badc.toml").write_text(detector + more, encoding="utf-8")

    def add(self, path: str, sound: str = "aru_1.wav") -> Path:
        """Returns a new or replaced recording."""
        target = self.root / "audio" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((self._sound / sound).read_bytes())
        return target

    def scan(self) -> Registry:
        registry = register_recordings(self.dataset).registry
        register_keys(self.instance, self.connection, registry.ids)
        return registry

    def key(self, name: str) -> dg.AssetKey:
        return asset_key(self.connection, name)

    def execute(
        self,
        job: str,
        *assets: str,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Mapping[str, object]] | None = None,
    ):
        """Returns the result of a job, of all its assets if none is named.

        Args:
            job: its name.
            assets: of it.
            tags: of the run.
            config: asset -> its configuration.
        """
        ops = {self.key(name).to_python_identifier(): one for name, one in (config or {}).items()}
        return self.defs.resolve_job_def(self.connection.scoped(job)).execute_in_process(
            instance=self.instance,
            tags=dict(tags or {}),
            asset_selection=[self.key(one) for one in assets] or None,
            raise_on_error=False,
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                "ops": {name: {"config": one} for name, one in ops.items()},
            },
        )

    def run_one(self, recording_id: str):
        """Returns the result of the whole chain for a recording."""
        return self.execute("pipeline_job", tags={"dagster/partition": recording_id})

    def run_range(self, stage: str, *recording_ids: str):
        """Returns the result of one asset over a range of recordings."""
        return self.execute("pipeline_job", stage, tags=range_tags(recording_ids))

    def run_all(self, *stages: str) -> None:
        """Runs stages, or every one of them, over every recording."""
        ids = self.scan().ids
        for stage in stages or STAGES:
            assert self.run_range(stage, *ids).success, stage

    def progress(self) -> Progress:
        registry = read_registry(self.dataset.registry)
        return DueFinder(self.instance, self.connection, self.dataset).find(registry)

    def due(self) -> dict[str, list[str]]:
        """Returns what is due, without the assets of which nothing is."""
        return {stage: list(due) for stage, due in self.progress().due.items() if due}

    def latest(self, asset: str, recording_id: str | None = None) -> dg.AssetMaterialization:
        """Returns the latest materialisation of an asset or of one of its partitions."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=self.key(asset),
                asset_partitions=None if recording_id is None else [recording_id],
            ),
            limit=1,
        ).records
        return records[0].asset_materialization

    def n_materialized(self, asset: str) -> int:
        records = self.instance.fetch_materializations(self.key(asset), limit=1000).records
        return len(records)

    def statuses(self, asset: str) -> dict[str, str | None]:
        """Returns partition -> the name of its status as the web interface colours it."""
        keys = self.instance.get_dynamic_partitions(self.connection.partitions_name)
        found = self.instance.get_status_by_partition(self.key(asset), keys, self.partitions)
        return {key: status and status.name for key, status in (found or {}).items()}


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", reading_once())
        yield


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory) -> Path:
    """Returns a Dagster home just prepared; tests take copies, which saves them seconds."""

    def prepare(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(folder))
            prepare_home()
        close_database_connections()  # whose files would vanish while others copy the folder

    return build_once(tmp_path_factory, "fresh_home", prepare)


@pytest.fixture
def home(fresh_home, tmp_path, monkeypatch) -> Path:
    """Returns a Dagster home of this test's own, in use."""
    own = tmp_path / "home"
    shutil.copytree(fresh_home, own)
    monkeypatch.setenv("DAGSTER_HOME", str(own))
    return prepare_home()


def _lay_out(root: Path, field_audio: Path) -> None:
    (root / "audio" / "S1").mkdir(parents=True)
    for number in (1, 2, 3):
        content = (field_audio / f"aru_{number}.wav").read_bytes()
        (root / "audio" / "S1" / f"rec_{number}.wav").write_bytes(content)
    (root / "badc.toml").write_text(QUICK, encoding="utf-8")


@contextmanager
def _opened(root: Path, connection: Connection, sound: Path) -> Iterator[Graph]:
    graph = Graph(root, connection, sound)
    try:
        yield graph
    finally:
        graph.instance.dispose()


@pytest.fixture
def connection(home, tmp_path) -> Connection:
    """Returns the default dataset's place in the asset graph; `graph` puts recordings there."""
    return connect(home, tmp_path / "dataset")


@pytest.fixture
def graph(connection, field_audio) -> Iterator[Graph]:
    """Returns three recordings, not scanned yet: rec_1, rec_2, rec_3."""
    _lay_out(connection.root, field_audio)
    with _opened(connection.root, connection, field_audio) as graph:
        yield graph


@pytest.fixture
def in_fresh_home(fresh_home, tmp_path, monkeypatch, field_audio) -> Iterator[Callable[..., Graph]]:
    """Returns a function that opens a dataset folder in a Dagster home of its own, from now on."""
    with ExitStack() as opened:

        def enter(root: Path, name: str = "other_home") -> Graph:
            own = tmp_path / name
            if not own.exists():
                shutil.copytree(fresh_home, own)
            monkeypatch.setenv("DAGSTER_HOME", str(own))
            connection = connect(prepare_home(), root)
            return opened.enter_context(_opened(root, connection, field_audio))

        yield enter


@pytest.fixture(scope="session")
def build_graph(fresh_home, field_audio, tmp_path_factory) -> Callable[..., Path]:
    """Returns what builds a dataset with its Dagster home once, for tests to copy.

    It takes a name, what is done with the dataset, and the folder of another one that it begins
    as; else it begins as three recordings that are not scanned yet.
    """

    def build(name: str, change: Callable[[Graph], object], base: Path | None = None) -> Path:
        def fill(folder: Path) -> None:
            if base is None:
                shutil.copytree(fresh_home, folder / "home")
                _lay_out(folder / "dataset", field_audio)
            else:
                for part in ("home", "dataset"):
                    shutil.copytree(base / part, folder / part, symlinks=True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DAGSTER_HOME", str(folder / "home"))
                connection = Connection("dataset", folder / "dataset", is_main=True)
                with _opened(connection.root, connection, field_audio) as graph:
                    change(graph)
            close_database_connections()

        return build_once(tmp_path_factory, f"graph-{name}", fill)

    return build


@pytest.fixture
def copy_graph(tmp_path, monkeypatch, field_audio) -> Iterator[Callable[[Path], Graph]]:
    """Returns what opens a copy, of this test's own, of what `build_graph` built."""
    with ExitStack() as opened:

        def copy(folder: Path) -> Graph:
            for name in ("home", "dataset"):
                shutil.copytree(folder / name, tmp_path / name, symlinks=True)
            monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
            connection = connect(tmp_path / "home", tmp_path / "dataset")
            return opened.enter_context(_opened(connection.root, connection, field_audio))

        yield copy


@pytest.fixture(scope="session")
def cut_once(build_graph) -> Path:
    """Returns the folder of `cut`."""
    return build_graph("cut", lambda graph: graph.run_all("recording", "chunk_manifest"))


@pytest.fixture
def cut(cut_once, copy_graph) -> Graph:
    """Returns three recordings that are described and cut into chunks, but not analysed."""
    return copy_graph(cut_once)


@pytest.fixture(scope="session")
def analysed_once(build_graph, cut_once) -> Path:
    """Returns the folder of `analysed`."""
    return build_graph("analysed", lambda graph: graph.run_all("raw_detections"), cut_once)


@pytest.fixture
def analysed(analysed_once, copy_graph) -> Graph:
    """Returns the same after their analysis, of which nothing was selected."""
    return copy_graph(analysed_once)


@pytest.fixture(scope="session")
def finished_once(build_graph, analysed_once) -> Path:
    """Returns the folder of `finished`."""
    last = ("detections", "report_bundle")
    return build_graph("finished", lambda graph: graph.run_all(*last), analysed_once)


@pytest.fixture
def finished(finished_once, copy_graph) -> Graph:
    """Returns three recordings of which everything is done."""
    return copy_graph(finished_once)


@pytest.fixture(scope="session")
def archive_once(build_graph, finished_once) -> Path:
    """Returns the folder of `archive`."""

    def run_corpus(graph: Graph) -> None:
        assert graph.execute("corpus_job").success

    return build_graph("archive", run_corpus, finished_once)


@pytest.fixture
def archive(archive_once, copy_graph) -> Graph:
    """Returns the same with its corpus."""
    return copy_graph(archive_once)


@pytest.fixture
def n_workers(monkeypatch):
    """Returns a list that grows by one for every worker that is started."""
    started = []

    class Counted(subprocess.Popen):
        def __init__(self, command, *arguments, **named):
            if "badc_core.engine.worker" in command:
                started.append(command)
            super().__init__(command, *arguments, **named)

    monkeypatch.setattr(pool.subprocess, "Popen", Counted)
    return started


@pytest.fixture
def run_outside(tmp_path):
    """Runs a program to its end outside the repository, whose `.env` would choose the home."""

    def run(*arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        program, *rest = map(str, arguments)
        return subprocess.run(
            [Path(sys.executable).with_name(program), *rest],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    return run
