"""The configuration of a job: a copy of `config/.env` with the job's own values in it.

Stages read the copy, which only its owner may read, with secrets and all. The backup in the job's
folder, which may be archived and shown, has `***` in place of every secret.
"""

import os
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from badc_core.atomic import replacing
from badc_core.child_environment import child_environment
from badc_core.secret_values import MASK, Secrets, is_secret

BASE, BACKUP = ".env", "job.env"
"""The configuration that jobs copy; the backup of a job's copy, in the job's folder."""
CONFIG_VARIABLE = "CONFIG_PATH"
"""The environment variable by which a stage's process finds the job's configuration."""

_IN_COMMENT = re.compile(r"(([^\s=#]+)[ \t]*=[ \t]*)[^\r\n]+")
_ASSIGNED = re.compile(r"(\s*(?:export[ \t]+)?'?([^\s=#']+)'?[ \t]*=[ \t]*)")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)[ \t]*#[^\r\n]*")


def read_text(path: Path) -> str:
    """Returns a configuration as it is; bytes that are not UTF-8 are kept.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_bytes().decode("utf-8-sig", errors="surrogateescape")


def write_private(path: Path, text: str) -> None:
    """Replaces a file that only its owner may read, at no moment anybody else.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    content = text.encode("utf-8", errors="surrogateescape")
    with replacing(path) as aside:
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def variables(text: str) -> dict[str, str]:
    """Returns the variables of a configuration."""
    return {one.key: one.value for one in _bindings(text) if one.key and one.value is not None}


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Returns a configuration with some values replaced, or appended; comments are kept."""
    changed = [
        _assign(one, values[one.key]) if one.key and one.key in values else one.original.string
        for one in _bindings(text)
    ]
    found = {one.key for one in _bindings(text)}
    added = [f"{name}={_quote(value)}\n" for name, value in values.items() if name not in found]
    before = "".join(changed)
    if added and before and not before.endswith("\n"):
        before += "\n"
    return before + "".join(added)


def masked(text: str) -> str:
    """Returns a configuration without secrets, also where they are commented out or repeated."""
    secrets = Secrets(variables(text))
    return "".join(secrets.mask_text(_mask(one)) for one in _bindings(text))


def back_up(path: Path, backup: Path) -> None:
    """Writes what was changed in the configuration of a job to its backup, without secrets.

    Raises:
        FileNotFoundError: there is no configuration.
        StorageFull, OutputUnwritable: the backup cannot be written.
    """
    text = masked(read_text(path))
    if not backup.exists() or read_text(backup) != text:
        write_private(backup, text)


def remove_configuration(path: Path, backup: Path) -> None:
    """Removes the configuration of a job, if it is there; what was changed goes to its backup.

    Raises:
        StorageFull, OutputUnwritable: the backup cannot be written; nothing is removed then.
    """
    with suppress(FileNotFoundError):
        back_up(path, backup)
        path.unlink()


def restore_configuration(path: Path, backup: Path) -> str:
    """Writes the configuration of a job again if it was removed.

    Secrets, which the backup does not have, are those of today's `.env` beside it.

    Returns:
        what was done, and which secrets were left out as they are no longer there; empty if nothing
        was.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    if path.exists() or not backup.exists():
        return ""
    text, today, known = read_text(backup), path.with_name(BASE), {}
    with suppress(FileNotFoundError):
        known = variables(read_text(today))
    hidden = [name for name, value in variables(text).items() if MASK in value]
    lost = [name for name in hidden if name not in known]
    # A program would take the mask for the secret.
    kept = "".join(one.original.string for one in _bindings(text) if one.key not in lost)
    write_private(path, with_values(kept, {name: known[name] for name in hidden if name in known}))
    left_out = f"; not there any more, so left out: {', '.join(lost)}" if lost else ""
    return f"the job's settings had been removed; secrets are those in {today} now{left_out}"


def stage_environment(job_env_file: Path) -> dict[str, str]:
    """Returns the environment of a stage's process: what it needs, and no secrets.

    Those that it needs are in the file that `CONFIG_PATH` names.
    """
    return {**child_environment(), CONFIG_VARIABLE: str(job_env_file.absolute())}


def read_secrets(*job_env_files: Path | str | None) -> Secrets:
    """Returns the secrets of this process's environment and of the job's configuration.

    Args:
        job_env_files: configurations, as far as they are known, besides what `CONFIG_PATH` names.
    """
    found: list[dict[str, str]] = []
    for place in (*job_env_files, os.environ.get(CONFIG_VARIABLE)):
        if place:
            with suppress(OSError):  # removed, as the job is over
                text = read_text(Path(place))
                found += [variables(text), _as_written(text)]
    return Secrets(os.environ, *found)


def _as_written(text: str) -> dict[str, str]:
    """Returns the variables of a configuration as they are written there, without outer quotes."""
    found: dict[str, str] = {}
    for one in _bindings(text):
        line = one.original.string.strip()
        start = _ASSIGNED.match(line)
        if one.key and start is not None:
            value = line[start.end() :]
            quoted = _QUOTED.match(value)
            found[one.key] = quoted[0][1:-1] if quoted else value
    return found


def _bindings(text: str) -> list[Binding]:
    return list(parse_stream(StringIO(text, newline="")))


def _assign(binding: Binding, value: str) -> str:
    """Returns a line with another value; a comment behind it stays."""
    line = binding.original.string
    start = _ASSIGNED.match(line)
    if start is None:
        return f"{binding.key}={_quote(value)}\n"
    rest = line[start.end() :]
    quoted = _QUOTED.match(rest)
    comment = _COMMENT.search(rest, quoted.end() if quoted else 0)
    behind = comment[0] if comment else ""
    space = " " if behind.startswith("#") else ""
    ending = line[len(line.rstrip("\r\n")) :]
    return f"{start[1].rstrip()}{_quote(value)}{space}{behind}{ending}"


def _mask(binding: Binding) -> str:
    """Returns a line of a configuration without what is or may be a secret in it."""
    line = binding.original.string
    ending = line[len(line.rstrip("\r\n")) :]
    start = _ASSIGNED.match(line)
    if binding.error or (binding.key and start is None):
        # A line that cannot be read may be part of a secret that was not closed.
        return f"{start[1] if start else ''}{MASK}{ending}"
    if binding.key and start and binding.value and is_secret(start[2], binding.value):
        return f"{start[1]}{MASK}{ending}"
    before, mark, comment = line.partition("#")
    return before + mark + _IN_COMMENT.sub(_mask_in_comment, comment)


def _mask_in_comment(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if is_secret(found[2], found[0]) else found[0]


def _quote(value: str) -> str:
    """Returns a value as both shells and dotenv read it."""
    return shlex.quote(value) if "'" not in value else f'"{_escape(value)}"'


def _escape(value: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", value)
