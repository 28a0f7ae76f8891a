"""A detector of your own: any program called with `--input CHUNK.wav --output OUT.json`.

What it writes is read by `command_output.py`; how it is run is in `programs.py`.
"""

import shlex
import shutil
from pathlib import Path

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.chunk_files import ChunkFile, spans
from badc_core.detectors.command_output import read_output
from badc_core.detectors.interface import Detection, DetectorIdentity
from badc_core.detectors.programs import (
    ProgramPerChunk,
    describe_exit,
    run_program,
)
from badc_core.errors import ConfigInvalid, DetectorMissing
from badc_core.hashing import sha256_text, sha256_unchanged

USES_GPU = True

_VERSION_LENGTH = 12
_REMEDY = "Set detector.command in badc.toml, or --runner-cmd, to a program that can be run"


class Command(ProgramPerChunk):
    """The program, started once for every chunk."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Takes the settings; raises ConfigInvalid or DetectorMissing."""
        super().__init__()
        self.identity = identify(settings)
        self._command = _words(settings)
        self._min_score = settings.min_score

    def _run(self, batch: ChunkFile) -> list[Detection]:
        output = batch.output / f"{batch.chunk.chunk_id}.json"
        ended = run_program([*self._command, "--input", str(batch.path), "--output", str(output)])
        self._report = ended.report()
        if ended.returncode != 0:
            raise ended.failure(
                f"{self._command[0]} ended with {describe_exit(ended.returncode)}",
                batch.chunk.chunk_id,
                "Run it by hand on a WAV file to see why",
            )
        found = read_output(output, batch.chunk)
        return spans(batch.chunk, (one for one in found if one.confidence >= self._min_score))


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the program's identity, which changes with its command line and its files.

    Its files are the program itself and whatever file its arguments name, such as the script an
    interpreter runs or a model.

    Raises:
        ConfigInvalid: there is no command, or it is not well quoted.
        DetectorMissing: there is no such program.
    """
    words = _words(settings)
    found = shutil.which(words[0])
    if found is None:
        raise DetectorMissing("there is no such program", words[0], _REMEDY)
    files = [found, *filter(_is_file, words[1:])]
    try:
        parts = [*words, *(sha256_unchanged(Path(file)) for file in files)]
    except OSError as error:
        raise DetectorMissing(
            f"cannot be read ({error.strerror})", str(error.filename), _REMEDY
        ) from error
    digest = sha256_text("\0".join(parts))
    return DetectorIdentity("command", digest[:_VERSION_LENGTH], None, "", 0.0, uses_gpu=USES_GPU)


def load(settings: DetectorSettings) -> Command:
    """Returns the detector; raises ConfigInvalid or DetectorMissing."""
    return Command(settings)


def _is_file(word: str) -> bool:
    """Tells whether an argument names a file; one may also be too long to name any."""
    try:
        return Path(word).is_file()
    except (OSError, ValueError):
        return False


def _words(settings: DetectorSettings) -> list[str]:
    """Returns the command line as words, split as a shell would."""
    try:
        words = shlex.split(settings.command)
    except ValueError as error:
        raise ConfigInvalid(
            f"{settings.command!r} is not well quoted ({error})", "detector.command", _REMEDY
        ) from error
    if not words:
        raise ConfigInvalid("the detector `command` has no command", "detector.command", _REMEDY)
    return words
