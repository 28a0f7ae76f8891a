"""The private names of Dagster that BADC needs, all in one place; Dagster may change them.

The executor is made of them. Where one is missing, importing this fails; whether Dagster's own loop
still uses those that are replaced is checked in `executor/gpu_executor.py`.
"""

import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import Lock, RLock
from typing import Any

# Imported for their own sake: what opening an instance would import in every step's process. The
# server that such processes are forked from has them, which saves each 2.3 of 3 s of CPU. Only
# modules that start no thread and touch no GPU belong here.
import dagster._core.execution.api
import dagster._core.launcher.default_run_launcher
import dagster._core.run_coordinator.queued_run_coordinator
import dagster._core.storage.event_log.sqlite
import dagster._core.storage.local_compute_log_manager
import dagster._core.storage.root
import dagster._core.storage.runs.sqlite
import dagster._core.storage.schedules.sqlite  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
from dagster._check import CheckError
from dagster._core.definitions.asset_key import AssetKey
from dagster._core.events import DagsterEventType, EngineEventData
from dagster._core.execution import compute_logs
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.active import _pool_key_for_step as pool_key_for_step
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep, IExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.executor.multiprocess import (
    MultiprocessExecutor,
    MultiprocessExecutorChildProcessCommand,
    execute_step_out_of_process,
)
from dagster._core.instance import DagsterInstance
from dagster._core.storage.event_log import SqlEventLogStorageMetadata, SqliteEventLogStorage
from dagster._core.storage.event_log import migration as event_migrations
from dagster._core.storage.event_log.schema import AssetEventTagsTable
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs import migration as run_migrations
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules import migration as schedule_migrations
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import stamp_alembic_rev
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._utils.tags import TagConcurrencyLimitsCounter
from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine, make_url

__all__ = [
    "DATA_MIGRATIONS",
    "METADATA_OF_STORAGES",
    "PRIORITY_TAG",
    "ActiveExecution",
    "CheckError",
    "ChildProcessCrashException",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "IExecutionStep",
    "IStepContext",
    "MultiprocessExecutor",
    "MultiprocessExecutorChildProcessCommand",
    "PlanOrchestrationContext",
    "RetryMode",
    "TagConcurrencyLimitsCounter",
    "close_database_connections",
    "execute_step_out_of_process",
    "get_retries_config",
    "get_tag_concurrency_limits_config",
    "keep_database_connections",
    "keep_log_readers_from_interrupts",
    "keep_postgres_connections",
    "pool_key_for_step",
    "read_latest_tag",
    "stamp_alembic_rev",
    "stores_in_home",
    "storing_at_once",
]

METADATA_OF_STORAGES = (
    RunStorageSqlMetadata,
    SqlEventLogStorageMetadata,
    ScheduleStorageSqlMetadata,
)
"""The tables of each of Dagster's three storages."""

DATA_MIGRATIONS = (
    *event_migrations.EVENT_LOG_DATA_MIGRATIONS,
    *event_migrations.ASSET_DATA_MIGRATIONS,
    *run_migrations.REQUIRED_DATA_MIGRATIONS,
    *run_migrations.OPTIONAL_DATA_MIGRATIONS,
    *schedule_migrations.REQUIRED_SCHEDULE_DATA_MIGRATIONS,
    *schedule_migrations.OPTIONAL_SCHEDULE_DATA_MIGRATIONS,
)
"""What Dagster notes as done in a database of the current version."""

_MOST_ENGINES = 8


def stores_in_home(instance: DagsterInstance) -> bool:
    """Returns whether runs and events are in files of the home, so that no other home has them."""
    return isinstance(instance.event_log_storage, SqliteEventLogStorage)


def read_latest_tag(
    instance: DagsterInstance,
    key: AssetKey,
    tag: str,
    partitions: Sequence[str] | None,
    after: int | None,
) -> dict[str, str]:
    """Returns a tag of each partition's latest materialisation, from events after one.

    As `get_latest_tags_by_partition`, which takes twice the time to put rows into dicts of dicts.
    """
    storage: Any = instance.event_log_storage
    latest = storage._latest_event_ids_by_partition_subquery(  # noqa: SLF001
        key, [DagsterEventType.ASSET_MATERIALIZATION], partitions, after_cursor=after
    )
    tags = AssetEventTagsTable.c
    joined = latest.join(AssetEventTagsTable, tags.event_id == latest.c.id)
    query = select(latest.c.partition, tags.value).select_from(joined).where(tags.key == tag)
    with storage.index_connection() as connection, closing(connection.execute(query)) as rows:
        return dict(rows.cursor.fetchall())


def keep_database_connections() -> None:
    """Has Dagster's SQLite storage keep its engines and connections instead of making new ones.

    It makes an engine for every transaction, whose first statement is compiled anew and whose
    closing writes the whole log of the database back: 13 ms of CPU an event, instead of 4. Kept are
    those of the databases used last, one for the events of each run; a forked process makes
    its own.
    """
    for module in (sqlite_event_log, sqlite_run_storage):
        create_engine = getattr(module, "create_engine")  # noqa: B009  (not exported)
        if not isinstance(create_engine, _KeptEngines):
            setattr(module, "create_engine", _KeptEngines(create_engine))  # noqa: B010


def keep_postgres_connections(instance: DagsterInstance) -> None:
    """Has the storages of an instance in Postgres share connections and keep two of them.

    They else make several for each event, and a server starts a process for every one. One that was
    closed meanwhile is noticed before it is used, and made anew.
    """
    from dagster_postgres.utils import create_pg_engine  # noqa: PLC0415  (an extra)

    storages: list[Any] = [
        instance.event_log_storage,
        instance.run_storage,
        instance.schedule_storage,
    ]
    engine = create_pg_engine(
        storages[0].postgres_url,
        storages[0]._token_provider,  # noqa: SLF001
        isolation_level="AUTOCOMMIT",
        pool_size=2,  # some of what they do needs two at once
        pool_pre_ping=True,
    )
    for storage in storages:
        setattr(storage, "_engine", engine)  # noqa: B010


def keep_log_readers_from_interrupts() -> None:
    """Has the processes that follow a run's output outlive Ctrl-C, as Dagster ends them itself.

    In a terminal the signal goes to them too, and one printed a traceback among the progress bars.
    """
    follow = compute_logs.execute_posix_tail

    @contextmanager
    def follow_uninterrupted(path: str, stream: Any) -> Iterator[Any]:
        with ExitStack() as following:
            # A process that is started inherits which signals are blocked.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
            try:
                process_ids = following.enter_context(follow(path, stream))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            yield process_ids

    setattr(compute_logs, "execute_posix_tail", follow_uninterrupted)  # noqa: B010


@contextmanager
def storing_at_once(instance: DagsterInstance) -> Iterator[None]:
    """Has events that are stored in the block be written together, when it ends.

    Each is otherwise a transaction in two databases, so the disk is waited for twice. Other
    processes that store events wait until the block ends: keep it short. If it ends with an error,
    none of the events is stored. Storage other than SQLite stores as ever.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    connect, lock = storage._connect, storage._db_lock  # noqa: SLF001
    with ExitStack() as opened:
        # Two databases are open at once here, and the lock is for one.
        setattr(storage, "_db_lock", RLock())  # noqa: B010
        opened.callback(setattr, storage, "_db_lock", lock)
        connections: dict[str, Connection] = {}

        @contextmanager
        def connect_once(shard: str) -> Iterator[Connection]:
            if shard not in connections:
                connections[shard] = opened.enter_context(connect(shard))
            yield connections[shard]

        setattr(storage, "_connect", connect_once)  # noqa: B010
        try:
            yield
        finally:
            delattr(storage, "_connect")


def close_database_connections() -> None:
    """Closes what is kept, which removes the `-wal` and `-shm` files beside the databases."""
    for module in (sqlite_event_log, sqlite_run_storage):
        getattr(module, "create_engine").close_all()  # noqa: B009  (not exported)


class _KeptEngines:
    """Stands for SQLAlchemy's `create_engine`; gives the same engine for the same database."""

    def __init__(self, create_engine: Callable[..., Engine]) -> None:
        self._create_engine = create_engine
        self._engines: OrderedDict[tuple[Any, ...], Engine] = OrderedDict()
        self._inherited: list[Engine] = []
        self._lock = Lock()
        os.register_at_fork(after_in_child=self._set_aside_inherited)

    def __call__(self, url: str, **options: Any) -> Engine:
        inode = _inode(url)
        if inode is None:
            # A database that does not exist yet: what it will be is only known later.
            return self._create_engine(url, **options)
        key = (url, inode)
        with self._lock:
            if key not in self._engines:
                options.pop("poolclass", None)  # the one that keeps nothing
                self._engines[key] = engine = self._create_engine(url, **options)
                # Dagster disposes of its engine after every transaction.
                engine.dispose = _keep  # type: ignore[method-assign]
            self._engines.move_to_end(key)
            while len(self._engines) > _MOST_ENGINES:
                self._close(self._engines.popitem(last=False)[1])
            return self._engines[key]

    def close_all(self) -> None:
        """Closes all engines that are kept."""
        with self._lock:
            while self._engines:
                self._close(self._engines.popitem()[1])

    def _set_aside_inherited(self) -> None:
        """Makes a forked process begin without its parent's engines, and never closes them.

        SQLite forbids using a connection across a fork, and to close one is to use it: that could
        write the log back and remove it under the parent. So not even garbage collection may.
        """
        self._inherited += self._engines.values()
        self._engines.clear()
        self._lock = Lock()

    @staticmethod
    def _close(engine: Engine) -> None:
        type(engine).dispose(engine)


def _inode(url: str) -> int | None:
    """Returns which file a database is now, since a home may be removed and made again."""
    try:
        return os.stat(make_url(url).database or "").st_ino  # noqa: PTH116
    except FileNotFoundError:
        return None


def _keep(close: bool = True) -> None:
    """Takes the place of an engine's `dispose`."""


keep_database_connections()
keep_log_readers_from_interrupts()
