#!/bin/bash
#SBATCH --job-name=birds
#SBATCH --account=st-owl-1
#SBATCH --partition=gpu,gpu-long
#SBATCH --gres=gpu:1
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --array=1-2
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --requeue
# badc infer orchestrate: runs a detector over chunks.
# Submit it with sbatch.
# Single-quoted strings are literal:
# shellcheck disable=SC1003,SC1110,SC1111,SC1112,SC2016,SC2088
set -euo pipefail

DATASET='/data/archive'
MANIFESTS=(
  'a.csv'
  'b.csv'
)
OUTPUTS=(
  'out/a'
  'out/b'
)
TELEMETRY=(
  'a/0.jsonl'
  'b/1.jsonl'
)
RECORDINGS=(
  'a'
  'b'
)
CHUNK_STATUS=(
  'chunks/a/.chunk_status.json'
  'chunks/b/.chunk_status.json'
)
RESUMES=(
  'a/0.jsonl.summary.json'
  'b/1.jsonl.summary.json'
)
INPUTS=(
  'a.csv
chunks/a
chunks/a/.chunk_status.json
a/0.jsonl
a/0.jsonl.summary.json'
  'b.csv
chunks/b
chunks/b/.chunk_status.json
b/1.jsonl
b/1.jsonl.summary.json'
)

IDX=$((SLURM_ARRAY_TASK_ID - 1))
if ((IDX < 0 || IDX >= 2)); then
  printf 'badc: the tasks are 1 to 2, there is no %s\n' "$SLURM_ARRAY_TASK_ID" >&2
  exit 64
fi

CHILD=""
STOPPED=""
SIGNALLED=""

# Stops the running command; what it has done is kept.
stop() {
  SIGNALLED=yes
  if [[ -z "$STOPPED" && -n "$CHILD" ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
  fi
  STOPPED="${STOPPED:-$1}"
}
trap 'stop USR1' USR1
trap 'stop TERM' TERM

# Runs a command and returns its exit code. A signal ends `wait` before its process has ended.
run() {
  local code
  "$@" &
  CHILD=$!
  if [[ -n "$STOPPED" ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
  fi
  while true; do
    SIGNALLED=""
    code=0
    wait "$CHILD" || code=$?
    if [[ -z "$SIGNALLED" ]]; then
      break
    fi
  done
  CHILD=""
  return "$code"
}

# Ends the task; back in the queue if its time was over, where it goes on from what is done.
end() {
  local task="${SLURM_ARRAY_JOB_ID:-}_$SLURM_ARRAY_TASK_ID"
  if [[ "$STOPPED" != USR1 ]]; then
    exit "$1"
  fi
  if ((${SLURM_RESTART_COUNT:-0} < 3)) && scontrol requeue "$task"; then
    printf 'badc: out of time: requeued, to continue\n' >&2
  else
    printf 'badc: out of time; submit the script again to go on\n' >&2
  fi
  exit 75
}

cd -- "$DATASET"
# For badc slurm logs: the recording, where all this is printed, and in the end the exit code.
NOTE=".badc/array_tasks/${SLURM_ARRAY_JOB_ID:-}_$SLURM_ARRAY_TASK_ID"
note() {
  {
    mkdir -p -- "${NOTE%/*}"
    [[ -e "${NOTE%/*/*}/.gitignore" ]] || printf '*\n' >"${NOTE%/*/*}/.gitignore"
    printf '%s\n' "$@" >>"$NOTE"
  } 2>/dev/null || true
}
if [[ -n "${SLURM_ARRAY_JOB_ID:-}" ]]; then
  rm -f -- "$NOTE" 2>/dev/null || true
  note "${RECORDINGS[IDX]}" "$(readlink "/proc/$$/fd/1" || true)"
  trap 'note "$?"' EXIT
fi
MANIFEST="${MANIFESTS[IDX]}"
OUTPUT="${OUTPUTS[IDX]}"
KEPT="${TELEMETRY[IDX]}"
# Fetches what git-annex keeps elsewhere; on a node without DataLad, badc does as far as it can.
FETCHED=()
while IFS= read -r ONE; do
  if [[ -e "$ONE" || -L "$ONE" ]]; then
    FETCHED+=("$ONE")
  fi
done <<<"${INPUTS[IDX]}"
if ((${#FETCHED[@]} > 0)) && command -v datalad >/dev/null; then
  run datalad get -- "${FETCHED[@]}" || end "$?"
fi
# Chunk files are analysed only if all of them were written; ranges of recordings have no status.
STATUS="${CHUNK_STATUS[IDX]}"
OR=', or make this script with --allow-partial-chunks'
COMPLETED='"status"[[:space:]]*:[[:space:]]*"completed"'
if [[ -n "$STATUS" && ! -e "$STATUS" ]]; then
  printf 'badc: %s: there is no such file; run badc chunk orchestrate%s\n' "$STATUS" "$OR" >&2
  exit 2
fi
if [[ -n "$STATUS" ]] && ! grep -Eq -e "$COMPLETED" -- "$STATUS"; then
  printf 'badc: %s: not completed; run badc chunk orchestrate%s\n' "$STATUS" "$OR" >&2
  exit 3
fi
# Telemetry is written in LOG_DIR, goes on from what is kept in the dataset, and is copied back.
# shellcheck disable=SC2154
LOG_DIR='/scratch/'"${USER}"'/badc'
# The folder is of this task alone: other datasets have recordings of the same name.
LOG="$LOG_DIR/${SLURM_ARRAY_JOB_ID:-$$}_$SLURM_ARRAY_TASK_ID/${KEPT##*/}"
mkdir -p -- "${LOG%/*}"
for END in '' .summary.json; do
  if [[ -L "$KEPT$END" && ! -e "$KEPT$END" ]]; then
    printf 'badc: %s: its content is not here; run datalad get\n' "$KEPT$END" >&2
    exit 1
  fi
  if [[ -f "$KEPT$END" ]]; then
    cp -u --no-preserve=mode -- "$KEPT$END" "$LOG$END"
  fi
done
CMD=(
  badc infer run --output-dir "$OUTPUT" --telemetry-log "$LOG" --dataset-root .
  --use-hawkears
)
RESUME="${RESUMES[IDX]}"
if [[ -e "$LOG.summary.json" || -L "$LOG.summary.json" ]]; then
  printf 'Resume: what succeeded according to %s is skipped\n' "$RESUME"
  CMD+=(--resume-summary "$LOG.summary.json")
else
  printf 'Resume: there is no %s; what has a result is skipped\n' "$RESUME"
fi
CODE=0
run "${CMD[@]}" -- "$MANIFEST" || CODE=$?
mkdir -p -- "${KEPT%/*}" || true
for END in '' .summary.json .summary.json.workers.csv; do
  PART="${KEPT%/*}/.${KEPT##*/}$END.part"
  if [[ -f "$LOG$END" ]] && ! { cp -- "$LOG$END" "$PART" && mv -f -- "$PART" "$KEPT$END"; }; then
    printf 'badc: %s: cannot be copied into the dataset\n' "$LOG$END" >&2
    ((CODE != 0)) || CODE=1
  fi
done
if ((CODE != 0)); then
  end "$CODE"
fi
PREFIX='artifacts/aggregate'/"${RECORDINGS[IDX]}"
AGG_CMD=(
  badc infer aggregate --dataset-root . --parquet "$PREFIX.parquet"
  --output "${PREFIX}_summary.csv" --manifest "$MANIFEST" -- "$OUTPUT"
)
BUNDLE_CMD=(badc report bundle --parquet "$PREFIX.parquet" --bucket-minutes 30)
run "${AGG_CMD[@]}" || end "$?"
run "${BUNDLE_CMD[@]}" || end "$?"
printf 'Results: %s\n' "$OUTPUT"
if [[ -f "$KEPT.summary.json" ]]; then
  printf 'Telemetry summary: %s\n' "$KEPT.summary.json"
fi
printf 'Table: %s\n' "${PREFIX}_summary.csv" "$PREFIX.parquet"
printf 'Database: %s\n' "$PREFIX.duckdb"
