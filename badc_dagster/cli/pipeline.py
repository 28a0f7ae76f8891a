"""`badc pipeline run`: the original's command for everything, as a front to `badc run`.

What its options meant of chunk files and bundles, `badc run` does by itself; those that would say
otherwise have a line in `badc_core/cli/replaced.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from badc_core.cli.dataset_argument import RecordingsFolder, make_dataset
from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.setting_options import SettingOptions
from badc_core.corpus.reading import has_corpus, open_corpus
from badc_core.corpus.summaries import adding_to_folder, write_rollup
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import choose_chunks
from badc_core.file_names import absolute
from badc_core.options import OptionSpec
from badc_core.plan_files import write_plan_json
from badc_core.provenance.commits import Commits
from badc_core.provenance.datalad import below
from badc_core.recordings.registry import Registry
from badc_dagster.cli.run import RunUse, bring_up_to_date

pipeline = make_group("Analyse a dataset with the original's options.")


@dataclass(frozen=True)
class PipelineOptions(SettingOptions):
    """The original's options of everything at once."""

    command: ClassVar[str] = "badc pipeline run"

    chunk_plan: Annotated[
        Path, OptionSpec("Plan of all recordings' chunks, written before they are analysed.")
    ] = Path("plans/pipeline_chunks.json")
    chunk_duration: Annotated[
        float | None,
        OptionSpec("Length of a chunk, seconds.", "badc.toml's", setting="chunks.duration_s"),
    ] = None
    chunk_overlap: Annotated[
        float | None,
        OptionSpec(
            "How much a chunk repeats of the one before, seconds.",
            "badc.toml's",
            setting="chunks.overlap_s",
        ),
    ] = None
    bundle_bucket_minutes: Annotated[
        int | None,
        OptionSpec("Width of a timeline bucket.", "badc.toml's", setting="report.bucket_minutes"),
    ] = None
    infer_include_existing: Annotated[
        bool, OptionSpec("Also recordings that have results: what is due of them is done.")
    ] = True
    resume_completed: Annotated[
        bool, OptionSpec("Use what was analysed with these settings before.")
    ] = True
    bundle: Annotated[bool, OptionSpec("Write a report bundle of each recording.")] = True
    bundle_rollup: Annotated[bool, OptionSpec("Write the report of all recordings.")] = True
    bundle_rollup_limit: Annotated[int, OptionSpec("Species shown.", least=1)] = 20
    bundle_rollup_export_dir: Annotated[
        Path | None,
        OptionSpec("Also write label_summary.csv and recording_summary.csv there."),
    ] = None
    limit: Annotated[int, OptionSpec("At most this many recordings; 0: all.", least=0)] = 0


@pipeline.command("run")
@taking_options
def run(dataset: RecordingsFolder, options: PipelineOptions, out: Output) -> None:
    """Chunk, detect, aggregate and report: what is due of a dataset, as badc run does."""

    def write_plan(opened: Dataset, registry: Registry) -> None:
        if _write_chunk_plan(opened, registry, options.chunk_plan):
            out.say(f"Plan: {options.chunk_plan}")
            # Where nothing can be committed, the run says so.
            Commits(opened, lambda _: None).commit([absolute(options.chunk_plan)], "Plan chunks")

    dataset = make_dataset(dataset, options)
    use = RunUse(options.limit, None, options.bundle_rollup_limit, write_plan)
    try:
        bring_up_to_date(dataset, options, use, out)
    finally:
        if options.bundle_rollup_export_dir is not None:
            _export(dataset, options.bundle_rollup_export_dir, out)


def _write_chunk_plan(dataset: Dataset, registry: Registry, path: Path) -> bool:
    """Writes the plan unless it says the same already; returns whether it did."""
    chunks, root = choose_chunks(dataset.settings), dataset.root
    entries = [
        {
            "recording_id": one.recording_id,
            "audio_path": one.path,
            "manifest_path": below(root, dataset.manifest(one.recording_id)),
            "chunk_output_dir": below(root, dataset.chunk_files(one.recording_id)),
            "chunk_duration": chunks.duration_s,
            "overlap": chunks.overlap_s,
        }
        for one in registry
    ]
    try:
        if json.loads(path.read_text(encoding="utf-8")) == entries:
            return False
    except (OSError, ValueError):
        pass
    write_plan_json(path, entries)
    return True


def _export(dataset: Path, folder: Path, out: Output) -> None:
    opened = Dataset.open(dataset)
    if has_corpus(opened):
        with open_corpus(opened) as connection, adding_to_folder(folder) as aside:
            write_rollup(connection, aside)
        out.say(f"Tables: {folder}")
