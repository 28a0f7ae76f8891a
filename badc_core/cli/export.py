"""`badc export`: results in the forms that other programs read."""

from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.datasets.dataset import Dataset
from badc_core.exports.formats import FORMATS
from badc_core.exports.selection import Selection
from badc_core.exports.writing import write_export
from badc_core.units import counted


@taking_options
def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")],
    selection: Selection,
    out: Output,
    dataset: DatasetFolder = Path(),
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder; an older export is replaced.", show_default="artifacts/exports/FORMAT"
        ),
    ] = None,
) -> None:
    """Write detections for Raven, Audacity, WildTrax, R and others."""
    written = write_export(Dataset.open(dataset), form, selection, output)
    recordings = counted(written.recordings, "recording")
    found = counted(written.detections, "detection")
    out.say(f"{recordings}, {found}, {counted(written.files, 'file')}: {written.folder}")
    for one in written.notes:
        out.warn(one)
    out.give(written)
