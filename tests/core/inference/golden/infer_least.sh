#!/bin/bash
#SBATCH --job-name=badc-infer
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
LOG="$KEPT"
CMD=(
  badc infer run --output-dir "$OUTPUT" --telemetry-log "$LOG" --dataset-root .
  --max-gpus 1
)
CODE=0
run "${CMD[@]}" -- "$MANIFEST" || CODE=$?
if ((CODE != 0)); then
  end "$CODE"
fi
printf 'Results: %s\n' "$OUTPUT"
if [[ -f "$KEPT.summary.json" ]]; then
  printf 'Telemetry summary: %s\n' "$KEPT.summary.json"
fi
