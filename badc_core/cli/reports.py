"""The group `badc report`: reports on Parquet files, and `badc report DATASET`.

A dataset is named where a command would be: what is no command's name is a dataset's.
"""

from typing import Any

from badc_core.cli.groups import CommandGroup, make_group
from badc_core.cli.report import report
from badc_core.cli.report_tables import (
    aggregate_dir,
    bundle,
    duckdb_report,
    parquet_report,
    quicklook,
    summary,
)

_DATASET = "dataset"
_HELP = ("--help",)


class _ReportGroup(CommandGroup):
    """A group whose default command takes a dataset."""

    default_command = _DATASET

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Returns the words after the command, which is that of datasets where none is named."""
        if args and args[0] not in (*self.commands, *_HELP):
            args = [_DATASET, *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the command; that of datasets has no name in messages, as nobody types it."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == _DATASET else name, command, rest


reports = make_group(
    "Show what was found. Type badc report DATASET, or a command for Parquet files. "
    "Options of badc report DATASET: --open, --serve, --port, --recording, --limit; "
    "they are explained by badc report DATASET --help.",
    _ReportGroup,
)
reports.command(_DATASET)(report)
reports.command("summary")(summary)
reports.command("quicklook")(quicklook)
reports.command("parquet")(parquet_report)
reports.command("duckdb")(duckdb_report)
reports.command("bundle")(bundle)
reports.command("aggregate-dir")(aggregate_dir)
