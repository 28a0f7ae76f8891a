"""Archiving a job: one file beside its folder, and removing what is in that file.

    out/2026/11/30/ana/20261130-001.tar.gz           the archive
    out/2026/11/30/ana/20261130-001.tar.gz.sha256    its SHA-256
    out/2026/11/30/ana/20261130-001.files.sha256     that of every file in it
    out/2026/11/30/ana/20261130-001/archive.json     where the archive is, and what was removed

The archive gets its name once it has been read back. Nothing is removed unless its bytes are in an
archive that was read just before, so the process may be killed at any moment, and called again.
Unpacking the archive in the folder of all jobs puts the files back; `archive.json` in it no longer
says that they were removed.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from badc_core.accounts import user_name
from badc_core.atomic import naming_storage_trouble, remove_abandoned, replacing
from badc_core.errors import ArchiveInvalid, JobBusy, OutputUnwritable
from badc_core.hashing import sha256_file
from badc_core.jobs.archive_contents import Entry, Member, list_entries, name_in_archive
from badc_core.jobs.archive_file import (
    Additions,
    Members,
    read_archive,
    write_archive,
    write_sums,
)
from badc_core.jobs.environment import BACKUP, back_up, read_secrets
from badc_core.jobs.finding import JobFolders, require_writable
from badc_core.jobs.job_details import require_readable
from badc_core.jobs.job_states import (
    ARCHIVE_RECORD,
    RUNS_RECORD,
    RUNS_TABLE,
    find_open_runs,
    find_work,
    is_archived,
    may_be_between_stages,
    quick_manifest,
    read_object,
)
from badc_core.jobs.layout import Json
from badc_core.jobs.manifest_files import JOB_INFO, MANIFEST
from badc_core.jobs.places import JobPlaces
from badc_core.jobs.values import SCHEMA_VERSION, as_text, now_text, write_json
from badc_core.jobs.work_lock import WORK_LOCK, having_alone
from badc_core.secret_values import Secrets

_KEPT = frozenset({JOB_INFO, MANIFEST, RUNS_RECORD, RUNS_TABLE})
"""Stay in the folder of a job whose files are removed, so that one sees what it was."""


def archive_path(job: JobFolders) -> Path:
    """Returns where the archive of a job is, or will be."""
    return job.output_dir.with_name(f"{job.job_id}.tar.gz")


def archive_job(places: JobPlaces, job: JobFolders, *, remove: bool = False) -> Json:
    """Archives a job, and returns what `archive.json` says of that then.

    An archive that is there already is read again; it must have what is in the job's folder.

    Args:
        places: where jobs are.
        job: which one.
        remove: also remove what is in the archive, and the job's settings with secrets in them;
            the job's manifest stays.

    Raises:
        JobUnknown: something of the job cannot be read.
        JobBusy: it is being worked on, or has changed since it was archived.
        ArchiveInvalid: the archive cannot be read back.
        StorageFull, OutputUnwritable: something cannot be written, or must not be archived.
    """
    require_readable(job)
    require_writable(job.output_dir)
    folder, path = job.output_dir, archive_path(job)
    info = read_object(folder / JOB_INFO)
    settings = Path(str(info.get("env_file") or os.devnull))
    secrets = read_secrets(settings, places.config_dir / ".env")
    for one in (folder, folder.parent):
        remove_abandoned(one)
    with having_alone(folder), naming_storage_trouble(path):
        _require_rest(job)
        if remove and settings.is_file() and not is_archived(folder):
            back_up(settings, folder / BACKUP)
        if os.path.lexists(path):
            sha256, members = _require_whole(path), read_archive(path, _additions(job))
            _require_same(job, path, members, secrets)
        else:
            sha256, members = _write(job, path, secrets)
        record = _record(job, path, sha256, members)
        if remove:
            # Said first: a job of which only a part is left must not be resumed.
            record["removed_at"] = record["removed_at"] or now_text()
            write_json(folder / ARCHIVE_RECORD, record)
            record["left"] = _remove(job, members, secrets)
            write_json(folder / ARCHIVE_RECORD, record)
            if settings.is_file():
                settings.unlink()
        (folder / WORK_LOCK).unlink(missing_ok=True)
        return record


def _require_rest(job: JobFolders) -> None:
    """Makes sure that nobody works on a job without having it locked."""
    manifest = quick_manifest(job.output_dir)
    if runs := find_open_runs(job.output_dir):
        remedy = "Archive it when they have ended; if they were killed, badc run records that"
        raise JobBusy(f"is being worked on: {runs}", job.job_id, remedy)
    if work := find_work(manifest):
        raise JobBusy(f"is being worked on: {work}", job.job_id, "Archive it when it has ended")
    if may_be_between_stages(manifest):
        what = "a stage has just ended, and the job is not said to be over"
        raise JobBusy(what, job.job_id, "If no other stage follows, try again in a minute")


def _write(job: JobFolders, path: Path, secrets: Secrets) -> tuple[str, Members]:
    """Writes the archive and what is beside it; the archive gets its name last."""
    with replacing(path) as aside:
        sha256, members = write_archive(aside, _additions(job), list_entries(job), secrets)
        for beside, content in (
            (_sum_of_archive(path), f"{sha256}  {path.name}\n".encode()),
            (_list_of_files(job), write_sums(members)),
        ):
            with replacing(beside) as new:
                new.write_bytes(content)
        if os.path.lexists(path):
            remedy = "Move it away, then archive the job again"
            raise OutputUnwritable("another file is there by now", path, remedy)
    return sha256, members


def _additions(job: JobFolders) -> Additions:
    """Returns what is added to the files of a job in its archive."""
    record = {
        "schema": SCHEMA_VERSION,
        "job_id": job.job_id,
        "path": str(archive_path(job)),
        "removed_at": None,
    }
    return Additions(
        name_in_archive(_list_of_files(job), "out"),
        f"{name_in_archive(job.output_dir, 'out')}/{ARCHIVE_RECORD}",
        as_text(record).encode(),
    )


def _list_of_files(job: JobFolders) -> Path:
    return job.output_dir.with_name(f"{job.job_id}.files.sha256")


def _sum_of_archive(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _require_whole(path: Path) -> str:
    """Returns the SHA-256 of an archive, which must be the one beside it."""
    sha256 = sha256_file(path)
    try:
        written = _sum_of_archive(path).read_text(encoding="utf-8", errors="replace").split()[:1]
    except FileNotFoundError:
        written = [sha256]  # the list inside is compared
    if written != [sha256]:
        remedy = "Keep the job, and move this archive away"
        raise ArchiveInvalid(f"is not what {_sum_of_archive(path).name} says", path, remedy)
    return sha256


def _require_same(
    job: JobFolders, path: Path, members: Mapping[str, Member], secrets: Secrets
) -> None:
    """Makes sure that all that is left of a job is in its archive."""
    for entry in list_entries(job):
        found = entry.describe(secrets)
        if members.get(entry.name) != found and found.kind != "other":
            raise JobBusy(
                f"is not as it is in the archive {path}: the job has changed since",
                entry.path,
                "Move that archive away, then archive the job again",
            )


def _record(job: JobFolders, path: Path, sha256: str, members: Members) -> Json:
    """Writes and returns what is known of an archive."""
    file = job.output_dir / ARCHIVE_RECORD
    before = read_object(file)
    if before.get("sha256") == sha256 and before.get("path") == str(path):
        return before
    record = {
        "schema": SCHEMA_VERSION,
        "job_id": job.job_id,
        "path": str(path),
        "sha256": sha256,
        "size_bytes": path.stat().st_size,
        "n_files": sum(one.kind == "file" for one in members.values()),
        "archived_at": now_text(),
        "archived_by": user_name(),
        "removed_at": None,
        "left": [],
    }
    write_json(file, record)
    return record


def _remove(job: JobFolders, members: Members, secrets: Secrets) -> list[str]:
    """Removes what is in an archive; returns what is left since it is not in it."""
    left: list[str] = []
    # Folders are empty once what is in them is removed.
    for entry in reversed(list(list_entries(job))):
        is_kept = entry.path.parent == job.output_dir and entry.path.name in _KEPT
        if is_kept or entry.path == job.output_dir:
            continue
        with naming_storage_trouble(entry.path):
            if not _is_removed(entry, members.get(entry.name), secrets):
                left.append(str(entry.path))
    return left


def _is_removed(entry: Entry, member: Member | None, secrets: Secrets) -> bool:
    """Removes something if it is in an archive; returns whether it is gone."""
    if member is None or entry.describe(secrets) != member:
        return False
    if member.kind == "folder":
        with suppress(OSError):
            entry.path.rmdir()
            return True
        return False
    entry.path.unlink()
    return True
