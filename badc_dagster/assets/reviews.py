"""Checking detections by ear: queues, their sounds, what people say, and thresholds from it.

People save verdicts into the dataset's folder `reviews` (`badc review import`). What is recommended
here changes no result; `badc review apply` puts it beside the settings.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.provenance.commits import Commits
from badc_core.reviews.candidates import Choice
from badc_core.reviews.commits import commit_queue, commit_results
from badc_core.reviews.queue import (
    QueueOrder,
    add_sounds,
    draw_queue,
    newest_queue,
    next_name,
    read_queue,
)
from badc_core.reviews.results import (
    DEFAULT_PRECISION,
    summarize_reviews,
    write_recommended,
    write_verdicts,
)
from badc_core.reviews.sampling import DEFAULT_STRATEGY, STRATEGIES, Sampling
from badc_dagster.failures import as_failures
from badc_dagster.liveness import show_alive
from badc_dagster.metadata import commit_metadata
from badc_dagster.partitions import STAGE_TAG, asset_key, owners_of

Made = Iterator[dg.MaterializeResult[Any]]


class QueueConfig(dg.Config):
    """How detections are drawn, and from which; as the options of `badc review queue`."""

    strategy: str = Field(DEFAULT_STRATEGY, description=f"One of {', '.join(STRATEGIES)}.")
    per_species: int = Field(Sampling.per_label, ge=1, description="How many of each label.")
    species: list[str] = Field([], description="Only these labels or names; empty: all.")
    stations: list[str] = Field([], description="Only these stations; empty: all.")
    max_per_recording: int = Field(
        Sampling.max_per_recording, ge=0, description="Of each label; 0 for any number."
    )
    min_spacing_s: float = Field(
        Sampling.min_spacing_s, ge=0, description="Between two of a label in a recording."
    )
    padding_s: float = Field(
        QueueOrder.padding_s, ge=0, le=60, description="Sound before and after each."
    )
    ask_again: bool = Field(
        False, description="Also draw those whose verdict is uncertain or disputed."
    )
    seed: int = Field(Sampling.seed, ge=0, description="Another seed draws others.")

    def order(self) -> QueueOrder:
        """Returns what the queue is to have."""
        sampling = Sampling(
            self.strategy, self.per_species, self.seed, self.max_per_recording, self.min_spacing_s
        )
        choice = Choice(tuple(self.species), tuple(self.stations))
        return QueueOrder(sampling, choice, self.padding_s, self.ask_again)


class ThresholdsConfig(dg.Config):
    """What thresholds are recommended for."""

    precision: float = Field(
        DEFAULT_PRECISION, ge=0, le=1, description="Share of detections to be right."
    )


def build(connection: Connection) -> list[dg.AssetsDefinition]:
    """Returns the four assets, which are made only where somebody asks for it."""
    return [
        _build_queue(connection),
        _build_clips(connection),
        _build_verdicts(connection),
        _build_thresholds(connection),
    ]


def _asset(
    connection: Connection, source: str, kind: str, description: str
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Returns the decorator of an asset that is made from another one."""
    return dg.asset(
        key_prefix=connection.key_prefix,
        group_name=f"{connection.name}_review",
        owners=owners_of(connection),
        tags={STAGE_TAG: "review"},
        deps=[asset_key(connection, source)],
        kinds={kind},
        required_resource_keys={connection.scoped("dataset")},
        description=description,
    )


@contextmanager
def _opened(
    context: dg.AssetExecutionContext, connection: Connection
) -> Iterator[tuple[Dataset, Commits]]:
    """Yields the dataset, and the commits of its results."""
    with as_failures():
        show_alive(context.run.run_id)
        dataset = getattr(context.resources, connection.scoped("dataset"))
        yield dataset, Commits(dataset, context.log.warning)


def _build_queue(connection: Connection) -> dg.AssetsDefinition:
    said = "A new queue of detections to check by ear, of those without a verdict."

    @_asset(connection, "corpus_detections", "csv", said)
    def review_queue(context: dg.AssetExecutionContext, config: QueueConfig) -> Made:
        with _opened(context, connection) as (dataset, commits):
            queue = draw_queue(dataset, next_name(dataset), config.order())
            commit = commit_queue(queue, commits)
            yield dg.MaterializeResult(
                metadata={
                    "queue": queue.name,
                    "detections": len(queue.rows),
                    "labels": len(queue.population),
                    "path": dg.MetadataValue.path(queue.paths.table),
                    **commit_metadata(commit),
                }
            )

    return review_queue


def _build_clips(connection: Connection) -> dg.AssetsDefinition:
    said = "Sounds and pictures of the newest queue, and the page on which to judge them."

    @_asset(connection, "review_queue", "html", said)
    def review_clips(context: dg.AssetExecutionContext) -> Made:
        with _opened(context, connection) as (dataset, commits):
            queue = read_queue(dataset, newest_queue(dataset))
            cuts = add_sounds(dataset, queue)
            for recording_id, why in cuts.left_out.items():
                context.log.warning(f"{recording_id}: nothing could be cut out of it ({why})")
            commit = commit_queue(queue, commits)
            yield dg.MaterializeResult(
                metadata={
                    "queue": queue.name,
                    "sounds": len(cuts.made),
                    "left_out": len(queue.rows) - len(cuts.made),
                    "page": dg.MetadataValue.path(queue.paths.page),
                    "dagster/uri": queue.paths.page.as_uri(),
                    **commit_metadata(commit),
                }
            )

    return review_clips


def _build_verdicts(connection: Connection) -> dg.AssetsDefinition:
    said = "What people say of detections, and how many are right by label and score."

    @_asset(connection, "review_clips", "parquet", said)
    def verdicts(context: dg.AssetExecutionContext) -> Made:
        with _opened(context, connection) as (dataset, commits):
            results = summarize_reviews(dataset, DEFAULT_PRECISION)
            path, precision = written = write_verdicts(dataset, results)
            commit = commit_results(dataset, "results", DEFAULT_PRECISION, written, commits)
            yield dg.MaterializeResult(
                metadata={
                    "judged": len(results.judged),
                    "correct": sum(one.correct for one in results.labels),
                    "incorrect": sum(one.incorrect for one in results.labels),
                    "left_out": sum(results.left_out.values()),
                    "path": dg.MetadataValue.path(path),
                    "precision": dg.MetadataValue.path(precision),
                    **commit_metadata(commit),
                }
            )

    return verdicts


def _build_thresholds(connection: Connection) -> dg.AssetsDefinition:
    said = "Recommended thresholds and curves; none is used before `badc review apply`."

    @_asset(connection, "verdicts", "csv", said)
    def thresholds(context: dg.AssetExecutionContext, config: ThresholdsConfig) -> Made:
        with _opened(context, connection) as (dataset, commits):
            results = summarize_reviews(dataset, config.precision)
            paths = dataset.reviews
            written = write_recommended(results, paths.calibration, paths.thresholds)
            commit = commit_results(dataset, "results", config.precision, written, commits)
            chosen = [one for one in results.labels if one.recommendation.threshold is not None]
            yield dg.MaterializeResult(
                metadata={
                    "wanted_precision": config.precision,
                    "with_threshold": len(chosen),
                    "calibrated": sum(one.calibration.is_usable for one in results.labels),
                    "path": dg.MetadataValue.path(paths.thresholds),
                    "curves": dg.MetadataValue.path(paths.calibration),
                    **commit_metadata(commit),
                }
            )

    return thresholds
