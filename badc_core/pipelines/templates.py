"""Texts with placeholders, such as `{input}`, in commands and paths of a pipeline.

A value is put in as it is and never looked into, and no shell sees it: a file may have any name.
"""

from collections.abc import Mapping
from string import Formatter

from badc_core.errors import ConfigInvalid

PLACEHOLDERS = {
    "input": "the file that the job is about",
    "job": "the job's id",
    "stage": "the stage's name",
    "output_dir": "the job's folder, in which stages run",
    "log_dir": "the folder of its logs",
    "config": "the file with the job's settings",
    "pipeline_dir": "the folder of the pipeline's file",
}


def require_placeholders(text: str, where: str) -> None:
    """Makes sure that a text can be filled in.

    Raises:
        ConfigInvalid: there is no such placeholder, or a brace is alone.
    """
    known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        remedy = "Write {{ and }} for braces"
        raise ConfigInvalid(f"{text!r} has a brace of no use ({error})", where, remedy) from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            shown = f"{{{name}{'!' * bool(conversion)}{conversion or ''}{form and f':{form}'}}}"
            what = f"unknown placeholder {shown} in {text!r}; valid: {known}"
            raise ConfigInvalid(what, where, "Write {{ and }} for braces")


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Returns a text with its placeholders replaced."""
    return "".join(
        before + (values[name] if name is not None else "")
        for before, name, _, _ in Formatter().parse(text)
    )


def has_placeholder(text: str) -> bool:
    """Returns whether anything in a text is replaced."""
    return any(name is not None for _, name, _, _ in Formatter().parse(text))
