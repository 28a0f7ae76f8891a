"""Options of every command that runs a detector: which one, and how its work is spread.

They become settings here. Options of single commands are in `run_options.py` and `orchestrate.py`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import ValidationError

from badc_core.detectors.registry import list_detectors
from badc_core.errors import ConfigInvalid
from badc_core.options import OptionSpec, option_fields
from badc_core.settings import Settings, load_settings
from badc_core.validation import explain_value


class OptionInvalid(ConfigInvalid):
    """An option of the command line, which it names, has a value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """Options as they were given; None, false or empty where they were not.

    Attributes:
        command: what they were given to.
        config: TOML file they are from; None for the command line.
    """

    command: ClassVar[str] = "badc infer run"

    detector: Annotated[str | None, OptionSpec("A registered detector.", "badc.toml's")] = None
    min_score: Annotated[
        float | None, OptionSpec("Weakest score kept, 0 to 1.", default="badc.toml's")
    ] = None
    runner_cmd: Annotated[
        str | None,
        OptionSpec("A program of yours, called with --input CHUNK.wav --output OUT.json."),
    ] = None
    use_hawkears: Annotated[bool, OptionSpec("HawkEars 2, or 1 if it is given arguments.")] = False
    hawkears_args: Annotated[
        tuple[str, ...],
        OptionSpec(
            "Passed to HawkEars 1's analyze.py; may be given again.",
            option="--hawkears-arg",
            key="hawkears.extra_args",
        ),
    ] = ()
    max_gpus: Annotated[int | None, OptionSpec("At most so many GPUs; 0: all.", least=0)] = None
    workers_per_gpu: Annotated[
        int | None, OptionSpec("Workers on each GPU.", option="--worker-per-gpu", least=1)
    ] = None
    cpu_workers: Annotated[
        int | None, OptionSpec("Workers on the CPU; 0: one per core without GPUs.", least=0)
    ] = None
    max_retries: Annotated[
        int | None, OptionSpec("How often a failed chunk is tried again.", "2", least=0)
    ] = None
    max_failed_fraction: Annotated[
        float | None,
        OptionSpec("Exit with 1 if more of the chunks failed.", "0", least=0, most=1),
    ] = None
    resume_completed: Annotated[
        bool, OptionSpec("Skip what an earlier run with these settings has analysed.")
    ] = True
    allow_partial_chunks: Annotated[
        bool, OptionSpec("Also run chunk files that are not complete.")
    ] = False
    chunks_dir: Annotated[
        Path | None,
        OptionSpec(
            "Holds a folder of chunk files for each recording.",
            "artifacts/chunks, in the dataset if there is one",
        ),
    ] = None
    config: Path | None = None

    def anchored(self) -> Self:
        """Returns the same options with whole paths in `runner_cmd`, good in every folder.

        Whole are the program, where it is not looked for in PATH, and arguments that are files.
        """
        try:
            words = shlex.split(self.runner_cmd or "")
        except ValueError:  # said where the command is run
            return self
        whole = [_whole_path(word, is_program=not n) for n, word in enumerate(words)]
        return self if whole == words else replace(self, runner_cmd=shlex.join(whole))

    def settings(self, file: Path) -> Settings:
        """Returns the settings in a file with these options laid on.

        Args:
            file: a `badc.toml`, which need not be there.

        Raises:
            OptionInvalid: options that exclude each other, or a value outside its limits.
            ConfigInvalid: the same in a TOML file of options, or in `file`.
        """
        overrides = self._overrides()
        if self.hawkears_args:
            kept = load_settings(file).detector.hawkears.model_dump()
            overrides["detector"]["hawkears"] = {**kept, "arguments": list(self.hawkears_args)}
        try:
            return load_settings(file, overrides)
        except ConfigInvalid as error:
            load_settings(file)  # which raises where the file alone is to blame
            raise self._blame(error, overrides) from error

    def _blame(
        self, error: ConfigInvalid, overrides: Mapping[str, Mapping[str, Any]]
    ) -> ConfigInvalid:
        """Returns an error about settings as one about the options they came from."""
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            return error
        found = cause.errors()[0]
        section, *rest = (str(one) for one in found["loc"])
        given = overrides.get(section, {})
        keys = [key for key in rest[:1] if key in given] or list(given)
        if not keys:
            return error
        return self._refuse(explain_value(found), *map(self._field, keys))

    def _field(self, key: str) -> str:
        """Returns the option that a setting was put together from."""
        if key == "name" and self.detector is None:
            return "use_hawkears" if self.use_hawkears else "runner_cmd"
        fields = {"name": "detector", "command": "runner_cmd", "hawkears": "hawkears_args"}
        return fields.get(key, key)

    def _overrides(self) -> dict[str, dict[str, Any]]:
        """Returns the options that were given as settings: section -> key -> value."""
        sections = {
            "detector": self._detector(),
            "inference": {
                "max_gpus": self.max_gpus,
                "workers_per_gpu": self.workers_per_gpu,
                "cpu_workers": self.cpu_workers,
                "max_retries": self.max_retries,
                "max_failed_fraction": self.max_failed_fraction,
            },
        }
        given = {
            section: {key: value for key, value in values.items() if value is not None}
            for section, values in sections.items()
        }
        return {section: values for section, values in given.items() if values}

    def _detector(self) -> dict[str, Any]:
        name = self.detector
        if self.runner_cmd and self.use_hawkears:
            raise self._contradiction("runner_cmd", self._called("use_hawkears"))
        if self.runner_cmd:
            if self.detector not in {None, "command"}:
                raise self._contradiction("runner_cmd", f"{self._called('detector')} {name}")
            name = "command"
        elif self.use_hawkears:
            # Arguments are those of HawkEars 1's analyze.py; HawkEars 2 has settings instead.
            name = name or ("hawkears1" if self.hawkears_args else "hawkears")
            if not name.startswith("hawkears"):
                raise self._contradiction("use_hawkears", f"{self._called('detector')} {name}")
        if self.hawkears_args and name != "hawkears1":
            what = "arguments can be passed to HawkEars 1 only"
            raise self._refuse(what, "hawkears_args")
        if self.detector is not None and self.detector not in list_detectors():
            what = f"no detector is called {name!r}, only {', '.join(list_detectors())}"
            raise self._refuse(what, "detector")
        return {"name": name, "min_score": self.min_score, "command": self.runner_cmd or None}

    def _contradiction(self, field: str, other: str) -> ConfigInvalid:
        return self._refuse(f"excludes {other}", field)

    def _refuse(self, what: str, *fields: str) -> ConfigInvalid:
        """Returns the complaint about options, or about the keys of the file they are from."""
        names = ", ".join(map(self._called, fields))
        if self.config is None:
            return OptionInvalid(what, names, f"See: {self.command} --help")
        return ConfigInvalid(f"{names}: {what}", self.config, "Correct the key named")

    def _called(self, field: str) -> str:
        """Returns what somebody calls a field: an option, or a key of their file."""
        found = next(one for one in option_fields(type(self)) if one.name == field)
        return found.option if self.config is None else found.asked.key or f"runner.{field}"


def _whole_path(word: str, is_program: bool) -> str:
    """Returns the whole path of a file that a word of a command names; else the word itself."""
    try:
        is_ours = Path(word).is_file() and ("/" in word or not is_program)
    except (OSError, ValueError):
        return word
    return str(Path(word).absolute()) if is_ours else word
