"""What a stage finds and leaves: inputs that must be there, outputs before and after an attempt."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import ContentMissing, OutputUnwritable, StageFailed


def require_inputs(inputs: Mapping[str, Path], skipped: Mapping[str, str]) -> None:
    """Makes sure that what a stage needs is there.

    Args:
        inputs: by what the pipeline calls them.
        skipped: input -> the stage that should have written it and was skipped.

    Raises:
        ContentMissing: an input is not there, or what is there is not by that stage.
    """
    for text, path in inputs.items():
        if text in skipped:
            what = f"{lacking(text, path)}, since the stage {skipped[text]} was skipped"
            raise ContentMissing(what, path, f"See why {skipped[text]} was")
        if not path.exists():
            remedy = "Put it there, or correct it"
            raise ContentMissing(f"the input {text} is not there", path, remedy)


def lacking(text: str, path: Path) -> str:
    """Returns what is wrong with an input that a skipped stage should have written.

    Args:
        text: what the pipeline calls it.
        path: where it is; a folder may have what other stages wrote in it.
    """
    return f"the input {text} is not {'complete' if path.is_dir() else 'there'}"


def clear_outputs(outputs: Mapping[str, Path], folder: Path, job_input: Path) -> None:
    """Removes what an attempt left, so that nobody takes it for the outputs of a success.

    Args:
        outputs: by what the pipeline calls them.
        folder: of the job; nothing outside it is removed.
        job_input: what the job is about, which may be in it, and is not removed either.

    Raises:
        OutputUnwritable: an output has the input in it, a folder on the way is a link to
            elsewhere, or something cannot be removed or created.
        StorageFull: no folder can be created.
    """
    root = folder.resolve()
    for path in outputs.values():
        if job_input.resolve().is_relative_to(path.resolve()):
            remedy = "Choose another output"
            raise OutputUnwritable("it is, or contains, the job's input", path, remedy)
        if not path.parent.resolve().is_relative_to(root):
            remedy = "Remove the link, or choose another output"
            raise OutputUnwritable("a link leads out of the job's folder", path.parent, remedy)
        with naming_storage_trouble(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)


def require_outputs(outputs: Mapping[str, Path], log: Path) -> None:
    """Makes sure that a stage has written what it declares.

    Raises:
        StageFailed: an output is not there.
    """
    missing = [text for text, path in outputs.items() if not path.exists()]
    if missing:
        what = f"it exited normally but did not write {', '.join(missing)}"
        raise StageFailed(what, remedy=f"See {log}")
