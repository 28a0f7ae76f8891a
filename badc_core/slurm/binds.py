"""Which folders of this machine a container on a node must see."""

from pathlib import Path

from badc_core.settings import Settings
from badc_core.stages.contents import needed_by
from badc_core.stages.stage import STAGES
from badc_core.stages.step_inputs import StepInputs


def list_binds(inputs: StepInputs, *others: Path) -> list[Path]:
    """Returns the folders that the tasks of a step need, without those in others, in order.

    Args:
        inputs: of the step.
        others: folders that they need too.
    """
    root, stage = inputs.root, STAGES[inputs.stage]
    places = [root, *others, *_git_folders(root), *_model_folders(inputs.settings)]
    places += [one for one in root.iterdir() if one.is_symlink()]
    for one in inputs.recordings:
        needed = needed_by(stage, inputs.dataset, one.recording_id, one.registered)
        if sound := needed.sound():
            places.append(sound.resolve().parent)
    # A link leads to where it leads, in the container too.
    wanted = {one for place in places for one in (place, place.resolve()) if one.is_dir()}
    return [one for one in sorted(wanted) if not wanted & set(one.parents)]


def _git_folders(root: Path) -> list[Path]:
    """Returns the git folders of a worktree or a submodule, which are elsewhere."""
    link = root / ".git"
    if not link.is_file():
        return []
    folder = root / link.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    shared = folder / "commondir"
    if not shared.is_file():
        return [folder]
    return [folder, folder / shared.read_text(encoding="utf-8").strip()]


def _model_folders(settings: Settings) -> list[Path]:
    detector = settings.detector
    files = (
        *(detector.model.file, detector.model.labels, detector.model.function_place[0]),
        *detector.files,
    )
    places = [Path(detector.runtime), *(Path(one).parent for one in files)]
    return [one for one in places if one.is_absolute()]
