"""A Slurm batch script that runs a plan of `badc infer orchestrate`, a task for each recording.

Text only. What it has in common with other such scripts is in `slurm_array.py`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.status import STATUS_FILE
from badc_core.inference.orchestrate import InferEntry, InferPlan
from badc_core.provenance.datalad import below
from badc_core.slurm_array import (
    ArrayJob,
    expand_variables,
    list_inputs,
    quote,
    render_array,
    require_line,
)
from badc_core.telemetry.summary import summary_path, workers_path

_NAMES = """\
MANIFEST="${MANIFESTS[IDX]}"
OUTPUT="${OUTPUTS[IDX]}"
KEPT="${TELEMETRY[IDX]}"
"""

_GUARD = """\
# Chunk files are analysed only if all of them were written; ranges of recordings have no status.
STATUS="${CHUNK_STATUS[IDX]}"
OR=', or make this script with --allow-partial-chunks'
COMPLETED='"status"[[:space:]]*:[[:space:]]*"completed"'
if [[ -n "$STATUS" && ! -e "$STATUS" ]]; then
  printf 'badc: %s: there is no such file; run badc chunk orchestrate%s\\n' "$STATUS" "$OR" >&2
  exit 2
fi
if [[ -n "$STATUS" ]] && ! grep -Eq -e "$COMPLETED" -- "$STATUS"; then
  printf 'badc: %s: not completed; run badc chunk orchestrate%s\\n' "$STATUS" "$OR" >&2
  exit 3
fi
"""

_LOG_HERE = """\
LOG="$KEPT"
"""

_LOG_DIR = """\
# Telemetry is written in LOG_DIR, goes on from what is kept in the dataset, and is copied back.
# shellcheck disable=SC2154
LOG_DIR={folder}
# The folder is of this task alone: other datasets have recordings of the same name.
LOG="$LOG_DIR/${{SLURM_ARRAY_JOB_ID:-$$}}_$SLURM_ARRAY_TASK_ID/${{KEPT##*/}}"
mkdir -p -- "${{LOG%/*}}"
for END in '' {summary}; do
  if [[ -L "$KEPT$END" && ! -e "$KEPT$END" ]]; then
    printf 'badc: %s: its content is not here; run datalad get\\n' "$KEPT$END" >&2
    exit 1
  fi
  if [[ -f "$KEPT$END" ]]; then
    cp -u --no-preserve=mode -- "$KEPT$END" "$LOG$END"
  fi
done
"""

_COMMAND = """\
CMD=(
  badc infer run --output-dir "$OUTPUT" --telemetry-log "$LOG" --dataset-root .
  {words}
)
"""

_RESUME = """\
RESUME="${{RESUMES[IDX]}}"
if [[ -e "$LOG{summary}" || -L "$LOG{summary}" ]]; then
  printf 'Resume: what succeeded according to %s is skipped\\n' "$RESUME"
  CMD+=(--resume-summary "$LOG{summary}")
else
  printf 'Resume: there is no %s; what has a result is skipped\\n' "$RESUME"
fi
"""

_RUN = """\
CODE=0
run "${CMD[@]}" -- "$MANIFEST" || CODE=$?
"""

_COPY_BACK = """\
mkdir -p -- "${{KEPT%/*}}" || true
for END in '' {summary} {workers}; do
  PART="${{KEPT%/*}}/.${{KEPT##*/}}$END.part"
  if [[ -f "$LOG$END" ]] && ! {{ cp -- "$LOG$END" "$PART" && mv -f -- "$PART" "$KEPT$END"; }}; then
    printf 'badc: %s: cannot be copied into the dataset\\n' "$LOG$END" >&2
    ((CODE != 0)) || CODE=1
  fi
done
"""

_REQUIRE = """\
if ((CODE != 0)); then
  end "$CODE"
fi
"""

_BUNDLE = """\
PREFIX={folder}/"${{RECORDINGS[IDX]}}"
AGG_CMD=(
  badc infer aggregate --dataset-root . --parquet "$PREFIX.parquet"
  --output "${{PREFIX}}_summary.csv" --manifest "$MANIFEST" -- "$OUTPUT"
)
BUNDLE_CMD=(badc report bundle --parquet "$PREFIX.parquet" --bucket-minutes {bucket_minutes})
run "${{AGG_CMD[@]}}" || end "$?"
run "${{BUNDLE_CMD[@]}}" || end "$?"
"""

_PLACES = """\
printf 'Results: %s\\n' "$OUTPUT"
if [[ -f "$KEPT{summary}" ]]; then
  printf 'Telemetry summary: %s\\n' "$KEPT{summary}"
fi
"""

_BUNDLE_PLACES = """\
printf 'Table: %s\\n' "${PREFIX}_summary.csv" "$PREFIX.parquet"
printf 'Database: %s\\n' "$PREFIX.duckdb"
"""


@dataclass(frozen=True)
class ArrayOutputs:
    """What tasks write beside results, and what they take up.

    Attributes:
        resume_completed: take up the summary of an earlier run, where there is one.
        bundle_folder: for a table and a bundle of each recording, relative to the dataset or
            absolute; None for no bundles.
        bucket_minutes: width of a bucket of their timelines.
        log_dir: where telemetry is written before it is copied into the dataset; relative to that,
            absolute, or with variables of the node. Empty for the dataset itself.
    """

    resume_completed: bool = False
    bundle_folder: str | None = None
    bucket_minutes: int = 60
    log_dir: str = ""


def render_infer_array(
    plan: InferPlan, words: Sequence[str], job: ArrayJob, outputs: ArrayOutputs
) -> str:
    """Returns the script that runs the recordings of a plan that can be run.

    Raises:
        ConfigInvalid: a path that a script cannot have.
    """
    root = plan.root
    entries = [one for one in plan.entries if one.error is None]
    statuses = [_status_file(one) for one in entries]
    paths = {
        "MANIFESTS": [one.manifest for one in entries],
        "OUTPUTS": [one.outputs[0] for one in entries],
        "TELEMETRY": [one.order.telemetry_log for one in entries],
    }
    columns = {name: [_name(root, one) for one in column] for name, column in paths.items()}
    columns["RECORDINGS"] = [require_line(one.recording_id) for one in entries]
    has_guard = not any(one.order.allow_partial_chunks for one in entries)
    if has_guard:
        columns["CHUNK_STATUS"] = [_name(root, one) if one else "" for one in statuses]
    if outputs.resume_completed:
        columns["RESUMES"] = [_name(root, summary_path(log)) for log in paths["TELEMETRY"]]
    read = [
        [
            below(root, path)
            for path in (one.manifest, *one.sources, status, *one.outputs[1:3])
            if path
        ]
        for one, status in zip(entries, statuses, strict=True)
    ]
    inputs, fetch = list_inputs(root, read)
    body = _NAMES + fetch + _GUARD * has_guard + _render_body(words, outputs)
    title = "badc infer orchestrate: runs a detector over chunks."
    return render_array(job, title, root, {**columns, **inputs}, body)


def count_without_status(plan: InferPlan) -> int:
    """Returns how many recordings have chunk files without a status: tasks refuse them."""
    allowed = [one for one in plan.entries if one.error is None]
    guarded = [_status_file(one) for one in allowed if not one.order.allow_partial_chunks]
    return sum(one is not None and not os.path.lexists(one) for one in guarded)


def _name(root: Path, path: Path) -> str:
    return require_line(below(root, path))


def _render_body(words: Sequence[str], outputs: ArrayOutputs) -> str:
    log, files = Path("log"), {"summary": summary_path, "workers": workers_path}
    endings = {name: path(log).name.removeprefix(log.name) for name, path in files.items()}
    logs = {"folder": expand_variables(outputs.log_dir), **endings}
    parts = [
        _LOG_DIR.format(**logs) if outputs.log_dir else _LOG_HERE,
        _COMMAND.format(words=" ".join(map(quote, words))),
        _RESUME.format(**endings) * outputs.resume_completed,
        _RUN,
        _COPY_BACK.format(**logs) if outputs.log_dir else "",
        _REQUIRE,
    ]
    places = _PLACES.format(**endings)
    if outputs.bundle_folder is None:
        return "".join([*parts, places])
    folder = quote(require_line(outputs.bundle_folder))
    bundle = _BUNDLE.format(folder=folder, bucket_minutes=outputs.bucket_minutes)
    return "".join([*parts, bundle, places, _BUNDLE_PLACES])


def _status_file(entry: InferEntry) -> Path | None:
    """Returns the status of a recording's chunk files; None where its chunks are ranges of it."""
    folders = [one if one.is_dir() else one.parent for one in entry.sources]
    has_files = entry.chunk_folder in folders or any(one.is_dir() for one in entry.sources)
    named = [entry.chunk_folder] if has_files else []
    statuses = [one / STATUS_FILE for one in (*named, *folders)]
    missing = statuses[0] if has_files else None
    return next((one for one in statuses if os.path.lexists(one)), missing)
