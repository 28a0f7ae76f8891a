"""Checking detections by ear: queues, their sounds, what people say, and thresholds from it.

People save verdicts into the dataset's folder `reviews` (`badc review import`). What is recommended
here changes no result; `badc review apply` puts it beside the settings.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from badc_core.datasets.connections import Connection
from badc_core.errors import OptionInvalid
from badc_core.reviews.queue import (
    QueueOrder,
    add_sounds,
    draw_queue,
    newest_queue,
    next_name,
    read_queue,
)
from badc_core.reviews.results import summarize_reviews, write_recommended, write_verdicts
from badc_core.reviews.sampling import DEFAULT_STRATEGY, STRATEGIES, Sampling
from badc_dagster.failures import as_failures
from badc_dagster.liveness import show_alive
from badc_dagster.partitions import STAGE_TAG, asset_key, owners_of

Made = Iterator[dg.MaterializeResult[Any]]

_WANTED = 0.9
_TAGS = {STAGE_TAG: "review"}


class QueueConfig(dg.Config):
    """How detections are drawn."""

    strategy: str = Field(DEFAULT_STRATEGY, description=f"One of {', '.join(STRATEGIES)}.")
    per_species: int = Field(Sampling.per_label, ge=1, description="How many of each label.")
    seed: int = Field(Sampling.seed, ge=0, description="Another seed draws others.")


class ThresholdsConfig(dg.Config):
    """What thresholds are recommended for."""

    precision: float = Field(_WANTED, ge=0, le=1, description="Share of detections to be right.")


def build(connection: Connection) -> list[dg.AssetsDefinition]:
    """Returns the four assets, which are made only where somebody asks for it."""
    return [
        _build_queue(connection),
        _build_clips(connection),
        _build_verdicts(connection),
        _build_thresholds(connection),
    ]


def _group(connection: Connection) -> str:
    return f"{connection.name}_review"


def _build_queue(connection: Connection) -> dg.AssetsDefinition:
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=_group(connection),
        owners=owners_of(connection),
        tags=_TAGS,
        deps=[asset_key(connection, "corpus_detections")],
        kinds={"csv"},
        required_resource_keys={resource},
        description="A new queue of detections to check by ear, of those without a verdict.",
    )
    def review_queue(context: dg.AssetExecutionContext, config: QueueConfig) -> Made:
        with as_failures():
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            if config.strategy not in STRATEGIES:
                raise OptionInvalid(f"use one of {', '.join(STRATEGIES)}", "strategy")
            sampling = Sampling(config.strategy, config.per_species, config.seed)
            queue = draw_queue(dataset, next_name(dataset), QueueOrder(sampling))
            yield dg.MaterializeResult(
                metadata={
                    "queue": queue.name,
                    "detections": len(queue.rows),
                    "labels": len(queue.population),
                    "path": dg.MetadataValue.path(queue.paths.table),
                }
            )

    return review_queue


def _build_clips(connection: Connection) -> dg.AssetsDefinition:
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=_group(connection),
        owners=owners_of(connection),
        tags=_TAGS,
        deps=[asset_key(connection, "review_queue")],
        kinds={"html"},
        required_resource_keys={resource},
        description="Sounds and pictures of the newest queue, and the page on which to judge them.",
    )
    def review_clips(context: dg.AssetExecutionContext) -> Made:
        with as_failures():
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            queue = read_queue(dataset, newest_queue(dataset))
            cuts = add_sounds(dataset, queue)
            for recording_id, why in cuts.left_out.items():
                context.log.warning(f"{recording_id}: nothing could be cut out of it ({why})")
            yield dg.MaterializeResult(
                metadata={
                    "sounds": len(cuts.made),
                    "left_out": len(queue.rows) - len(cuts.made),
                    "page": dg.MetadataValue.path(queue.paths.page),
                    "dagster/uri": queue.paths.page.as_uri(),
                }
            )

    return review_clips


def _build_verdicts(connection: Connection) -> dg.AssetsDefinition:
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=_group(connection),
        owners=owners_of(connection),
        tags=_TAGS,
        deps=[asset_key(connection, "review_clips")],
        kinds={"parquet"},
        required_resource_keys={resource},
        description="What people say of detections, and how many are right by label and score.",
    )
    def verdicts(context: dg.AssetExecutionContext) -> Made:
        with as_failures():
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            results = summarize_reviews(dataset, _WANTED)
            path, precision = write_verdicts(dataset, results)
            yield dg.MaterializeResult(
                metadata={
                    "judged": len(results.judged),
                    "correct": sum(one.correct for one in results.labels),
                    "incorrect": sum(one.incorrect for one in results.labels),
                    "of_other_versions": results.n_of_others,
                    "path": dg.MetadataValue.path(path),
                    "precision": dg.MetadataValue.path(precision),
                }
            )

    return verdicts


def _build_thresholds(connection: Connection) -> dg.AssetsDefinition:
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=_group(connection),
        owners=owners_of(connection),
        tags=_TAGS,
        deps=[asset_key(connection, "verdicts")],
        kinds={"csv"},
        required_resource_keys={resource},
        description="Recommended thresholds and curves; none is used before `badc review apply`.",
    )
    def thresholds(context: dg.AssetExecutionContext, config: ThresholdsConfig) -> Made:
        with as_failures():
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            results = summarize_reviews(dataset, config.precision)
            paths = dataset.reviews
            write_recommended(results, paths.calibration, paths.thresholds)
            chosen = [one for one in results.labels if one.recommendation.threshold is not None]
            yield dg.MaterializeResult(
                metadata={
                    "wanted_precision": config.precision,
                    "with_threshold": len(chosen),
                    "calibrated": sum(one.calibration.is_usable for one in results.labels),
                    "path": dg.MetadataValue.path(paths.thresholds),
                    "curves": dg.MetadataValue.path(paths.calibration),
                }
            )

    return thresholds
