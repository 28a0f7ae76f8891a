"""`badc redo`: makes results again from files, as the records of commits ask for.

`datalad rerun` types it. Nothing is skipped because it is there, nothing is committed, and no asset
graph is needed or told: whoever wants results brought up to date uses `badc run`.
"""

import os
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, print_error
from badc_core.cli.setting_options import SettingOptions
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.exports.step import redo_export
from badc_core.settings import SETTINGS_FILE
from badc_core.stages.export_outputs import EVERY_EXPORT, form_of
from badc_core.stages.stage import STAGES
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT
from badc_core.steps import build_corpus_step, inputs_from_files, run_step
from badc_core.units import counted

_STEPS = (*STAGES, CORPUS_DETECTIONS, CORPUS_REPORT)
_CORPUS = (CORPUS_DETECTIONS, CORPUS_REPORT, *EVERY_EXPORT)


@taking_options
def redo(
    dataset: DatasetFolder,
    stage: Annotated[
        str, typer.Argument(metavar="STAGE", help=f"One of {', '.join(_STEPS)}, or export_FORMAT.")
    ],
    options: SettingOptions,
    out: Output,
    recordings: Annotated[
        list[str] | None, typer.Argument(metavar="RECORDING...", help="None for the corpus.")
    ] = None,
) -> None:
    """Make results again, to the byte; `datalad rerun` calls this."""
    if stage not in (*STAGES, *_CORPUS):
        raise OptionInvalid(f"no stage is called {stage!r}", "STAGE")
    if bool(recordings) == (stage in _CORPUS):
        what = "takes no recordings" if recordings else "needs at least one recording"
        raise OptionInvalid(f"{stage} {what}", "RECORDING...")
    options.settings(dataset / SETTINGS_FILE)  # which refuses an option by its name
    opened = Dataset.open(dataset, options.overrides())
    if recordings:
        _redo_stage(opened, stage, recordings, out)
    else:
        form = form_of(stage)
        redo_export(opened, form) if form else build_corpus_step(opened, stage)
        out.say(f"{stage} made again")


def _redo_stage(dataset: Dataset, stage: str, recordings: list[str], out: Output) -> None:
    inputs = inputs_from_files(dataset, stage, recordings, f"redo_{os.getpid()}")
    n_failed = 0
    for outcome in run_step(inputs):
        if outcome.error is not None:
            n_failed += 1
            print_error(outcome.error)
    out.say(f"{stage} of {counted(len(recordings) - n_failed, 'recording')} made again")
    if n_failed:
        raise typer.Exit(1)
