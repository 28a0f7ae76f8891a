"""What a step's commits say: which command makes its files again, from what, and which they are.

How commits are made is in `badc_core/provenance/`. The command is `badc redo` (`cli/redo.py`).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from badc_core.annexed_files import read_annex_key
from badc_core.atomic import replacing
from badc_core.datasets.dataset import Dataset
from badc_core.provenance.commits import IN_A_BATCH, Commits
from badc_core.provenance.datalad import below
from badc_core.provenance.records import RunRecord
from badc_core.recordings.registry import read_rows
from badc_core.settings import SETTINGS_FILE, Settings, load_settings
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_core.toml_files import render_value

_DECIDING = ("recordings", "chunks", "detector", "report", "speech")
"""Sections of settings that decide results."""

_CHUNK_JSON = ("inference", "chunk_json")
_TOLERATED = ("inference", "max_failed_fraction")


CORPUS_DETECTIONS = "corpus_detections"
CORPUS_REPORT = "corpus_report"
"""Names of the corpus's two steps, which take all recordings together."""


def dataset_files(dataset: Dataset) -> tuple[Path, ...]:
    """Returns the files in a dataset about it as a whole that results are made from.

    Tables that several datasets share, and that lie elsewhere, are none.
    """
    root = dataset.root
    named = (dataset.deployments, *map(Path, dataset.settings.detector.files))
    # A setting may have `..` in it, or lead through a link.
    real_root = root.resolve()
    real = dict.fromkeys(one.parent.resolve() / one.name for one in named)
    inside = [root / one.relative_to(real_root) for one in real if one.is_relative_to(real_root)]
    return (dataset.registry, root / SETTINGS_FILE, *inside)


def commit_dataset_files(dataset: Dataset, commits: Commits) -> None:
    """Commits the files about a dataset as a whole, where they have changed.

    One that was annexed, by a save before BADC's rules were there, is put into git: no clone could
    read its settings.
    """
    if commits.are_made:
        for path in dataset_files(dataset):
            if path.is_symlink() and read_annex_key(path) and path.exists():
                with replacing(path) as aside:
                    aside.write_bytes(path.read_bytes())
    rules = (dataset.root / ".gitignore", dataset.root / ".gitattributes")
    changed = commits.find_changed(one for one in (*rules, *dataset_files(dataset)))
    if changed:
        commits.commit(changed, f"Update {', '.join(one.name for one in changed)}")


def commit_leftovers(dataset: Dataset, commits: Commits) -> None:
    """Commits results that runs left uncommitted which were killed, or did not commit.

    None of those that are not to be trusted, and nothing while another run is at work: it will say
    itself how its results came about.
    """
    work = Work(dataset.work_folder)
    if not commits.are_made or _is_at_work(work):
        return
    changed = commits.find_changed(one for one in _own_folders(dataset) if one.exists())
    untrusted = set(_untrusted_files(dataset, work))
    left = [one for one in changed if untrusted.isdisjoint((one, *one.parents))]
    for start in range(0, len(left), IN_A_BATCH):
        # To add thousands takes minutes, in which another run may begin.
        if _is_at_work(work):
            return
        some = left[start : start + IN_A_BATCH]
        commits.commit(some, "Add results that earlier runs did not commit")


def _is_at_work(work: Work) -> bool:
    return work.is_busy() or work.is_corpus_in_work()


def _own_folders(dataset: Dataset) -> set[Path]:
    """Returns the folders that hold results alone; others below `artifacts` are the user's."""
    about_one = [path for stage in STAGES.values() for path in stage.outputs(dataset, "x")]
    about_one += [dataset.failure("x"), dataset.fingerprints("x"), dataset.chunk_files("x")]
    about_one += [dataset.speech("x"), dataset.telemetry("x").parent]
    return {*(one.parent for one in about_one), dataset.inference.folder, dataset.corpus.folder}


def _untrusted_files(dataset: Dataset, work: Work) -> Iterator[Path]:
    """Yields the files and folders of outputs that are damaged or half written."""
    for stage in STAGES:
        for one in work.dirty(stage):
            yield dataset.fingerprints(one)
            yield from written_files(stage, dataset, [one])


def corpus_files(dataset: Dataset) -> list[Path]:
    """Returns the files and folders with the results of all recordings, those that may be there."""
    corpus = dataset.corpus
    # The parts' files are in folders of their own: most have not changed.
    return [corpus.duckdb, corpus.parts, corpus.summary, *corpus.part_folders]


def corpus_record(step: str, dataset: Dataset) -> RunRecord:
    """Returns the record of the corpus database, or of its pages."""
    corpus = dataset.corpus
    examples = (dataset.recording, dataset.detections, dataset.effort, dataset.failure)
    sources = [one("x") for one in examples]
    # DataLad calls it an error where nothing fits a pattern.
    patterns = [
        below(dataset.root, one.with_stem("*"))
        for one in sources
        if any(one.parent.glob(f"*{one.suffix}"))
    ]
    is_page = step == CORPUS_REPORT
    inputs = [one for one in dataset_files(dataset) if one.exists()]
    written = corpus_files(dataset)
    made = (corpus.html, *corpus.page_folders) if is_page else written
    outputs = [one for one in made if os.path.lexists(one)]
    return RunRecord(
        message=f"{step}: all recordings",
        commands=(["badc", "redo", *setting_words(dataset), "--", ".", step],),
        inputs=tuple(below(dataset.root, one) for one in (*inputs, *(written if is_page else ()))),
        input_patterns=() if is_page else tuple(patterns),
        outputs=tuple(below(dataset.root, one) for one in outputs),
    )


def written_files(stage: str, dataset: Dataset, recording_ids: Sequence[str]) -> list[Path]:
    """Returns the files and folders that a stage writes, or removes, for some recordings."""
    return [path for one in recording_ids for path in STAGES[stage].writes(dataset, one)]


def commit_corpus(step: str, dataset: Dataset, commits: Commits) -> str:
    """Commits the corpus database or its pages; returns the commit, or nothing."""
    if not commits.are_made:
        return ""
    record = corpus_record(step, dataset)
    outputs = [dataset.root / one for one in record.outputs]
    return commits.commit([*outputs, dataset.corpus.fingerprints], record)


class StageRecords:
    """Makes the records of one stage's results, of settings and a registry as they are now.

    Whoever edits those files while the stage is at work changes nothing in its records.

    Args:
        stage: its name.
        dataset: under the settings that results are made with; its files are committed.
        recording_ids: whose results there may be.

    Raises:
        ConfigInvalid, DatasetInvalid: `badc.toml` or the registry is malformed.
    """

    def __init__(self, stage: str, dataset: Dataset, recording_ids: Sequence[str]) -> None:
        self._stage = STAGES[stage]
        self._dataset = dataset
        self._words = setting_words(dataset)
        reads_audio = self._stage.reads_audio
        self._rows = read_rows(dataset.registry, recording_ids) if reads_audio else {}

    def of(self, recording_ids: Sequence[str]) -> RunRecord:
        """Returns the record of the results for some recordings, at least one."""
        stage, dataset = self._stage.name, self._dataset
        words = ["badc", "redo", *self._words, "--", ".", stage, *recording_ids]
        outputs = [
            path
            for one in recording_ids
            for path in (
                *self._stage.outputs(dataset, one),
                # DataLad cannot unlock what this run did not write.
                *filter(os.path.lexists, self._stage.more_outputs(dataset, one)),
            )
        ]
        return RunRecord(
            message=f"{stage}: {_name(recording_ids)}",
            commands=(words,),
            inputs=tuple(below(dataset.root, one) for one in self._inputs(recording_ids)),
            outputs=tuple(below(dataset.root, one) for one in outputs),
        )

    def _inputs(self, recording_ids: Sequence[str]) -> Iterator[Path]:
        """Yields the files that the stage reads."""
        dataset = self._dataset
        yield from (one for one in dataset_files(dataset) if one.exists())
        for one in recording_ids:
            if one in self._rows:
                yield dataset.audio(self._rows[one].path)
            for source in self._stage.reads:
                yield from STAGES[source].outputs(dataset, one)


def setting_words(dataset: Dataset) -> list[str]:
    """Returns options for the settings that a run laid over those in `badc.toml`."""
    file = dataset.root / SETTINGS_FILE
    plain = load_settings(file)
    used = _decide(dataset.settings)
    # A clone may have another name.
    used["recordings"]["dataset_name"] = dataset.name
    words: list[str] = []
    table = dataset.settings.detector.thresholds_file
    if table != plain.detector.thresholds_file:
        # Named instead of all that is in it, which is longer than a command may be.
        plain = load_settings(file, {"detector": {"thresholds_file": table}})
        words += ["--set", f"detector.thresholds_file={render_value(table)}"]
    for place, value in _differences(used, _decide(plain)):
        words += ["--set", f"{'.'.join(place)}={render_value(value)}"]
    return words


def _name(recording_ids: Sequence[str]) -> str:
    first, *others = recording_ids
    return f"{first} to {others[-1]}, {len(recording_ids)} recordings" if others else first


def _decide(settings: Settings) -> dict[str, Any]:
    """Returns the settings that decide results."""
    content = settings.model_dump(mode="json")
    decide = {name: content[name] for name in _DECIDING}
    decide["inference"] = {key: content[section][key] for section, key in (_CHUNK_JSON, _TOLERATED)}
    return decide


def _differences(
    used: Mapping[str, Any], plain: Mapping[str, Any], place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields the place and value of each setting that differs; whole tables of the user's own."""
    model: Any = Settings
    for key in place:
        model = model.model_fields[key].annotation
    for key, value in used.items():
        if value == plain[key]:
            continue
        kind = model.model_fields[key].annotation
        if hasattr(kind, "model_fields"):
            yield from _differences(value, plain[key], (*place, key))
        else:
            yield (*place, key), value
