"""A Dagster home in Postgres: like one in SQLite, for several homes at once, without passwords."""

import multiprocessing
import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster_postgres import DagsterPostgresStorage
from support.commands import BADC, run_typed
from support.postgres import PASSWORD, postgres_server
from support.waiting import wait_until

from badc_core.errors import ConfigInvalid
from badc_core.jobs import load_manifest
from badc_dagster import postgres
from badc_dagster.home import open_instance, prepare_home, use_postgres
from badc_dagster.home_storage import read_postgres
from badc_dagster.liveness import (
    LOCKS_FIRST_TAG,
    close_dead_runs,
    is_working,
    show_alive,
    show_ended,
    tag_home,
)
from badc_dagster.run_jobs import JOB_TAG

QUICK = '[detector]\nname = "band_energy"\nmin_score = 0.1\n'
N_PROCESSES = 16
N_EVENTS = 5
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture(scope="module")
def server():
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(server):
    """Returns the name of an empty database."""
    return server.create_database()


@pytest.fixture
def enter_home(tmp_path, monkeypatch):
    """Returns what makes a folder the home from now on."""

    def enter(name):
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
        return tmp_path / name

    return enter


def lay_out(root, field_audio):
    """Returns a new dataset of two short recordings."""
    (root / "audio").mkdir(parents=True)
    for number in (1, 2):
        shutil.copy2(field_audio / f"aru_{number}.wav", root / "audio" / f"rec_{number}.wav")
    (root / "badc.toml").write_text(QUICK, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def written(url):
    """Returns the text of an address without its password."""
    return url._replace(password=None).render_as_string()


def as_dagster_wants(url):
    """Returns the text of an address with its password, for settings written by hand."""
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def materialized():
    """Returns asset -> the keys that are materialised."""
    with open_instance() as instance:
        keys = instance.get_asset_keys()
        return {key.to_user_string(): instance.get_materialized_partitions(key) for key in keys}


def files(folder):
    """Returns the results of a dataset: path -> content, of tables as text."""
    parts = {".badc", "telemetry"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.suffix == ".csv" else b""
        for path in folder.rglob("*")
        if path.is_file() and not parts & set(path.relative_to(folder).parts)
    }


@pytest.fixture(scope="module")
def in_sqlite(app, tmp_path_factory, field_audio):
    """Returns the folder of a SQLite home and a dataset that was run in it, and what came of it."""
    folder = tmp_path_factory.mktemp("in_sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        run_typed(app, "run", lay_out(folder / "pond", field_audio))
        return folder, materialized(), files(folder / "pond")


def test_a_run_ends_as_with_sqlite_and_the_password_is_in_no_file(
    app, server, database, enter_home, in_sqlite, field_audio
):
    _, materialized_in_sqlite, files_of_sqlite = in_sqlite
    home = enter_home("home")
    pond = lay_out(home.with_name("pond"), field_audio)
    done = run_typed(app, "home", "init", "--postgres", written(server.url(database)))
    place = f"postgresql://badc@127.0.0.1:{server.port}/{database}"
    assert f"Dagster home {home}: runs and events are in {place}" in done.output
    run_typed(app, "run", pond)
    assert materialized_in_sqlite["detections"] == {"rec_1", "rec_2"}
    assert materialized() == materialized_in_sqlite
    assert files(pond) == files_of_sqlite
    (job,) = (one.parent for one in home.glob("jobs/out/**/manifest.json"))
    assert load_manifest(job)["pipeline"]["status"] == "completed"
    with open_instance() as instance:
        assert {run.tags[JOB_TAG] for run in instance.get_runs()} == {job.name}
    assert not list(home.rglob("*.db"))
    assert not [one for one in home.rglob("*") if one.is_file() and b"s3cr" in one.read_bytes()]


def register_and_log(home, number):
    """Uses a home in a process of its own."""
    os.environ["DAGSTER_HOME"] = home
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", [f"key_{number}"])
        for one in range(N_EVENTS):
            event = dg.AssetMaterialization("a", partition=f"{number}_{one}")
            instance.report_runless_asset_event(event)


def forkserver():
    """Returns what starts processes that need not import everything themselves."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dagster", "dagster_postgres", "pytest", "badc_dagster.home"])
    return context


def test_processes_of_two_homes_that_use_an_empty_database_at_once_lose_nothing(
    server, database, enter_home, tmp_path
):
    homes = [tmp_path / "one", tmp_path / "other"]
    for home in homes:
        home.mkdir()
        url = as_dagster_wants(server.url(database))
        text = yaml.safe_dump({"storage": {"postgres": {"postgres_url": url}}})
        (home / "dagster.yaml").write_text(text, encoding="utf-8")
    numbers = range(N_PROCESSES)
    with ProcessPoolExecutor(N_PROCESSES, forkserver()) as pool:
        list(pool.map(register_and_log, [str(homes[number % 2]) for number in numbers], numbers))
    enter_home("one")
    with open_instance() as instance:
        keys = instance.get_dynamic_partitions("recordings")
        events = instance.get_materialized_partitions(dg.AssetKey("a"))
    assert sorted(keys) == sorted(f"key_{number}" for number in range(N_PROCESSES))
    assert len(events) == N_PROCESSES * N_EVENTS
    assert server.ask(database, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_tables_of_a_killed_first_use_are_all_there_or_none(
    server, database, enter_home, monkeypatch
):
    enter_home("home")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("badc_dagster.dagster_private.stamp_alembic_rev", killed)
        with pytest.raises(KeyboardInterrupt):
            use_postgres(written(server.url(database)))
    assert server.ask(database, TABLES) == [(0,)]
    use_postgres(written(server.url(database)))
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", ["key"])
        assert instance.get_dynamic_partitions("recordings") == ["key"]
    notes = "SELECT name FROM secondary_indexes WHERE migration_completed IS NOT NULL"
    by_dagster = server.create_database()
    DagsterPostgresStorage(as_dagster_wants(server.url(by_dagster)))
    assert sorted(server.ask(database, notes)) == sorted(server.ask(by_dagster, notes))


def test_a_home_in_sqlite_is_moved_with_its_keys_and_nothing_is_analysed_again(
    app, server, database, in_sqlite, monkeypatch, n_workers
):
    folder, before, made = in_sqlite
    home, pond = folder / "home", folder / "pond"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with open_instance() as instance:
        n_runs = instance.get_runs_count()
    own = (home / "dagster.yaml").read_text("utf-8").replace("_runs: 2", "_runs: 5")
    (home / "dagster.yaml").write_text(own, encoding="utf-8")
    done = run_typed(app, "home", "init", "--postgres", written(server.url(database)))
    assert "Earlier runs stay in the SQLite files. Run badc run on each dataset" in done.output
    for database_too in (database, server.create_database()):
        done = run_typed(app, "home", "init", "--postgres", written(server.url(database_too)))
        assert "SQLite" not in done.output
    run_typed(app, "run", pond)
    assert n_workers == []
    assert files(pond) == made
    assert materialized() == before
    with open_instance() as instance:
        assert sorted(instance.get_dynamic_partitions("recordings")) == ["rec_1", "rec_2"]
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 5
        assert instance.get_runs_count() < n_runs
    # The history is still there, for a home that names no other storage.
    text = (home / "dagster.yaml").read_text("utf-8")
    (home / "dagster.yaml").write_text(text[: text.index("storage:")], encoding="utf-8")
    with open_instance() as instance:
        assert instance.get_runs_count() == n_runs


@pytest.mark.soak
def test_two_homes_that_run_a_dataset_at_once_make_every_output_and_know_of_it(
    server, database, tmp_path, enter_home, field_audio
):
    pond = lay_out(tmp_path / "pond", field_audio)
    running = []
    for name in ("one", "other"):
        enter_home(name)
        use_postgres(written(server.url(database)))
        running.append(subprocess.Popen([BADC, "run", pond, "--quiet"], stderr=subprocess.DEVNULL))
    codes = [process.wait(300) for process in running]
    assert set(codes) <= {0, 1}  # 1 where all recordings were left to the other run
    # What one home finishes just as a run of the other begins, that run may make again.
    made = (
        "SELECT count(DISTINCT (asset_key, partition)) FROM event_logs"
        " WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL"
    )
    assert server.ask(database, made) == [(10,)]
    again = subprocess.run([BADC, "run", pond], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "Nothing to do" in again.stdout


def test_a_run_of_another_home_is_not_taken_for_dead(server, database, enter_home):
    home = enter_home("one")
    use_postgres(written(server.url(database)))
    with open_instance() as instance:

        @dg.job
        def nothing():
            pass

        tags = {**LOCKS_FIRST_TAG, **tag_home(instance)}
        run = instance.create_run_for_job(nothing, tags=tags)
        enter_home("other")
        use_postgres(written(server.url(database)))
        assert close_dead_runs(instance) == []
        (record,) = instance.get_run_records()
        assert is_working(instance, record)  # so its recordings are left to it
        # One on another host of the same name has the same path, but not its files.
        home.rename(home.with_name("of_one"))
        enter_home("one")
        use_postgres(written(server.url(database)))
        assert close_dead_runs(instance) == []
        shutil.rmtree(home)
        home.with_name("of_one").rename(home)
        assert close_dead_runs(instance) == [run.run_id]
    assert str(home) in tags["badc/home"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "the URL of the database cannot be read"),
        ("postgresql://badc:s3cret@host:port/badc", "the URL of the database cannot be read"),
        ("mysql://badc:s3cret@host/badc", "the URL is not one of a Postgres database"),
        ("postgresql://:s3cret@host/badc", "names no user"),
        ("postgresql://badc:s3cret@host", "names no database"),
        ("postgresql://badc@/badc", "names no host"),
        ("postgresql://badc@?host=a:1&host=b&port=2/badc", "cannot be read"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_password(app, home, url, why):
    before = (home / "dagster.yaml").read_bytes()
    said = run_typed(app, "home", "init", "--postgres", url, code=2).output
    assert why in said
    assert "Write postgresql://USER" in said
    assert "s3cret" not in said
    assert (home / "dagster.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://badc:s3cret@host/badc",
        "postgresql://badc@host/badc?password=s3cret",
        "postgresql://badc@host/badc?sslmode=verify-full&sslpassword=s3cret",
        "postgresql://badc@host/badc?dsn=password%3Ds3cret",
    ],
)
def test_a_password_in_the_url_is_refused_with_where_to_write_it(app, home, url):
    before = (home / "dagster.yaml").read_bytes()
    said = run_typed(app, "home", "init", "--postgres", url, code=2).output
    assert "the URL has a password" in said
    assert "write the line HOST:5432:DATABASE:USER:PASSWORD into ~/.pgpass" in said
    assert "s3cret" not in said
    assert (home / "dagster.yaml").read_bytes() == before


def test_a_database_that_refuses_is_one_sentence_and_the_home_stays_as_it_was(
    app, server, database, home, monkeypatch
):
    before = (home / "dagster.yaml").read_bytes()
    url = server.url(database)
    for other, password, why in (
        (url.set(port=1), PASSWORD, "Connection refused"),
        (url, "s3cret", "password authentication failed"),
        (url.set(database="none"), PASSWORD, 'database "none" does not exist'),
        (url.set(username="nobody"), PASSWORD, "password authentication failed"),
    ):
        monkeypatch.setenv("PGPASSWORD", password)
        with pytest.raises(ConfigInvalid, match=why) as caught:
            run_typed(app, "home", "init", "--postgres", written(other))
        message = str(caught.value)
        assert message.startswith(f"{home}: the Postgres database of the Dagster home cannot be us")
        assert "\n" not in message
        assert "s3cret" not in message
    assert (home / "dagster.yaml").read_bytes() == before


def test_a_home_is_not_moved_while_a_run_is_going_on(server, database, enter_home):
    home = enter_home("home")
    prepare_home()
    before = (home / "dagster.yaml").read_bytes()
    show_alive("some-run")
    try:
        with pytest.raises(
            ConfigInvalid, match=r"is going on in the Dagster home \(run some-run\)"
        ):
            use_postgres(written(server.url(database)))
        assert (home / "dagster.yaml").read_bytes() == before
    finally:
        show_ended("some-run")
    use_postgres(written(server.url(database)))
    show_alive("some-run")
    use_postgres(written(server.url(database)))  # which moves nothing
    show_ended("some-run")


def test_settings_that_cannot_be_changed_are_refused_before_the_database_is_touched(
    server, database, enter_home
):
    home = enter_home("home")
    home.mkdir()
    (home / "dagster.yaml").write_text("run_storage:\n  module: x\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="run_storage name other storage"):
        use_postgres(written(server.url(database)))
    assert server.ask(database, TABLES) == [(0,)]


def test_a_database_with_several_hosts_is_written_as_it_was_tried(server, database, enter_home):
    home = enter_home("home")
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{server.port}"
    use_postgres(f"postgresql://badc@/{database}?{hosts}&connect_timeout=5")
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", ["key"])
    url = server.url(database).set(drivername="postgresql+psycopg2")
    assert read_postgres(home, {}) != url
    use_postgres(written(url))
    assert read_postgres(home, {}) == url._replace(password=None)
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("recordings") == ["key"]


def test_a_database_that_was_emptied_gets_all_its_tables_again(server, database, enter_home):
    home = enter_home("home")
    use_postgres(written(server.url(database)))
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", ["key"])
    before = server.ask(database, TABLES)
    server.ask(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; SELECT 1")
    settings = yaml.safe_load((home / "dagster.yaml").read_text("utf-8"))["storage"]["postgres"]
    assert settings["should_autocreate_tables"] is False  # which Dagster does one by one
    prepare_home()
    assert server.ask(database, TABLES) == before
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("recordings") == []


def test_a_server_that_has_gone_is_one_sentence_for_every_command(
    app, enter_home, tmp_path, field_audio
):
    enter_home("home")
    pond = lay_out(tmp_path / "pond", field_audio)
    with postgres_server() as server:
        use_postgres(written(server.url(server.create_database())))
        run_typed(app, "scan", pond)
        with open_instance() as instance:
            instance.get_runs_count()
    for command in ("scan", "status", "run"):
        with pytest.raises(ConfigInvalid, match="Connection refused") as caught:
            run_typed(app, command, pond)
        assert "\n" not in str(caught.value)


def test_the_password_may_be_in_the_file_of_postgres_or_the_address_in_a_variable(
    server, database, enter_home, monkeypatch, tmp_path
):
    home = enter_home("home")
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(ConfigInvalid, match="no password supplied"):
        use_postgres(written(server.url(database)))
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (passwords := tmp_path / "pgpass").write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    use_postgres(written(server.url(database)))
    monkeypatch.delenv("PGPASSFILE")
    settings = yaml.safe_load((home / "dagster.yaml").read_text("utf-8"))
    settings["storage"]["postgres"]["postgres_url"] = {"env": "BADC_DATABASE"}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="the variable BADC_DATABASE, which it names, is not"):
        open_instance()
    monkeypatch.setenv("BADC_DATABASE", as_dagster_wants(server.url(database)))
    with open_instance() as instance:
        assert instance.get_runs_count() == 0


def test_connections_are_kept_and_made_anew_where_the_server_has_closed_them(
    server, database, enter_home
):
    enter_home("home")
    use_postgres(written(server.url(database)))
    others = f"FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    with open_instance() as instance:

        def use(number):
            instance.add_dynamic_partitions("recordings", [number])
            event = dg.AssetMaterialization("a", partition=number)
            instance.report_runless_asset_event(event)
            assert instance.get_runs_count() == 0
            assert instance.all_instigator_state() == []
            return set(server.ask(database, f"SELECT pid {others}"))

        kept = use("1")
        assert 1 <= len(kept) <= 2
        assert use("2") == kept
        server.ask(database, f"SELECT pg_terminate_backend(pid) {others}")
        assert use("3").isdisjoint(kept)
        assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"1", "2", "3"}


def test_only_one_home_at_a_time_makes_a_database_ready(server, database):
    url = server.url(database).set(drivername="postgresql+psycopg2")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ProcessPoolExecutor(1, forkserver()) as pool:
        with sa.create_engine(url).begin() as first:
            first.execute(sa.text(f"SELECT pg_advisory_xact_lock({postgres.LOCK_KEY})"))
            other = pool.submit(postgres.make_tables, url)
            wait_until(lambda: server.ask(database, waiting) == [(1,)])
            assert not other.done()
        other.result(60)
    assert server.ask(database, TABLES) != [(0,)]
