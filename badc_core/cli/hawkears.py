"""`badc hawkears`: installing HawkEars 2, and seeing whether it works."""

from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.detector_settings import DetectorSettings, HawkEarsSettings
from badc_core.detectors.hawkears.check import CheckResult, check
from badc_core.detectors.hawkears.home import HawkEarsHome, find_home
from badc_core.detectors.hawkears.install import has_nvidia_driver, install
from badc_core.errors import DetectorFailed

hawkears = make_group("Install HawkEars 2 in an environment of its own, and check it.")

Runtime = Annotated[
    str,
    typer.Option(help="Folder for it, as in detector.runtime; empty for the usual one."),
]


@hawkears.command("install")
@taking_options
def install_hawkears(
    out: Output,
    runtime: Runtime = "",
    cuda: Annotated[
        bool | None,
        typer.Option("--cuda/--cpu", help="For an NVIDIA GPU or not; without it, as is here."),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder or zip file to copy the networks from, instead of a download."),
    ] = None,
) -> None:
    """Install HawkEars 2 and its networks; again, to complete or renew it."""
    home = find_home(runtime)
    wants_cuda = has_nvidia_driver() if cuda is None else cuda
    install(home, cuda=wants_cuda, checkpoints=checkpoints, report=out.say)
    out.say("HawkEars is installed. Now run: badc hawkears check")


@hawkears.command("check")
@taking_options
def check_hawkears(
    out: Output,
    runtime: Runtime = "",
    models: Annotated[int, typer.Option(min=1, max=6, help="Networks in the ensemble.")] = 3,
    low_band: Annotated[
        bool, typer.Option("--low-band", help="With the classifier for low sounds.")
    ] = False,
) -> None:
    """Analyse a generated sound, kept loaded and left alone, and compare."""
    settings = DetectorSettings(
        name="hawkears",
        runtime=runtime,
        min_score=0.3,
        hawkears=HawkEarsSettings(models=models, low_band=low_band, use_occurrence=False),
    )
    result = check(settings)
    _show_result(find_home(runtime), result, out)
    if not result.agree:
        raise DetectorFailed(
            f"the loaded HawkEars found {len(result.kept)} sounds, its own command "
            f"{len(result.plain)}, and they differ",
            find_home(runtime).root,
            "Use the version of HawkEars that badc hawkears install brings",
        )


def _show_result(home: HawkEarsHome, result: CheckResult, out: Output) -> None:
    versions = ", ".join(f"{name} {one}" for name, one in result.hello["versions"].items())
    lines = [
        f"Folder: {home.root}",
        f"Versions: {versions}",
        f"Device: {result.hello['device']}",
        f"Networks: {', '.join(result.hello['networks'])}",
        f"Ready in {result.hello['ready_s']:.1f} s",
        f"A test sound: {len(result.kept)} sounds found, {len(result.plain)} by HawkEars alone",
    ]
    if home.has_random_weights:
        lines.append(
            "These networks have random weights, for tests and timing: results mean nothing."
        )
    out.say(*lines)
    out.give(result)
