"""What outputs were made from, and which bytes they are: a small text file for each recording.

Dagster has the fingerprints as well, but in the home that made the outputs. These files go
where the outputs go, so that whoever clones a dataset, or lost the home, carries on without making
anything again (`badc_dagster/taking_over.py`). A file is written after the outputs it is about, and
has their checksums: outputs that were replaced later, by a run that was killed, differ from them.
How fingerprints are computed is in `fingerprints.py`.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import is_key_of, lacks_content, read_annex_key
from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import digest_json, sha256_file
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_core.validation import explain_invalid

SCHEMA_VERSION = 1

_REMEDY = "Restore it from version control, or the next run makes again what it is about"


@dataclass(frozen=True)
class FileSum:
    """Which bytes a file has."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredOutput:
    """An output, as it was written.

    Attributes:
        fingerprint: what it was made from.
        code_version: of its stage.
        files: path relative to the dataset -> its bytes.
    """

    fingerprint: str
    code_version: str
    files: dict[str, FileSum]


@dataclass(frozen=True)
class FingerprintFile:
    """The content of a file.

    Attributes:
        schema: version of this format.
        about: the recording_id; empty for the corpus.
        outputs: stage or corpus asset -> its output.
    """

    schema: int
    about: str
    outputs: dict[str, StoredOutput]


_FILE = TypeAdapter(FingerprintFile)


def sum_files(dataset: Dataset, paths: Iterable[Path]) -> dict[str, FileSum]:
    """Returns which bytes files of a dataset have, by their path relative to it.

    Files whose content is elsewhere are left out: a pointer to a content has other bytes.
    """
    here = [one for one in paths if not lacks_content(one)]
    return {dataset.below(one): FileSum(one.stat().st_size, sha256_file(one)) for one in here}


def store_fingerprint(
    dataset: Dataset, stage: str, recording_id: str, fingerprint: str
) -> StoredOutput:
    """Writes down, and returns, what a recording's output was made from, which was just written.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    output = describe_output(dataset, stage, recording_id, fingerprint)
    store_outputs(dataset, dataset.fingerprints(recording_id), recording_id, {stage: output})
    return output


def describe_output(
    dataset: Dataset, stage: str, recording_id: str, fingerprint: str
) -> StoredOutput:
    """Returns an output as it is, made by the code of now."""
    entry = STAGES[stage]
    files = sum_files(dataset, entry.files(dataset, recording_id))
    return StoredOutput(fingerprint, entry.code_version, files)


def store_outputs(
    dataset: Dataset,
    path: Path,
    about: str,
    outputs: Mapping[str, StoredOutput],
) -> None:
    """Enters outputs into a file of fingerprints, and leaves the others there as they are.

    Args:
        dataset: whose outputs.
        path: of the file; one that cannot be read is replaced.
        about: the recording_id; empty for the corpus.
        outputs: stage or corpus asset -> its output as it was written.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    with Work(dataset.work_folder).storing_fingerprints(about):
        before: Mapping[str, StoredOutput] = {}
        with suppress(DatasetInvalid):
            before = read_stored(path, about)
        after = {**before, **outputs}
        if after == before:
            return
        order = [*(one for one in STAGES if one in after), *sorted(after.keys() - STAGES.keys())]
        content = FingerprintFile(SCHEMA_VERSION, about, {one: after[one] for one in order})
        write_text(path, json.dumps(asdict(content), indent=1, ensure_ascii=False) + "\n")


def store_if_remade(dataset: Dataset, stage: str, recording_id: str) -> None:
    """Writes down the bytes of an output that was made again from files, if they are others.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    path, paths = dataset.fingerprints(recording_id), STAGES[stage].outputs(dataset, recording_id)
    describe = partial(describe_output, dataset, stage, recording_id)
    store_if_other(dataset, path, recording_id, stage, paths, describe)


def store_if_other(
    dataset: Dataset,
    path: Path,
    about: str,
    name: str,
    paths: Iterable[Path],
    describe: Callable[[str], StoredOutput],
) -> None:
    """Writes down an output that was made again, if its bytes are others.

    What it was made from then serves as no settings of now, so that it is due. Nothing is written
    of an output of which nothing was.

    Args:
        dataset: whose output.
        path: of the file of fingerprints.
        about: the recording_id; empty for the corpus.
        name: the stage or corpus asset.
        paths: the files that the output must have; others do not make it due.
        describe: returns the output as it is now, for a fingerprint.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    try:
        before = read_stored(path, about).get(name)
    except DatasetInvalid:
        return
    if before is None:
        return
    now = describe(before.fingerprint)
    if now.files == before.files:
        return
    sums = {below: now.files[below] for below in (dataset.below(one) for one in paths)}
    if not sums.items() <= before.files.items():
        contents = {below: one.sha256 for below, one in sums.items()}
        now = replace(now, fingerprint=f"remade-{digest_json(contents)}")
    store_outputs(dataset, path, about, {name: now})


def read_stored(path: Path, about: str) -> Mapping[str, StoredOutput]:
    """Returns what a file says of each output; nothing where there is no such file.

    Raises:
        DatasetInvalid: it is damaged, of another schema version, or about something else.
    """
    try:
        content = _FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DatasetInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except ValidationError as error:
        what = f"not a file of fingerprints ({explain_invalid(error)})"
        raise DatasetInvalid(what, path, _REMEDY) from error
    if (content.schema, content.about) != (SCHEMA_VERSION, about):
        what = f"schema {content.schema} about {content.about or 'the corpus'}, expected "
        what += f"{SCHEMA_VERSION} about {about or 'the corpus'}"
        raise DatasetInvalid(what, path, _REMEDY)
    return content.outputs


def list_stored(dataset: Dataset) -> dict[str, int]:
    """Returns when the file of each recording that has one was put in place, in ns since 1970.

    That is the time its name, owner or content changed last, which no copying sets back.
    """
    folder, ending = dataset.fingerprints("x").parent, ".json"
    found: dict[str, int] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ending) and not entry.name.startswith("."):
                changed_ns = entry.stat(follow_symlinks=False).st_ctime_ns
                found[entry.name.removesuffix(ending)] = changed_ns
    return found


def find_difference(
    dataset: Dataset, paths: Iterable[Path], output: StoredOutput, *, in_full: bool
) -> Path | None:
    """Returns the first file that is not as it was written; None if all are.

    Args:
        dataset: whose output.
        paths: the files that the output must have.
        output: as it was written.
        in_full: whether every byte counts, or just the sizes.
    """
    for path in paths:
        wanted = output.files.get(dataset.below(path))
        if wanted is None or not _is_same(path, wanted, in_full=in_full):
            return path
    return None


def _is_same(path: Path, wanted: FileSum, *, in_full: bool) -> bool:
    if lacks_content(path):
        return is_key_of(read_annex_key(path), wanted.size_bytes, wanted.sha256)
    try:
        if path.stat().st_size != wanted.size_bytes:
            return False
        return not in_full or sha256_file(path) == wanted.sha256
    except OSError:
        return False
