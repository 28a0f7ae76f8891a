"""Bringing folders of the old layout over as jobs, whose ids have the day of the old ones.

    out/.migrated/KEY.json     which job a folder became; written before anything is copied

A job's folder gets its name once everything in it was read back and found equal. So the process may
be killed at any moment, and a second call goes on, or finds nothing to do.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from badc_core.accounts import user_name
from badc_core.atomic import naming_storage_trouble, new_folder, remove_abandoned
from badc_core.errors import ArchiveInvalid, BadcError, JobUnknown
from badc_core.hashing import sha256_file, sha256_text
from badc_core.jobs.environment import masked, read_text, write_private
from badc_core.jobs.finding import naming_unreadable
from badc_core.jobs.folders import day_folder, make_folders
from badc_core.jobs.ids import claim_job_id
from badc_core.jobs.job_states import read_object
from badc_core.jobs.manifest_files import JOB_INFO, MANIFEST, write_joined
from badc_core.jobs.old_layout import OldJob, list_files, read_old_job
from badc_core.jobs.places import JobPlaces, job_user
from badc_core.jobs.values import SCHEMA_VERSION, now_text, write_json
from badc_core.locks import locked

_LEDGER = ".migrated"
_OURS = frozenset({MANIFEST, JOB_INFO, "pipeline.json"})
"""Files of a job, beside which those of the same names of an old one are kept."""
_BLOCK_BYTES = 1 << 20


@dataclass
class Migrated:
    """A folder of the old layout, and what became of it.

    Attributes:
        source: the folder.
        job_id: its job; empty if it could not be brought over.
        output_dir: the folder of the job.
        is_new: it was brought over now; else it had been before.
        warnings: what is not as it was.
        left: files that were to be removed, and are not in the job as they are here.
        error: why it could not be brought over; empty if it was.
    """

    source: Path
    job_id: str = ""
    output_dir: Path | None = None
    is_new: bool = False
    warnings: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    error: str = ""


def migrate(places: JobPlaces, folder: Path, *, move: bool = False) -> Migrated:
    """Makes a job of a folder of the old layout, unless there is one; says what went wrong.

    Args:
        places: where jobs are.
        folder: absolute.
        move: remove afterwards what is in the job as it is here.
    """
    done = Migrated(folder)
    try:
        with naming_storage_trouble(places.output_root):
            _migrate(places, done, move)
    except BadcError as error:
        done.error = str(error)
    except OSError as error:
        done.error = str(JobUnknown(f"cannot be read ({error})", folder, "Make it readable"))
    return done


def _migrate(places: JobPlaces, done: Migrated, move: bool) -> None:
    ledger = places.output_root / _LEDGER
    make_folders(places.output_root, ledger)
    entry = ledger / f"{sha256_text(os.fsencode(done.source).hex())[:32]}.json"
    with locked(ledger / ".lock"):
        known = read_object(entry)
        if known and _folder(places.output_root, known).is_dir():
            old = None
        else:
            with naming_unreadable(done.source):
                old = read_old_job(done.source)
            known = known or _claim(places, old, entry)
        done.job_id, done.output_dir = known["job_id"], _folder(places.output_root, known)
        if old is not None:
            _bring_over(places, old, known, done)
        if move:
            done.left = list(_remove_equal(done.source, done.output_dir))


def _claim(places: JobPlaces, old: OldJob, entry: Path) -> dict[str, Any]:
    user = old.user or job_user()
    job_id = claim_job_id(old.day, places.output_root, places.log_root, places.config_dir)
    known = {"from": str(old.folder), "job_id": job_id, "day": old.day.isoformat(), "user": user}
    write_json(entry, known)
    return known


def _folder(root: Path, known: dict[str, Any]) -> Path:
    day = date.fromisoformat(known["day"])
    return day_folder(root, day) / str(known["user"]) / str(known["job_id"])


def _bring_over(places: JobPlaces, old: OldJob, known: dict[str, Any], done: Migrated) -> None:
    output_dir, log_dir = (_folder(one, known) for one in (places.output_root, places.log_root))
    if old.problem:
        done.warnings.append(f"{old.problem}: nothing is known of its stages")
    make_folders(places.output_root, output_dir.parent)
    remove_abandoned(output_dir.parent)
    with new_folder(output_dir) as aside:
        aside.mkdir()
        for path in list_files(old.folder):
            _copy(path, _counterpart(path, old.folder, aside), old.folder, done)
        write_json(aside / MANIFEST, {**old.manifest, "job_id": known["job_id"]})
        write_json(aside / JOB_INFO, _describe(places, old, known))
        _fsync_folders(aside)
        _copy_modes(old.folder, aside)
    make_folders(places.log_root, log_dir)
    write_joined(output_dir)
    done.is_new = True


def _describe(places: JobPlaces, old: OldJob, known: dict[str, Any]) -> dict[str, Any]:
    output_dir, job_id = _folder(places.output_root, known), known["job_id"]
    user = known["user"]
    return {
        "schema": SCHEMA_VERSION,
        "job_id": job_id,
        "user_id": int(user) if user.isascii() and user.isdigit() else user,
        "created_at": _with_offset(str(old.manifest["created_at"])),
        "output_dir": str(output_dir),
        "log_dir": str(_folder(places.log_root, known)),
        "env_file": str(places.config_dir / f".env.job_{job_id}"),
        "env_backup": str(output_dir / "job.env"),
        "badc_version": version("badc"),
        "migrated": {
            "from": str(old.folder),
            "at": now_text(),
            "by": user_name(),
            "old_job_id": old.manifest.get("job_id"),
            "problem": old.problem or None,
        },
    }


def _with_offset(text: str) -> str:
    with suppress(ValueError):
        return datetime.fromisoformat(text).astimezone().isoformat()
    return text


def _counterpart(path: Path, source: Path, target: Path) -> Path:
    """Returns where a file of an old job is in the new one."""
    relative = path.relative_to(source)
    if len(relative.parts) == 1 and relative.name in _OURS:
        return target / f"{relative.stem}.original{relative.suffix}"
    return target / relative


def _copy(path: Path, target: Path, source: Path, done: Migrated) -> None:
    """Copies a file, folder or link, and reads the copy again.

    Raises:
        OSError: it cannot be read or written.
        ArchiveInvalid: the copy is not equal.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(_link(path, source))
    elif stat.S_ISDIR(mode):
        target.mkdir()
    elif not stat.S_ISREG(mode):
        done.warnings.append(f"{path} is no file, and was left out")
    elif _has_settings(path):
        with naming_unreadable(path):
            text = read_text(path)
        write_private(target, masked(text))
        if masked(text) != text:
            done.warnings.append(f"{path} has secrets, which are not in the copy")
    else:
        if _copy_bytes(path, target) != sha256_file(target):
            raise ArchiveInvalid("is not what was copied to it", target, "Check the disk it is on")
        shutil.copystat(path, target)


def _copy_bytes(path: Path, target: Path) -> str:
    """Returns the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with ExitStack() as stack:
        with naming_unreadable(path):
            file = stack.enter_context(path.open("rb"))
        copy = stack.enter_context(target.open("xb"))
        while content := _read(file, path):
            digest.update(content)
            copy.write(content)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _read(file: IO[bytes], path: Path) -> bytes:
    with naming_unreadable(path):
        return file.read(_BLOCK_BYTES)


def _link(path: Path, source: Path) -> str:
    """Returns what a copy of a link refers to: a file of the same job stays one."""
    text = os.readlink(path)  # noqa: PTH115  (as it is)
    if Path(text).is_relative_to(source):
        return os.path.relpath(text, path.parent)
    return text


def _has_settings(path: Path) -> bool:
    return path.suffix == ".env" or path.name.startswith(".env")


def _copy_modes(source: Path, target: Path) -> None:
    """Gives folders their modes, once nothing is written into them any more."""
    for path in reversed(list(list_files(source))):
        if path.is_dir() and not path.is_symlink():
            shutil.copymode(path, _counterpart(path, source, target))
    # The manifest is still to be written into the job's folder.
    target.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IRWXU)


def _fsync_folders(folder: Path) -> None:
    """Has the disk keep the names of all files, before any is removed elsewhere."""
    for one in (folder, *list_files(folder)):
        if one.is_dir() and not one.is_symlink():
            descriptor = os.open(one, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove_equal(source: Path, target: Path) -> Iterator[str]:
    """Removes what is in a job as it is in an old folder; yields what is not."""
    for path in reversed(list(list_files(source))) if source.is_dir() else []:
        copy = _counterpart(path, source, target)
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            with suppress(OSError):
                path.rmdir()
        elif _is_copied(path, copy, mode):
            path.unlink()
        else:
            yield str(path)
    with suppress(OSError):
        source.rmdir()


def _is_copied(path: Path, copy: Path, mode: int) -> bool:
    if stat.S_ISLNK(mode):
        return copy.is_symlink()
    is_file = stat.S_ISREG(mode) and copy.is_file() and not copy.is_symlink()
    return is_file and sha256_file(copy) == sha256_file(path)
