"""Spares tests the time that Dagster takes to read its migrations again for each run."""

from collections.abc import Callable

from alembic.config import Config
from alembic.script import ScriptDirectory


def reading_once() -> Callable[[Config], ScriptDirectory]:
    """Returns what may stand for `ScriptDirectory.from_config`.

    Each run has a database of its own, for which Dagster reads all migrations three times: half a
    second of CPU.
    """
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        name = config.config_file_name
        if name not in known:
            known[name] = read(config)
        return known[name]

    return from_config
