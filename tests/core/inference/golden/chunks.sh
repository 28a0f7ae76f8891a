#!/bin/bash
#SBATCH --job-name=badc-chunk
#SBATCH --array=1-3
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --requeue
# badc chunk orchestrate: writes chunk files.
# Submit it with sbatch.
# Single-quoted strings are literal:
# shellcheck disable=SC1003,SC1110,SC1111,SC1112,SC2016,SC2088
set -euo pipefail

DATASET='/data/archive'
RECORDINGS=(
  'a'
  'b'
  'c'
)
AUDIO=(
  'audio/a.wav'
  'audio/b.wav'
  'audio/c.wav'
)
MANIFESTS=(
  'manifests/a.csv'
  'manifests/b.csv'
  'manifests/c.csv'
)
OUTPUTS=(
  'artifacts/chunks/a'
  'artifacts/chunks/b'
  'artifacts/chunks/c'
)
INPUTS=(
  'audio/a.wav'
  'audio/b.wav'
  'audio/c.wav'
)

IDX=$((SLURM_ARRAY_TASK_ID - 1))
if ((IDX < 0 || IDX >= 3)); then
  printf 'badc: the tasks are 1 to 3, there is no %s\n' "$SLURM_ARRAY_TASK_ID" >&2
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
CMD=(
  badc chunk run --chunk-duration 60 --overlap 3 --include-existing
  --output-dir "${OUTPUTS[IDX]}" --manifest "${MANIFESTS[IDX]}" -- "${AUDIO[IDX]}"
)
run "${CMD[@]}" || end "$?"
