"""The text of commits that say how files came about: run records as DataLad writes and reads them.

`datalad rerun` takes such a commit's command and runs it again. Text only: what is committed, and
when, is in `committer.py`.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Self

from badc_core.provenance.datalad import quote_pattern, quote_placeholders

_START = "=== Do not change lines below ==="
_END = "^^^ Do not change lines above ^^^"


@dataclass(frozen=True)
class RunRecord:
    """How files came about.

    Attributes:
        message: first line of the commit.
        commands: each as words; run one after the other they write the files again, the same to
            the byte.
        inputs: files that the commands read, relative to `folder`; absolute outside the dataset.
        outputs: files and folders that they write, given in the same way.
        input_patterns: the same as `inputs`, as patterns that DataLad fills in.
    """

    message: str
    commands: tuple[Sequence[str], ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    input_patterns: tuple[str, ...] = ()

    def inside(self) -> Self:
        """Returns the record without files outside the dataset, which DataLad refuses."""
        return replace(self, inputs=_inside(self.inputs), outputs=_inside(self.outputs))

    def render(self, folder: str = ".", dataset_id: str = "") -> str:
        """Returns the message of the commit.

        Args:
            folder: in which the commands are run, relative to the repository.
            dataset_id: DataLad's, of the repository; empty where it has none.

        Source: datalad/core/local/run.py and datalad/local/rerun.py of DataLad 1.1 to 1.7.
        """
        content = {
            "chain": [],
            "cmd": quote_placeholders(" && ".join(map(shlex.join, self.commands))),
            **({"dsid": dataset_id} if dataset_id else {}),
            "exit": 0,
            "extra_inputs": [],
            "inputs": [*map(quote_pattern, self.inputs), *self.input_patterns],
            "outputs": [*map(quote_pattern, self.outputs)],
            "pwd": folder,
        }
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        return f"[DATALAD RUNCMD] {self.message}\n\n{_START}\n{text}\n{_END}\n"


def _inside(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(one for one in paths if not PurePosixPath(one).is_absolute())
