"""What species are called in the language of those who read a report.

The names are those of BirdNET's labels, in 37 languages, in the package `birdnet-analyzer`. It is
never imported and needs none of its requirements: only its text files are read. They are found by
the scientific name, so they serve every detector that gives one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from badc_core.errors import PackageMissing

LANGUAGES = (
    *("af", "ar", "bg", "ca", "cs", "da", "de", "el", "en_uk", "es", "fi", "fr", "he"),
    *("hr", "hu", "in", "is", "it", "ja", "ko", "lt", "ml", "nl", "no", "pl", "pt_BR"),
    *("pt_PT", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "zh"),
)
"""As the package names them; `in` is Indonesian, `en_uk` the English of Britain."""

_PACKAGE = "birdnet-analyzer"
_FILE = "birdnet_analyzer/labels/V2.4/BirdNET_GLOBAL_6K_V2.4_Labels_{}.txt"
_INSTALL = "Run: pip install --no-deps birdnet-analyzer==2.4.0"
_ENGLISH = "en_uk"
_LANGUAGES_KEPT = 4


@dataclass(frozen=True)
class SpeciesNames:
    """Names in one language.

    Args:
        by_scientific_name: those that differ from what the detector calls them; sounds that are of
            no species go by the detector's own name.
    """

    by_scientific_name: Mapping[str, str]

    @classmethod
    def read(cls, language: str) -> Self:
        """Returns the names in a language; empty: as detectors call them.

        Raises:
            PackageMissing: the lists of names are not installed.
        """
        return cls(_read_names(find_names(language), find_names(_ENGLISH)) if language else {})

    def add_to(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Returns rows with `name`: what the label is called that each is about.

        Args:
            rows: with `label_name` and `scientific_name`.
        """
        return [{**one, "name": self.of(one["label_name"], one["scientific_name"])} for one in rows]

    def of(self, label_name: str, scientific_name: str | None = None) -> str:
        """Returns what a label is called; its own name where the language has none for it.

        Args:
            label_name: what the detector calls it.
            scientific_name: empty or None where it is no species.
        """
        return self.by_scientific_name.get(scientific_name or label_name, label_name)


def find_names(language: str) -> Path:
    """Returns the file of the names in a language, one `Scientific name_Common name` a line.

    Raises:
        PackageMissing: the lists of names are not installed.
    """
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        what = f"species names in other languages are not installed (package {_PACKAGE})"
        raise PackageMissing(what, f"report.language {language}", _INSTALL) from error
    path = Path(str(distribution.locate_file(_FILE.format(language))))
    if not path.is_file():
        what = f"the installed {_PACKAGE} {distribution.version} has no such file of species names"
        raise PackageMissing(what, path, _INSTALL)
    return path


@lru_cache(_LANGUAGES_KEPT)
def _read_names(path: Path, english: Path) -> Mapping[str, str]:
    """Returns the names in a file, without the English ones that stand where it has none."""
    names = _read_file(path)
    if path == english:
        return names
    return dict(names.items() - _read_file(english).items())


def _read_file(path: Path) -> dict[str, str]:
    pairs = (line.partition("_") for line in path.read_text(encoding="utf-8-sig").splitlines())
    return {first: name for first, _, name in pairs if name}
