"""Every command of the original BADC and its options are in docs/commands.md, and can be typed."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from badc_core.cli.app import build_app
from badc_core.cli.replaced import find_replacement

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "commands.md"

ORIGINAL = {
    "version": "",
    "gpus": "",
    "telemetry": "--log",
    "data connect": "NAME --path --url --method --pull --dry-run",
    "data disconnect": "NAME --drop-content --path --dry-run",
    "data status": "--details --show-siblings",
    "chunk probe": "FILE --initial-duration --max-duration --tolerance --gpu-index --log",
    "chunk split": "FILE --chunk-duration",
    "chunk manifest": "FILE --chunk-duration --output --hash-chunks",
    "chunk run": "FILE --chunk-duration --overlap --output-dir --manifest --dry-run",
    "chunk orchestrate": "DATASET --pattern --chunk-duration --overlap --manifest-dir --chunks-dir"
    " --include-existing --limit --print-datalad-run --apply --plan-csv --plan-json"
    " --record-datalad --workers",
    "infer run": "MANIFEST --manifest --max-gpus --output-dir --runner-cmd --telemetry-log"
    " --max-retries --use-hawkears --stub-runner --hawkears-arg --cpu-workers"
    " --print-datalad-run --resume-summary --worker-per-gpu",
    "infer orchestrate": "DATASET --manifest-dir --chunk-plan --chunks-dir --output-dir"
    " --telemetry-dir --include-existing --limit --plan-csv --plan-json --print-datalad-run"
    " --apply --record-datalad --resume-completed --allow-partial-chunks --use-hawkears"
    " --stub-runner --hawkears-arg --max-gpus --cpu-workers --max-retries --runner-cmd --bundle"
    " --bundle-aggregate-dir --bundle-bucket-minutes --bundle-rollup --bundle-rollup-limit"
    " --bundle-rollup-export-dir --sockeye-script --sockeye-job-name --sockeye-account"
    " --sockeye-partition --sockeye-gres --sockeye-time --sockeye-cpus-per-task --sockeye-mem"
    " --sockeye-resume-completed --sockeye-bundle --sockeye-log-dir",
    "infer run-config": "FILE --print-datalad-run",
    "infer aggregate": "DIR --output --parquet --manifest",
    "infer monitor": "--log --tail --follow --interval",
    "report summary": "--parquet --group-by --output --limit",
    "report quicklook": "--parquet --top-labels --top-recordings --output-dir",
    "report parquet": "--parquet --top-labels --top-recordings --bucket-minutes --output-dir",
    "report duckdb": "--parquet --database --bucket-minutes --top-labels --top-recordings"
    " --export-dir",
    "report bundle": "--parquet --output-dir --run-prefix --bucket-minutes --quicklook"
    " --parquet-report --duckdb-report --duckdb-database --quicklook-top-labels"
    " --quicklook-top-recordings --parquet-top-labels --parquet-top-recordings"
    " --duckdb-top-labels --duckdb-top-recordings",
    "report aggregate-dir": "DIR --limit --export-dir",
    "pipeline run": "DATASET --chunk-plan --chunk-duration --chunk-overlap"
    " --infer-include-existing --resume-completed --bundle --bundle-bucket-minutes"
    " --bundle-rollup --bundle-rollup-limit --bundle-rollup-export-dir --stub-runner"
    " --use-hawkears --cpu-workers --record-datalad",
}
OPTIONS = [(one, option) for one, options in ORIGINAL.items() for option in options.split() or [""]]

_ROW = re.compile(
    r"^\| `badc ([a-z -]+?)` \| (?:`([^`]+)`)? ?\|(.*)\| `([a-z0-9_/]+\.py)` \|$", re.M
)


@cache
def rows():
    """Returns (command, option) -> the file of tests that types it."""
    found = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {(command, option): tests for command, option, _, tests in found}


@cache
def command(name):
    found = typer.main.get_command(build_app())
    for word in name.split():
        found = found.commands[word]
    return found


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_it_is_in_the_table_and_can_be_typed(name, option):
    assert (name, option) in rows(), "docs/commands.md"
    known = {one.metavar for one in command(name).params}
    known |= {each for one in command(name).params for each in (*one.opts, *one.secondary_opts)}
    group, _, last = name.rpartition(" ")
    line = find_replacement(group.split(), [last, option])
    assert not option or option in known or line


def test_the_table_has_nothing_else_and_names_tests_that_type_it():
    assert set(rows()) == set(OPTIONS)
    for (_, option), tests in rows().items():
        text = (REPOSITORY / tests).read_text(encoding="utf-8")
        wanted = option.removeprefix("--").replace("-", "[-_]")
        assert not option.startswith("--") or re.search(wanted, text), (option, tests)
