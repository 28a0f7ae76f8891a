"""All recordings of a dataset together: their results in one place, and the pages about them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from badc_core.corpus.building import aggregate_corpus
from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTION_COLUMNS
from badc_core.hashing import digest_json, sha256_file
from badc_core.provenance.commits import Commits
from badc_core.recordings.registry import read_registry
from badc_core.site.highlights import find_highlights
from badc_core.site.writing import write_site
from badc_core.stages.corpus_outputs import store_corpus_fingerprint
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT, commit_corpus
from badc_core.stages.work import Work
from badc_dagster.corpus_fingerprint import corpus_fingerprint, corpus_report_fingerprint
from badc_dagster.failures import as_failures
from badc_dagster.fingerprint_tags import latest_fingerprint
from badc_dagster.liveness import show_alive
from badc_dagster.metadata import column_schema, commit_metadata, corpus_metadata
from badc_dagster.partitions import STAGE_TAG, asset_key, owners_of, settings_of
from badc_dagster.recording_step import Results
from badc_dagster.report_metadata import highlights_metadata, page_metadata
from badc_dagster.step_job import StepJob


def _freshness(connection: Connection) -> dg.FreshnessPolicy | None:
    """Returns when the corpus is called too old, where the settings say so."""
    hours = settings_of(connection).web_interface.fresh_within_h
    return dg.FreshnessPolicy.time_window(timedelta(hours=hours)) if hours else None


def _incomplete(dataset: Dataset, fingerprint: str) -> str:
    """Returns what takes the place of the fingerprint of a corpus that lacks results."""
    return f"incomplete-{digest_json([fingerprint, sha256_file(dataset.corpus.parts)])}"


def build_corpus_detections(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that brings every recording's results together: `corpus/building.py`."""
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=connection.name,
        owners=owners_of(connection),
        tags={STAGE_TAG: "corpus"},
        freshness_policy=_freshness(connection),
        deps=[asset_key(connection, "detections")],
        description="Every recording's detections, effort and failures: Parquet files by station "
        "and month, and a DuckDB file with views of them.",
        kinds={"duckdb", "parquet"},
        metadata={"dagster/column_schema": column_schema(DETECTION_COLUMNS)},
        required_resource_keys={resource},
    )
    def corpus_detections(context: dg.AssetExecutionContext) -> Results:
        with as_failures():
            dataset = getattr(context.resources, resource)
            with StepJob(context, connection, CORPUS_DETECTIONS) as job:
                yield from _corpus_detections(context, connection, dataset, job)

    return corpus_detections


def _corpus_detections(
    context: dg.AssetExecutionContext, connection: Connection, dataset: Dataset, job: StepJob
) -> Iterator[dg.MaterializeResult[Any]]:
    show_alive(context.run.run_id)
    registry = read_registry(dataset.registry)
    fingerprint = corpus_fingerprint(context.instance, connection, dataset, registry)
    commits = Commits(dataset, context.log.warning)
    with Work(dataset.work_folder).writing_corpus():
        totals = aggregate_corpus(dataset)
        found = find_highlights(dataset)
        # What was damaged will be made again, and what was not here fetched; then this must be too.
        # Exports are due by it, so it says which results there are.
        version = fingerprint if totals.is_complete else _incomplete(dataset, fingerprint)
        stored = store_corpus_fingerprint(dataset, CORPUS_DETECTIONS, version)
        # Still locked, since git-annex would put a link to the old file over a newer one.
        commit = commit_corpus(CORPUS_DETECTIONS, dataset, commits)
    job.add_outputs(stored.files)
    job.add_metadata(commit=commit, recordings=totals.recordings, detections=totals.detections)
    yield dg.MaterializeResult(
        metadata={
            **corpus_metadata(totals, dataset.corpus.duckdb),
            **highlights_metadata(found),
            **commit_metadata(commit),
        },
        data_version=dg.DataVersion(version),
    )


def build_corpus_report(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that writes the pages about a dataset, its stations and its species."""
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=connection.name,
        owners=owners_of(connection),
        tags={STAGE_TAG: "corpus"},
        freshness_policy=_freshness(connection),
        deps=[asset_key(connection, one) for one in (CORPUS_DETECTIONS, "report_bundle")],
        description="The pages about the dataset, each station and each species.",
        kinds={"html"},
        required_resource_keys={resource},
    )
    def corpus_report(context: dg.AssetExecutionContext) -> Results:
        with as_failures(), StepJob(context, connection, CORPUS_REPORT) as job:
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            place = context.instance, connection
            source = latest_fingerprint(context.instance, asset_key(connection, CORPUS_DETECTIONS))
            registry = read_registry(dataset.registry)
            fingerprint = corpus_report_fingerprint(*place, registry, source)
            commits = Commits(dataset, context.log.warning)
            with Work(dataset.work_folder).writing_corpus():
                site = write_site(dataset)
                found = find_highlights(dataset, site.page.read_text(encoding="utf-8"))
                stored = store_corpus_fingerprint(dataset, CORPUS_REPORT, fingerprint)
                commit = commit_corpus(CORPUS_REPORT, dataset, commits)
            job.add_outputs(stored.files)
            job.add_metadata(commit=commit, pages_written=len(site.written) + 1)
            yield dg.MaterializeResult(
                metadata={
                    "pages_written": len(site.written) + 1,
                    "pages_removed": len(site.removed),
                    "pages_unchanged": site.n_unchanged,
                    **page_metadata(dataset, site.page),
                    **highlights_metadata(found),
                    **commit_metadata(commit),
                },
                data_version=dg.DataVersion(fingerprint),
            )

    return corpus_report
