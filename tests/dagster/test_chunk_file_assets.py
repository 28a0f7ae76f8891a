"""What becomes of a dataset's chunk files, and of results from them, once `badc run` is used."""

from pathlib import Path

from badc_core.chunks.orchestrate import DatasetCut, cut_dataset, plan_dataset
from badc_core.chunks.requests import read_requests
from badc_core.cli.orchestrate_inference import DatasetRunOptions
from badc_core.inference.orchestrate import InferEntry, plan_inference, run_plan
from badc_dagster.runs import Project


def cut(graph, **folders: Path) -> None:
    plan = plan_dataset(DatasetCut(graph.root, duration_s=2.0, **folders), register=True)
    assert [one.error for one in cut_dataset(plan)] == [None]


def is_file(graph, folder: str) -> bool:
    manifest = graph.root / folder / "rec_1.csv"
    return bool(read_requests([manifest], graph.root)["rec_1"][0].is_file)


def left(graph, folder: str) -> tuple[InferEntry, ...]:
    run = DatasetRunOptions(graph.root, manifest_dir=Path(folder), cpu_workers=1)
    return plan_inference(run.request()).entries


def test_the_asset_graph_puts_its_own_manifests_in_place_of_those_of_files(graph):
    for number in (2, 3):
        (graph.root / "audio" / "S1" / f"rec_{number}.wav").unlink()
    graph.configure("[chunks]\nduration_s = 2.0\n")
    cut(graph)
    cut(graph, manifest_dir=Path("kept"), chunks_dir=Path("kept_chunks"))
    plan = plan_inference(DatasetRunOptions(graph.root, cpu_workers=1).request())
    assert [one.error for one in run_plan(plan)] == [None]
    assert left(graph, "manifests") == ()
    with Project.open(graph.root) as project:
        project.scan()
        assert project.bring_up_to_date().n_finished == 1
        assert (is_file(graph, "manifests"), is_file(graph, "kept")) == (False, True)
        assert [one.n_left for one in left(graph, "manifests")] == [
            one.n_chunks for one in plan.entries
        ]
        assert plan_dataset(DatasetCut(graph.root, duration_s=2.0)).count_replaced() == 1
        cut(graph)
        assert is_file(graph, "manifests")
        assert graph.due() == {}
