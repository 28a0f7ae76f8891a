"""Options that change settings: `--set section.key=value`, and shorter names of often-used ones.

`badc run`, `badc infer run`, `badc infer orchestrate` and run-config files share them. Which
settings there are is in `badc_core/settings.py`.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import ValidationError

from badc_core.cli.absolute_command import absolute_command
from badc_core.cli.assigned_values import read_value
from badc_core.cli.disabled_datalad import VARIABLE, read_disabled_datalad
from badc_core.detectors import stub
from badc_core.detectors.registry import list_detectors
from badc_core.errors import ConfigInvalid, OptionInvalid
from badc_core.options import OptionSpec, option_fields
from badc_core.settings import Settings, load_settings
from badc_core.validation import explain_value

Place: TypeAlias = tuple[str, ...]
"""Section, key and so on of a setting."""

_NAME: Place = ("detector", "name")
_RUNNERS = ("stub_runner", "runner_cmd", "use_hawkears")
"""Options that name a detector without its name; each excludes the others."""
_COMMAND: Place = ("detector", "command")


@dataclass(frozen=True, kw_only=True)
class SettingOptions:
    """Options as they were given; None, false or empty where they were not.

    Attributes:
        command: what they were given to.
        config: TOML file they are from; None for the command line.
        sections: settings in that file, as in badc.toml.
    """

    command: ClassVar[str] = "badc run"

    detector: Annotated[
        str | None, OptionSpec("A registered detector.", "badc.toml's", setting="detector.name")
    ] = None
    min_score: Annotated[
        float | None,
        OptionSpec("Weakest score kept, 0 to 1.", "badc.toml's", setting="detector.min_score"),
    ] = None
    runner_cmd: Annotated[
        str | None,
        OptionSpec(
            "A program of yours, called with --input CHUNK.wav --output OUT.json.",
            setting="detector.command",
        ),
    ] = None
    use_hawkears: Annotated[bool, OptionSpec("HawkEars 2, or 1 if it is given arguments.")] = False
    stub_runner: Annotated[
        bool, OptionSpec("No model: finds nothing, and marks everything as stub.")
    ] = False
    hawkears_args: Annotated[
        tuple[str, ...],
        OptionSpec(
            "Passed to HawkEars 1's analyze.py; may be given again.",
            option="--hawkears-arg",
            key="hawkears.extra_args",
            setting="detector.hawkears.arguments",
        ),
    ] = ()
    max_gpus: Annotated[
        int | None, OptionSpec("At most this many GPUs; 0: all.", setting="inference.max_gpus")
    ] = None
    workers_per_gpu: Annotated[
        int | None,
        OptionSpec(
            "Workers on each GPU.", option="--worker-per-gpu", setting="inference.workers_per_gpu"
        ),
    ] = None
    cpu_workers: Annotated[
        int | None,
        OptionSpec(
            "Workers on the CPU; 0: one per core without GPUs.", setting="inference.cpu_workers"
        ),
    ] = None
    max_retries: Annotated[
        int | None,
        OptionSpec(
            "How often a failed chunk is tried again.", "2", setting="inference.max_retries"
        ),
    ] = None
    max_failed_fraction: Annotated[
        float | None,
        OptionSpec(
            "Exit with 1 if more of the chunks failed.",
            "0",
            setting="inference.max_failed_fraction",
        ),
    ] = None
    record_datalad: Annotated[
        bool | None,
        OptionSpec(
            "Commit results with records, or fail where that is impossible; or never.",
            "where git-annex keeps the dataset",
        ),
    ] = None
    assignments: Annotated[
        tuple[str, ...],
        OptionSpec(
            "Any setting, as section.key=value: see docs/settings.md; may be given again.",
            option="--set",
            key="runner.set",
        ),
    ] = ()
    config: Path | None = None
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def anchored(self, root: Path | None = None) -> Self:
        """Returns the same options with absolute paths in `detector.command`, good in every folder.

        Absolute are the program, where it is not looked for in PATH, and arguments that are files.

        Args:
            root: of a dataset; paths typed there stay, so that they are good in a clone of it too.
        """
        if root is not None and Path.cwd() == root.resolve():
            return self
        return replace(
            self,
            runner_cmd=None if self.runner_cmd is None else absolute_command(self.runner_cmd),
            assignments=tuple(map(self._anchored_assignment, self.assignments)),
        )

    def overrides(self) -> dict[str, dict[str, Any]]:
        """Returns the settings that were given, as `load_settings` takes them.

        Raises:
            OptionInvalid: options that exclude each other, or an assignment that is none.
            ConfigInvalid: the same in a TOML file of options.
        """
        merged: dict[str, dict[str, Any]] = {}
        for place, (value, _) in self._given().items():
            merged = _merge_tables(merged, _nest(place, value))
        return merged

    def settings(self, file: Path) -> Settings:
        """Returns the settings in a file with these options laid on.

        Args:
            file: a `badc.toml`, which need not be there.

        Raises:
            OptionInvalid: options that exclude each other, or a value outside its limits.
            ConfigInvalid: the same in a TOML file of options, or in `file`.
        """
        overrides = self.overrides()
        try:
            settings = load_settings(file, overrides)
        except ConfigInvalid as error:
            load_settings(file)  # which raises where the file alone is to blame
            raise self._blame(error) from error
        if _NAME in self._given() and settings.detector.name not in list_detectors():
            names = ", ".join(list_detectors())
            what = f"no detector is called {settings.detector.name!r}, only {names}"
            raise self._refuse(what, self._given()[_NAME][1])
        return settings

    def _given(self) -> dict[Place, tuple[Any, str]]:
        """Returns each setting that was given: its value, and what the user calls it."""
        given: dict[Place, tuple[Any, str]] = {
            (section, key): (value, f"{section}.{key}")
            for section, values in self.sections.items()
            for key, value in values.items()
        }
        for assignment in self.assignments:
            place, value = self.parse(assignment)
            given[place] = value, f"{self._called('assignments')} {'.'.join(place)}"
        for place, value, called in self._named():
            if place in given and given[place][0] != value:
                other, name = given[place]
                raise self._refuse(f"excludes {name} {other}", called)
            given[place] = value, called
        for key, value in read_disabled_datalad().get("datalad", {}).items():
            given.setdefault(("datalad", key), (value, VARIABLE))
        return given

    def _named(self) -> Iterator[tuple[Place, Any, str]]:
        """Yields the settings that were given by a name of their own."""
        for one in option_fields(type(self)):
            value = getattr(self, one.name)
            if one.spec.setting and value not in (None, "", ()):
                plain = list(value) if isinstance(value, tuple) else value
                yield tuple(one.spec.setting.split(".")), plain, self._called(one.name)
        if self.record_datalad is not None:
            wish = "require" if self.record_datalad else "off"
            yield ("datalad", "record"), wish, self._called("record_datalad")
        yield from self._runner()

    def _runner(self) -> Iterator[tuple[Place, Any, str]]:
        """Yields the detector that an option of its own asks for."""
        chosen = [one for one in _RUNNERS if getattr(self, one)]
        if len(chosen) > 1:
            raise self._refuse(f"excludes {self._called(chosen[1])}", self._called(chosen[0]))
        is_first = self.hawkears_args or self.detector == "hawkears1"
        if self.hawkears_args and not (self.use_hawkears or self.detector == "hawkears1"):
            what = "arguments can be passed to HawkEars 1 only"
            raise self._refuse(what, self._called("hawkears_args"))
        if self.stub_runner:
            yield _NAME, stub.NAME, self._called("stub_runner")
        elif self.runner_cmd:
            yield _NAME, "command", self._called("runner_cmd")
        elif self.use_hawkears:
            yield _NAME, "hawkears1" if is_first else "hawkears", self._called("use_hawkears")

    def parse(self, assignment: str) -> tuple[Place, Any]:
        """Returns the place and value of `section.key=value`."""
        key, equals, text = assignment.partition("=")
        try:
            place = tuple(_places(tomllib.loads(f"{key} = 0")))
        except tomllib.TOMLDecodeError:
            place = ()
        if not equals or len(place) < 2:  # noqa: PLR2004  (section and key)
            what = f"{assignment!r} is not section.key=value, such as detector.min_score=0.3"
            raise self._refuse(what, self._called("assignments"))
        return place, read_value(place, text)

    def _anchored_assignment(self, assignment: str) -> str:
        """Returns an assignment, with absolute paths if it is of `detector.command`."""
        place, value = self.parse(assignment)
        if place != _COMMAND or not isinstance(value, str):
            return assignment
        command = absolute_command(value)
        # A TOML string: JSON's escapes are among TOML's.
        quoted = json.dumps(command, ensure_ascii=False)
        return assignment if command == value else f"detector.command={quoted}"

    def _blame(self, error: ConfigInvalid) -> ConfigInvalid:
        """Returns an error about settings as one about the options they came from."""
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            return error
        for found in cause.errors():
            place = tuple(map(str, found["loc"]))
            called = [name for key, (_, name) in self._given().items() if _overlap(key, place)]
            if called:
                is_unknown = found["type"] == "extra_forbidden"
                what = error.what if is_unknown else explain_value(found)
                return self._refuse(what, *called)
        return error

    def _refuse(self, what: str, *called: str) -> ConfigInvalid:
        """Returns the complaint about options, or about the keys of the file they are from."""
        names = ", ".join(called)
        if self.config is None:
            return OptionInvalid(what, names, f"See: {self.command} --help")
        return ConfigInvalid(f"{names}: {what}", self.config, "Correct the key named")

    def _called(self, name: str) -> str:
        """Returns what the user calls a field: an option, or a key of their file."""
        found = next(one for one in option_fields(type(self)) if one.name == name)
        return found.option if self.config is None else found.spec.key or f"runner.{name}"


def _merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table with another one laid on, table by table."""
    merged = {**base, **over}
    for key in base.keys() & over.keys():
        if isinstance(base[key], Mapping) and isinstance(over[key], Mapping):
            merged[key] = _merge_tables(base[key], over[key])
    return merged


def _nest(place: Place, value: Any) -> dict[str, Any]:
    for key in reversed(place):
        value = {key: value}
    return dict(value)


def _places(table: Any) -> Iterator[str]:
    """Yields the keys of a table of one entry, from the outside inwards."""
    while isinstance(table, dict):
        ((key, table),) = table.items()
        yield key


def _overlap(one: Place, other: Place) -> bool:
    """Returns whether one of two places is in the other."""
    n_shared = min(len(one), len(other))
    return one[:n_shared] == other[:n_shared]
