"""The software in an RO-Crate: BADC, what it is made with, and the detectors."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from badc_core.lineage.detectors_used import DetectorUsed

_SOFTWARE = {
    "duckdb": "https://duckdb.org",
    "numpy": "https://numpy.org",
    "pyarrow": "https://arrow.apache.org",
    "soundfile": "https://python-soundfile.readthedocs.io",
}
_TYPE = "SoftwareApplication"
_MODEL_URLS = {
    "birdnet": "https://birdnet.cornell.edu",
    "hawkears": "https://github.com/jhuus/HawkEars",
    "hawkears1": "https://github.com/jhuus/HawkEars",
}
"""Of other detectors the model is the user's own, or there is none: `_package_url`."""


def add_software(
    add: Callable[[str, dict[str, Any]], Any], detectors: Sequence[DetectorUsed]
) -> Any:
    """Adds BADC with what it required, and returns its entity.

    Args:
        add: adds an entity of an identifier and properties, and returns it.
        detectors: those that were used.
    """
    required = [_add_detector(add, one, number) for number, one in enumerate(detectors, 1)]
    for name, url in _SOFTWARE.items():
        properties = {"@type": _TYPE, "name": name, "version": version(name), "url": url}
        required.append(add(f"#{name}", properties))
    return add(
        "#badc",
        {
            "@type": _TYPE,
            "name": "BADC: Bird Acoustic Data Cruncher",
            "version": version("badc"),
            "url": _package_url("badc", version("badc")),
            "description": "The version that exported this crate.",
            "softwareRequirements": required,
        },
    )


def _add_detector(add: Callable[[str, dict[str, Any]], Any], one: DetectorUsed, number: int) -> Any:
    page = _MODEL_URLS.get(one.name)
    properties: dict[str, Any] = {
        "@type": _TYPE,
        "name": one.name,
        "version": one.version,
        "url": page or _package_url(one.name, one.version, one.model_sha256),
        "identifier": _identify_model(one.model_sha256),
    }
    if one.licence:
        text = {"@type": "CreativeWork", "name": one.licence, "description": one.licence}
        properties["license"] = add(f"#licence-of-{one.name}", text)
    return add(f"#detector-{number}", properties)


def _package_url(name: str, of_version: str, sha256: str | None = None) -> str:
    """Returns the address of software that has no page; a crate must give one.

    Source: https://github.com/package-url/purl-spec, type "generic".
    """
    checksum = f"?checksum=sha256:{sha256}" if sha256 else ""
    at_version = f"@{quote(of_version, safe='')}" if of_version else ""
    return f"pkg:generic/{quote(name, safe='')}{at_version}{checksum}"


def _identify_model(sha256: str | None) -> str:
    if sha256 is None:
        return "not known"
    return f"sha256:{sha256}" if sha256 else "no model file"
