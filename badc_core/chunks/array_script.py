"""A Slurm batch script that writes the chunk files of a plan, a task for each recording; text only.

What it has in common with other such scripts is in `slurm_array.py`.
"""

from badc_core.chunks.orchestrate import ChunkPlan
from badc_core.provenance.datalad import below
from badc_core.slurm_array import ArrayJob, list_inputs, render_array, require_line
from badc_core.units import write_seconds

_BODY = """\
{fetch}\
CMD=(
  badc chunk run --chunk-duration {duration} --overlap {overlap}{anew}
  --output-dir "${{OUTPUTS[IDX]}}" --manifest "${{MANIFESTS[IDX]}}" -- "${{AUDIO[IDX]}}"
)
run "${{CMD[@]}}" || end "$?"
"""


def render_chunk_array(plan: ChunkPlan, job: ArrayJob) -> str:
    """Returns the script.

    Raises:
        ConfigInvalid: a path that a script cannot have.
    """
    root, cut = plan.dataset.root, plan.cut
    audio = [below(root, one.name.file) for one in plan.places]
    inputs, fetch = list_inputs(root, [[one] for one in audio])
    columns = {
        "RECORDINGS": [require_line(one.name.recording_id) for one in plan.places],
        "AUDIO": [*map(require_line, audio)],
        "MANIFESTS": [require_line(below(root, one.manifest)) for one in plan.places],
        "OUTPUTS": [require_line(below(root, one.folder)) for one in plan.places],
        **inputs,
    }
    body = _BODY.format(
        fetch=fetch,
        duration=write_seconds(cut.duration_s),
        overlap=write_seconds(cut.overlap_s),
        anew=" --include-existing" * cut.include_existing,
    )
    return render_array(job, "badc chunk orchestrate: writes chunk files.", root, columns, body)
