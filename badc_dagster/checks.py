"""Asset checks on the corpus database.

What is checked is in `badc_core.detections.verify`; recordings are checked inside their steps,
since checks on a hundred thousand partitions show only the last one. The checks that a
step evaluates itself are in `step_checks.py`.
"""

from collections.abc import Iterator

import dagster as dg
from dagster_duckdb import DuckDBResource

from badc_core.datasets.connections import Connection
from badc_core.detections.verify import CORPUS_CHECKS, CheckOutcome, verify_corpus
from badc_dagster.partitions import asset_key


def build_checks(connection: Connection) -> list[dg.AssetChecksDefinition]:
    """Returns the checks of a dataset's corpus."""
    resource = connection.scoped("dataset")
    key = asset_key(connection, "corpus_detections")

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
        database = DuckDBResource(
            database=str(dataset.corpus.duckdb), connection_config={"access_mode": "READ_ONLY"}
        )
        with database.get_connection() as duckdb:
            for outcome in verify_corpus(duckdb):
                if dg.AssetCheckKey(key, outcome.name) in context.selected_asset_check_keys:
                    yield _result(key, outcome)

    return [corpus_checks]


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
