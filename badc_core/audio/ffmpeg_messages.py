"""What ffmpeg's messages say about a file, and about what is wrong with it.

Pure text, as `-loglevel level+info` writes it; the program is run in `ffmpeg.py`.
"""

import itertools
import re
from dataclasses import dataclass, field

_LINE = re.compile(r"^(?:\[[^\]]* @ [^\]]*\] )*\[(info|warning|error|fatal)\] (.*)$")
_CONTEXT = re.compile(r"\[[^\]]* @ [^\]]*\] ")
_INPUT = re.compile(r"Input #0, (\S+), from ")
_AUDIO = re.compile(r"\s*Stream #0:\d+.*?: Audio: (\w+)")
_VIDEO = re.compile(r"\s*Stream #0:\d+.*?: Video: (?!.*attached pic)")
_TAG = re.compile(r"    (\S.*?)? *: (.*)$")
_AFTER_INPUT = re.compile(r"Stream mapping:|Output #0")
_DURATION = re.compile(r"\s*Duration: (\d+):(\d\d):(\d\d\.\d+)")
_CUT_OFF = re.compile(r"partial file|ended prematurely|Packet corrupt|moov atom not found")
_NO_REASON = re.compile(
    r"Task finished|Terminating thread|Error (opening|submitting|processing|decoding)|"
    r"Decoding error|Conversion failed|Error while|Packet corrupt|corrupt input packet"
)


@dataclass(frozen=True)
class FfmpegReport:
    """What ffmpeg's messages say.

    Attributes:
        container, codec: such as mov and aac; empty where it found none.
        duration_s: by the header; None where ffmpeg guesses it.
        n_tracks: of sound.
        has_picture: whether there is a video too.
        tags: the texts of the whole file, name -> text.
        errors: its messages about damage.
        is_cut_off: whether one of them says that the end is missing.
    """

    version: str = ""
    container: str = ""
    codec: str = ""
    duration_s: float | None = None
    n_tracks: int = 0
    has_picture: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    is_cut_off: bool = False

    @property
    def reason(self) -> str:
        """The message that says most."""
        telling = [one for one in self.errors if not _NO_REASON.match(one)]
        return (telling or list(self.errors) or ["it says nothing"])[0].rstrip(".")


def parse_report(text: str) -> FfmpegReport:
    """Returns what the messages of ffmpeg say."""
    lines = [
        (match[1], _CONTEXT.sub("", match[2]))
        for match in map(_LINE.match, text.splitlines())
        if match is not None
    ]
    said = [line for level, line in lines if level == "info"]
    starts = [number for number, line in enumerate(said) if _INPUT.match(line)]
    ends = [number for number, line in enumerate(said) if _AFTER_INPUT.match(line)]
    about_input = said[starts[0] : min(ends, default=None)] if starts else []
    tracks = [found[1] for line in about_input if (found := _AUDIO.match(line))]
    is_guess = any("Estimating duration from bitrate" in line for _, line in lines)
    return FfmpegReport(
        version=next((line.split()[2] for line in said if line.startswith("ffmpeg version ")), ""),
        container=_INPUT.match(about_input[0])[1].split(",")[0] if about_input else "",  # type: ignore[index]
        codec=tracks[0] if tracks else "",
        duration_s=None if is_guess else _find_duration(about_input),
        n_tracks=len(tracks),
        has_picture=any(map(_VIDEO.match, about_input)),
        tags=_find_tags(about_input),
        errors=tuple(line for level, line in lines if level in {"error", "fatal"}),
        is_cut_off=any(level != "info" and _CUT_OFF.search(line) for level, line in lines),
    )


def _find_duration(lines: list[str]) -> float | None:
    for line in lines:
        if match := _DURATION.match(line):
            return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    return None


def _find_tags(lines: list[str]) -> dict[str, str]:
    """Returns the texts of the whole file; those of its tracks come after the length."""
    tags: dict[str, str] = {}
    name = ""
    for line in itertools.takewhile(lambda one: not _DURATION.match(one), lines):
        if match := _TAG.match(line):
            name = match[1] or name
            tags[name] = f"{tags[name]}\n{match[2]}" if name in tags else match[2]
    return tags
