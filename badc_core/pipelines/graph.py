"""Which stages must be over before another begins, and an order of all of them.

A stage depends on those that write what it reads, and on those that it names. A path without a
placeholder, and not absolute, is inside the job's folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

from badc_core.errors import ConfigInvalid
from badc_core.pipelines.templates import fill_in, has_placeholder

IN_JOB = "{output_dir}/"
COPY = "pipeline.toml"
"""The copy of the pipeline's file in the job's folder."""

_OF_JOB = {"stages", "manifest.json", "pipeline.json", COPY, "job_info.json", "job.env"}
"""What the job's folder has anyway; see docs/jobs.md."""


@dataclass(frozen=True)
class Links:
    """What connects a stage with others; the fields are those of `definition.PipelineStage`."""

    name: str
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...]


def order_stages(stages: Sequence[Links], path: Path) -> dict[str, tuple[str, ...]]:
    """Returns what each stage depends on, in an order in which they can run.

    Stages that need not be in any order are in that of the file.

    Args:
        stages: in the order of the file.
        path: of the file, for messages.

    Raises:
        ConfigInvalid: a name or an output is there twice, nothing writes an input, or stages wait
            for each other.
    """
    _require_unique([one.name for one in stages], path)
    writers = _find_writers(stages, path)
    names = [one.name for one in stages]
    depends_on = {one.name: _find_dependencies(one, writers, names, path) for one in stages}
    sorter = TopologicalSorter(depends_on)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        remedy = "Take one of them out of the inputs, or out of after"
        raise ConfigInvalid(f"stages wait for each other: {circle}", path, remedy) from error
    ordered: dict[str, tuple[str, ...]] = {}
    while len(ordered) < len(names):
        # The first of the file that can run, so that a file in order stays as it is.
        ready = next(
            one for one in names if one not in ordered and ordered.keys() >= {*depends_on[one]}
        )
        ordered[ready] = depends_on[ready]
    return ordered


def place_in_job(text: str) -> PurePosixPath | None:
    """Returns the path of an input or output inside the job's folder; None if it is elsewhere."""
    plain = text.removeprefix(IN_JOB)
    if has_placeholder(plain):
        return None
    path = PurePosixPath(fill_in(plain, {}))
    return None if path.is_absolute() else path


def _find_writers(stages: Sequence[Links], path: Path) -> dict[PurePosixPath, str]:
    """Returns output -> the stage that writes it."""
    writers: dict[PurePosixPath, str] = {}
    for stage in stages:
        for text in stage.outputs:
            place = _output_place(text, f"{path}: stage {stage.name}")
            for other, writer in writers.items():
                if _overlap(place, other):
                    raise ConfigInvalid(
                        f"{place} is written by stage {writer} too ({other})",
                        f"{path}: stage {stage.name}",
                        "Let each output have one writer, and another path",
                    )
            writers[place] = stage.name
    return writers


def _output_place(text: str, where: str) -> PurePosixPath:
    remedy = "Use a path such as audio/audio.wav, in which nothing is replaced"
    plain = text.removeprefix(IN_JOB)
    place = PurePosixPath(plain)
    if not place.parts or place.is_absolute() or {"..", "\0"} & {*place.parts, *plain}:
        raise ConfigInvalid(f"the output {text!r} is not inside the job's folder", where, remedy)
    if {"{", "}"} & {*plain}:
        raise ConfigInvalid(f"the output {text!r} has braces", where, remedy)
    if place.parts[0] in _OF_JOB or place.parts[0].startswith("."):
        raise ConfigInvalid(f"the output {text!r} would replace a file of the job", where, remedy)
    return place


def _find_dependencies(
    stage: Links, writers: dict[PurePosixPath, str], names: Sequence[str], path: Path
) -> tuple[str, ...]:
    where = f"{path}: stage {stage.name}"
    found = set()
    for text in (*stage.inputs, *stage.optional_inputs):
        place = place_in_job(text)
        if place is None:
            continue
        of_input = {writer for output, writer in writers.items() if _overlap(place, output)}
        if not of_input:
            remedy = (
                "Add it to the outputs of the stage that writes it, or use an absolute path, "
                "{input} or {pipeline_dir}/..."
            )
            raise ConfigInvalid(f"no stage writes the input {text}", where, remedy)
        found |= of_input
    for name in stage.after:
        if name not in names:
            what = f"after: there is no stage {name}; there are {', '.join(names)}"
            raise ConfigInvalid(what, where, "Correct the name")
        found.add(name)
    if stage.name in found:
        remedy = "Let it read what other stages write"
        raise ConfigInvalid("the stage waits for itself", where, remedy)
    return tuple(name for name in names if name in found)


def _require_unique(names: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        # Their logs and records are files, which some file systems take for one.
        if name.casefold() in seen:
            raise ConfigInvalid(f"two stages have the name {name}", path, "Rename one of them")
        seen.add(name.casefold())


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
