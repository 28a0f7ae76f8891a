"""Dagster's SQLite storage keeps its engines and connections, from event to event."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import sqlalchemy

from badc_dagster import dagster_private
from badc_dagster.dagster_private import (
    close_database_connections,
    keep_database_connections,
    sqlite_event_log,
    sqlite_run_storage,
)
from badc_dagster.home import open_instance


def report(instance, number):
    event = dg.AssetMaterialization("a", partition=f"p{number}", tags={"dagster/data_version": "x"})
    instance.report_runless_asset_event(event)


def open_files(name):
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
    return [link for link in links if name in str(link.readlink())]


def test_both_storages_still_make_engines_by_the_name_that_is_replaced():
    keep_database_connections()
    for module in (sqlite_event_log, sqlite_run_storage):
        assert isinstance(module.create_engine, dagster_private._KeptEngines)


def test_an_engine_is_made_once_and_what_it_wrote_is_there_for_others(home, monkeypatch):
    made = []
    kept = sqlite_event_log.create_engine
    create = kept._create_engine

    def create_and_count(url, **options):
        made.append(url)
        return create(url, **options)

    monkeypatch.setattr(kept, "_create_engine", create_and_count)
    with open_instance() as instance:
        report(instance, 0)
        report(instance, 1)
        made.clear()
        for number in range(2, 6):
            report(instance, number)
        assert made == []
        (index,) = home.rglob("index.db")
        with closing(sqlite3.connect(index)) as database:
            (count,) = database.execute("SELECT count(*) FROM event_logs").fetchone()
        assert count == 6


def test_only_so_many_databases_stay_open(home, monkeypatch):
    monkeypatch.setattr(dagster_private, "_MOST_ENGINES", 2)
    with open_instance() as instance:
        for number in range(8):
            for _ in range(2):  # an engine is kept from the second time on, when its file is there
                instance.event_log_storage.get_logs_for_run(f"run_{number}")
    assert len(sqlite_event_log.create_engine._engines) == dagster_private._MOST_ENGINES
    files_of_a_database = 3
    both_storages = 2 * dagster_private._MOST_ENGINES
    assert len(open_files(str(home))) <= files_of_a_database * both_storages


def test_a_home_in_the_place_of_a_removed_one_is_written_to(home, fresh_home):
    with open_instance() as instance:
        report(instance, 0)
    shutil.rmtree(home)
    shutil.copytree(fresh_home, home)
    with open_instance() as instance:
        report(instance, 1)
        keys = instance.get_materialized_partitions(dg.AssetKey("a"))
    assert keys == {"p1"}


def test_closing_removes_the_files_beside_the_databases_and_events_stay(home):
    with open_instance() as instance:
        report(instance, 0)
        assert list(home.rglob("*.db-wal"))
        close_database_connections()
        assert [*home.rglob("*.db-wal"), *home.rglob("*.db-shm")] == []
        assert open_files(str(home)) == []
        assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"p0"}


def test_a_database_that_is_not_there_yet_is_not_kept(tmp_path):
    kept = dagster_private._KeptEngines(sqlalchemy.create_engine)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    first = kept(url, poolclass=sqlalchemy.pool.NullPool)
    with first.connect():
        pass
    assert not kept._engines
    second = kept(url, poolclass=sqlalchemy.pool.NullPool)
    assert second is not first
    assert kept(url) is second
    kept.close_all()


def test_a_forked_process_neither_uses_nor_closes_engines_of_its_parent(home):
    with open_instance() as instance:
        report(instance, 0)
        kept = sqlite_event_log.create_engine
        n_before, n_inherited = len(kept._engines), len(kept._inherited)
        kept._set_aside_inherited()  # what a fork calls in the child
        assert not kept._engines
        assert len(kept._inherited) == n_inherited + n_before
        report(instance, 1)
        kept.close_all()
        for engine in kept._inherited[n_inherited:]:
            with engine.connect() as connection:  # still open
                connection.exec_driver_sql("SELECT 1")
            kept._close(engine)
        del kept._inherited[n_inherited:]
