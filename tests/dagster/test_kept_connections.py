"""Dagster's SQLite storage keeps its engines and connections, from event to event."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg

from badc_dagster import dagster_private
from badc_dagster.dagster_private import (
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


def test_only_so_many_databases_stay_open(home):
    with open_instance() as instance:
        for number in range(6 * dagster_private._MOST_ENGINES):
            instance.event_log_storage.get_logs_for_run(f"run_{number}")
    assert len(sqlite_event_log.create_engine._engines) <= dagster_private._MOST_ENGINES
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
