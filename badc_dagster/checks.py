"""Asset checks on the corpus.

What is checked is in `badc_core.corpus.rules` and, whether files are as they were written, in
`badc_core.integrity`; recordings are checked inside their steps, since checks on a hundred thousand
partitions show only the last one. The checks that a step evaluates itself are in `step_checks.py`.
"""

from collections.abc import Iterator

import dagster as dg

from badc_core.corpus.rules import CORPUS_CHECKS, CheckOutcome
from badc_core.corpus.verifying import check_corpus
from badc_core.datasets.connections import Connection
from badc_core.integrity.findings import Report
from badc_core.integrity.verifying import verify_sample
from badc_core.stages.step_records import CORPUS_DETECTIONS
from badc_dagster.failures import as_failures
from badc_dagster.partitions import asset_key

FILES_INTACT = "files_intact"

_SAMPLE = 50
_SHOWN = 5
_INTACT_DESCRIPTION = (
    f"The files of {_SAMPLE} recordings, others each time, are as they were written. What is not "
    "is marked, and the next run makes it again. All files: badc verify DATASET."
)


def build_checks(connection: Connection) -> list[dg.AssetChecksDefinition]:
    """Returns the checks of a dataset's corpus."""
    resource = connection.scoped("dataset")
    key = asset_key(connection, CORPUS_DETECTIONS)

    @dg.multi_asset_check(
        name=connection.scoped("corpus_checks"),
        specs=[
            dg.AssetCheckSpec(check.name, asset=key, description=check.description)
            for check in CORPUS_CHECKS
        ],
        required_resource_keys={resource},
        can_subset=True,
    )
    def corpus_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        dataset = getattr(context.resources, resource)
        with as_failures():
            outcomes = {one.name: one for one in check_corpus(dataset)}
        for check in CORPUS_CHECKS:
            if dg.AssetCheckKey(key, check.name) in context.selected_asset_check_keys:
                yield _result(key, outcomes[check.name])

    @dg.asset_check(
        asset=key,
        name=FILES_INTACT,
        description=_INTACT_DESCRIPTION,
        required_resource_keys={resource},
    )
    def files_intact(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with as_failures():
            dataset = getattr(context.resources, resource)
            report = verify_sample(dataset, _SAMPLE, context.run.run_id)
            return _files_result(report)

    return [corpus_checks, files_intact]


def _files_result(report: Report) -> dg.AssetCheckResult:
    examples = [f"{one.path}: {one.what}" for one in report.findings[:_SHOWN]]
    return dg.AssetCheckResult(
        passed=not report.findings,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_INTACT_DESCRIPTION,
        metadata={
            "violations": len(report.findings),
            "recordings": report.n_recordings,
            "files": report.n_files,
            "files_elsewhere": report.n_elsewhere,
            "examples": "; ".join(examples) or "-",
        },
    )


def _result(key: dg.AssetKey, outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=outcome.name,
        passed=outcome.passed,
        severity=(
            dg.AssetCheckSeverity.WARN if outcome.is_warning else dg.AssetCheckSeverity.ERROR
        ),
        description=outcome.description,
        metadata={"violations": outcome.violations, "examples": "; ".join(outcome.examples) or "-"},
    )
