"""`datalad run` commands that do what `badc infer run` and `badc infer orchestrate` do.

Text only, for `--print-datalad-run`; how such a command is written is in
`badc_core/provenance/datalad.py`. What BADC commits itself is in `run_records.py`.
"""

from collections.abc import Iterator, Sequence

from badc_core.errors import ConfigInvalid
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.orchestrate import InferPlan
from badc_core.provenance.datalad import below, render_datalad_run, require_datalad_dataset
from badc_core.telemetry.summary import summary_path, workers_path


def render_run(run: ManifestRun, words: Sequence[str]) -> str:
    """Returns a command that has DataLad run a manifest and record it.

    Raises:
        ConfigInvalid: there is no DataLad dataset with the manifest in it.
    """
    spec = run.spec
    manifest = spec.manifests[0]
    if spec.dataset is None or not manifest.is_relative_to(spec.dataset.root):
        raise ConfigInvalid(
            "the manifest is in no dataset, so that nothing can be recorded",
            manifest,
            "Move it into the dataset, or give --dataset-root",
        )
    root, log = spec.dataset.root, spec.telemetry_log
    require_datalad_dataset(root)
    folders = [spec.output.recording(one) for one in run.recording_ids]
    outputs = (*folders, log, summary_path(log), workers_path(log))
    message = f"Detect in {', '.join(run.recording_ids)}"
    return render_datalad_run(root, message, (*spec.manifests, *run.sources), outputs, words)


def render_plan(plan: InferPlan, words: Sequence[str]) -> Iterator[str]:
    """Yields a command for every recording of a plan that can be run."""
    for one in plan.entries:
        if one.error is None:
            places = ["--output-dir", below(plan.root, one.order.output.folder)]
            places += ["--telemetry-log", below(plan.root, one.order.telemetry_log)]
            places += ["--dataset-root", "."]
            manifest = below(plan.root, one.manifest)
            yield render_datalad_run(
                plan.root,
                f"Detect in {one.recording_id}",
                [one.manifest, *one.sources],
                one.outputs,
                ["badc", "infer", "run", *places, *words, "--", manifest],
            )
