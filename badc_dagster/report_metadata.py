"""The metadata of reports: where the page is, and what was found, to be seen without opening it.

The web interface shows pictures of data URIs in Markdown, and follows links to http only.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from badc_core.datasets.dataset import Dataset
from badc_core.reports.bundle import BundleOutcome
from badc_core.reports.highlights import Highlights
from badc_core.site.serving import page_address
from badc_dagster.metadata import table_text


def bundle_metadata(made: BundleOutcome, dataset: Dataset) -> dict[str, Any]:
    """Returns the metadata of a report bundle."""
    return {
        **page_metadata(dataset, dataset.bundle(made.recording_id).html),
        **highlights_metadata(made.highlights),
        "detections": made.detections,
        "labels": made.labels,
        "effort_s": made.effort_s,
        "dead_s": made.dead_s,
        "chunks_failed": made.failed_chunks,
        "page_bytes": made.page_bytes,
    }


def page_metadata(dataset: Dataset, page: Path) -> dict[str, Any]:
    """Returns where a page is, and its address where the settings say that it is served."""
    server = dataset.settings.web_interface.reports_url
    served = {"page": dg.MetadataValue.url(page_address(server, dataset, page))} if server else {}
    return {**served, "report": dg.MetadataValue.path(page), "dagster/uri": page.as_uri()}


def highlights_metadata(found: Highlights) -> dict[str, Any]:
    """Returns the top species with a picture; nothing where nothing was detected."""
    if not found.species:
        return {}
    columns = ["name", "detections", "best score"]
    rows = [[one["name"], one["detections"], f"{one['best']:.2f}"] for one in found.species]
    if any(one["not_expected"] for one in found.species):
        columns.append("not expected here")
        rows = [
            [*row, one["not_expected"] or ""] for row, one in zip(rows, found.species, strict=True)
        ]
    parts = [table_text(columns, rows)]
    if found.picture is not None:
        parts[:0] = [f"![{found.picture.title}]({found.picture.uri})", found.picture.title]
    if found.n_more:
        parts.append(f"and {found.n_more} more")
    return {"highlights": dg.MetadataValue.md("\n\n".join(parts))}
