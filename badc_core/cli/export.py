"""`badc export`: results in the forms that other programs read."""

from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import refusing_options, taking_options
from badc_core.cli.output import Output
from badc_core.datasets.dataset import Dataset
from badc_core.exports.formats import FORMATS
from badc_core.exports.selection import ExportSelection
from badc_core.exports.writing import ExportOrder, require_format, write_export
from badc_core.units import counted


def _require_format(context: typer.Context, form: str) -> str:
    # Before DATASET is looked for: they may have been exchanged.
    if not context.resilient_parsing:
        with refusing_options():
            require_format(form)
    return form


@taking_options
def export(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.", callback=_require_format
        ),
    ],
    selection: ExportSelection,
    out: Output,
    dataset: DatasetFolder = Path(),
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder, empty or with an older export.", show_default="artifacts/exports/FORMAT"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace files that somebody changed.")
    ] = False,
) -> None:
    """Write detections for Raven, Audacity, WildTrax, R and others."""
    order = ExportOrder(form, selection, output, overwrites=overwrite)
    written = write_export(Dataset.open(dataset), order)
    recordings = counted(written.recordings, "recording")
    found = counted(written.detections, "detection")
    files = counted(written.files, "file")
    if written.files_written < written.files:
        files += f" ({written.files_written} new or changed)"
    out.say(f"{recordings}, {found}, {files}: {written.folder}")
    for one in written.notes:
        out.warn(one)
    out.give(written)
