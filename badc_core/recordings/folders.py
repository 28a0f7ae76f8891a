"""The place in a recording's folders, and which of them are no place.

Pure functions on text. File names are read in `naming.py`.

A folder is no station where recorders or people make it for a take, a day or a card. Some names
are so for certain (`Data`, a date), wherever they are; others only where a station is above them
(`Card 1`, `Night 2`, `SOUND`), since a station may be called so too.

Sources of the names: user guides of Wildlife Acoustics (Song Meter), Frontier Labs, Zoom (H and F
series), Tascam (DR and Portacapture), Olympus (LS), Sony (PCM, ICD), Sound Devices (7 series,
`24Y08M15`), JEITA DCF 2.0 (`DCIM/100MEDIA`); BirdNET-Pi. Names of copies: Windows, macOS, GNOME.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePosixPath

from badc_core.recordings.naming import MONTHS, read_file_name
from badc_core.recordings.path_templates import compile_template

_YEAR = r"(?:19|20)\d\d"
_MM, _DD = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_YEAR_AND_MONTH = rf"{_YEAR}[-_.]?{_MM}"
_FULL_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)
_FULL_DATE = rf"(?:{_YEAR}[-_. ]?{_MM}[-_. ]?{_DD}|{_DD}[-_. ]{_MM}[-_. ]{_YEAR})"
_SHORT_DATE = rf"\d\d{_MM}{_DD}"
_TIME = r"(?:[T_\- ]?[0-2]\d[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d(?:Z|[+-]\d{4})?)?)"
_DATE = (
    rf"(?:{_FULL_DATE}(?:{_TIME}|[_\-]\d{{1,4}})?|{_YEAR}[-_.]?(?:{_MM}|W[0-5]\d)|{_SHORT_DATE}(?:[T_\-]\d{{3,6}})?"
    rf"|\d\dY\d\dM\d\dD?|{_FULL_MONTH}(?:[-_ ]\d{{1,2}})?|{_MM}[-_.]{_YEAR}"
    rf"|(?:\d{{1,2}}[-_. ]?)?{MONTHS}(?:[-_., ]*\d{{1,2}}(?!\d))?[-_., ]*{_YEAR}"
    rf"|\d{{1,2}}[-_. ]{MONTHS}|{_YEAR}[-_. ]?{MONTHS}(?:[-_. ]?\d{{1,2}})?|{_YEAR})"
)
_SEPARATOR = r"[ _\-.,]{1,3}"
# Words that are counted, and words that a number makes a station's: REC101, SD1.
_COUNTED = (
    r"(?:data|dcim|folder|stereo|multi|mtr|stamina|4ch|zoom|proj(?:ect)?|takes?|sessions?"
    r"|(?:(?:micro ?)?sd|cf)[ _\-]?cards?|cards?|slot|memory|usb"
    r"|days?|nights?|weeks?|months?|visits?|deployments?|part|batch|karte|carte|nacht|nuit|jour"
    r"|new folder|untitled(?: folder)?|(?:sd)?card[a-d]|slot[a-d])"
)
_WORD = (
    r"(?:sounds?|music|voices?|memos?|audio|wavs?|wave|flac|mp3|raw|files?|rec|recorders?"
    r"|recordings?|mono|dawn|dusk|morning|evening|week of|trips?|downloads?|backups?|originals?"
    r"|archives?|uploads?|neuer ordner|nouveau dossier|nueva carpeta|no name|tag|(?:micro ?)?sd)"
)
_NUMBER = r"(?:[ _\-.#]?\d{1,4}|[ _\-][a-e])"
_ITEM = rf"(?:{_DATE}|{_COUNTED}{_NUMBER}?|{_WORD}|REC\d{{4}})"
_LIKELY = re.compile(rf"(?i:[ap]m|{_ITEM}(?:{_SEPARATOR}(?:{_ITEM}|[ap]m)){{0,3}})")
_LONGEST_CODE, _LONGEST_MADE = 4, 60
_NUMBERED = re.compile(rf"(?i:(?:{_WORD}|cf){_NUMBER})")
_ONE_OF_SEVERAL = re.compile(rf"(?i:(?P<word>{_COUNTED}|REC(?=\d{{4}})){_NUMBER})")
_CERTAIN = re.compile(
    rf"(?i:data|dcim)|{_YEAR}|{_YEAR_AND_MONTH}"
    rf"|{_FULL_DATE}(?:{_TIME}|[-_]\w{{1,{_LONGEST_CODE}}})?|\d\dY\d\dM\d\dD?"
    r"|ZOOM\d{4}|FOLDER(?:\d\d|_[A-E])|STEREO|MULTI|MUSIC|VOICE|RECORDER|REC_FILE"
)
_NAMED_DAY = re.compile(rf"(?:{_FULL_DATE}|{_SHORT_DATE})[-_ ]+(?P<name>.*[^\W\d_].*)")
_ENDS_WITH_DATE = re.compile(rf"(?<!\d){_FULL_DATE}{_TIME}?$")
_COPY_WORD = r"(?:another |\d+(?:st|nd|rd|th) )?(?:copy|copie|kopie|copia|kopia)"
_COPY = re.compile(
    rf"(?i:(?:copy of|copie de|kopie von|copia de) (?P<behind>.+)"
    rf"|(?P<before>.+?)(?:[ _\-]*(?:\(\d{{1,2}}\)|\({_COPY_WORD}(?: \d+)?\)"
    rf"|(?<=[ _\-]){_COPY_WORD}(?: ?\(?\d{{1,2}}\)?)?))++)"
)
_MONTH_OR_DAY = re.compile(_DD)
_CARD_SLOT = re.compile(r"(?i:[ab])")
_CAMERA_FOLDER = re.compile(r"\d{3}\w{3,5}")
_AMBIGUOUS_DATE = re.compile(r"\d\d([-_. ])\d\d\1\d\d")
# Everything below these is a recorder's: BirdNET-Pi's tree, and Sony's.
_TREE = re.compile(r"(?:^|(?<=/))(?:BirdSongs|StreamData|By_Date|PRIVATE/SONY|MSSONY)(?:/|$)")
# What the names of a take's files have behind that of their folder.
_TRACK = re.compile(r"(?i:[ _\-](?:tr|trk|track)[ _\-]?\w{0,6})")


def read_place(path_below_root: str, templates: Sequence[str]) -> dict[str, str] | None:
    """Returns the names that the first matching template captures; None if none matches.

    In a template `{name}` captures one folder, `{A|B}` is either word, `*` any one name. A folder
    that recorders or people make for a take, a day or a card is not the location: where a template
    would take one for it, the templates are tried without such folders.

    Names are in Unicode's composed form: macOS writes the letters of one name in two ways.

    Args:
        path_below_root: with forward slashes, from below the recordings folder.
        templates: such as `{study_area}/{location}/*`.

    Raises:
        ConfigInvalid: a template has unbalanced braces or repeats a name.
    """
    *folders, name = path_below_root.split("/")
    kept = _keep_places(folders, name)
    certain = _keep_places(folders, name, only_certain=True)
    tries = [(folders, kept), (kept, kept), (folders, certain)]
    if kept and is_card_slot(kept[-1]):
        tries.append((kept[:-1], kept))
    for tried, places in tries:
        path = "/".join([*tried, name])
        for template in templates:
            match = compile_template(template).fullmatch(path)
            if match is not None and _is_place(match.groupdict().get("location"), tried, places):
                return {
                    name: unicodedata.normalize("NFC", found)
                    for name, found in match.groupdict().items()
                }
    return None


def is_card_slot(name: str) -> bool:
    """Whether a folder may be named for the slot of the card that was copied into it."""
    return _CARD_SLOT.fullmatch(name) is not None


def is_like_made(name: str) -> bool:
    """Whether a name is one that folders for takes, days or cards have, or begins with a date."""
    return _is_likely(name) or _NAMED_DAY.fullmatch(name) is not None


def is_doubtful(name: str) -> bool:
    """Whether a station's name may be that of a made folder.

    Such as `MARSH_20240815`, which would be another on another date, and `Recording 2`.
    """
    is_made = is_like_made(name) or _NUMBERED.fullmatch(name) is not None
    return is_made or _ENDS_WITH_DATE.search(name) is not None


def original_of(name: str) -> str | None:
    """Returns the name that a copy's name is made from, `Data` of `Data (1)`; None for others."""
    match = _COPY.fullmatch(name)
    return None if match is None else match["before"] or match["behind"]


def find_doubtful(path_below_root: str, location: str) -> dict[str, str]:
    """Returns the folders that are read as days or takes of a location and may be stations.

    Folder -> what of its name may be a station's: `Samford` of the day folders `20240815_Samford`
    and `Samford_20240815`, the whole name of a take's folder.
    """
    below, stem = _split_below(path_below_root, location)
    days = {folder: match["name"] for folder in below if (match := _NAMED_DAY.fullmatch(folder))}
    takes = {folder: folder for folder in below if _is_take(folder, stem)}
    named = {
        folder: _ENDS_WITH_DATE.sub("", folder).strip("_- ")
        for folder in below
        if _is_day_of(folder, stem)
    }
    own = {location, ""}
    found = {**takes, **days, **named}
    return {one: said for one, said in found.items() if said not in own and not _is_likely(one)}


def find_numbered(path_below_root: str, location: str) -> dict[str, str]:
    """Returns the folders below a location that are numbered, with their word: `Card 2` -> `card`.

    Where there are several, they may be stations.
    """
    below, _ = _split_below(path_below_root, location)
    numbered = {one: _ONE_OF_SEVERAL.fullmatch(one) for one in below if not _is_certain(one)}
    return {one: match["word"].casefold() for one, match in numbered.items() if match is not None}


def _split_below(path_below_root: str, location: str) -> tuple[list[str], str]:
    """Returns the folders below a location, and the stem of the file in them."""
    *folders, name = unicodedata.normalize("NFC", path_below_root).split("/")
    below = folders[folders.index(location) + 1 :] if location in folders else []
    return below, PurePosixPath(name).stem


def is_short_name(name: str) -> bool:
    """Whether a name behind a date is so short that only recorders write it there, as `AAO`."""
    return len(name) <= _LONGEST_CODE


def _is_place(location: str | None, folders: Sequence[str], places: Sequence[str]) -> bool:
    """Whether a template takes for the location what may be one."""
    return location is None or location in places or location not in folders


def _keep_places(
    folders: Sequence[str], file_name: str, *, only_certain: bool = False
) -> list[str]:
    """Returns the folders of a file without those that were made around it."""
    joined = "/".join(folders)
    tree = _TREE.search(joined)
    inner = tuple(folders[: joined.count("/", 0, tree.start())] if tree else folders)
    counts, made = _count_places(inner, only_certain)
    stem = PurePosixPath(file_name).stem
    kept = len(inner)
    while kept and _is_made(inner[:kept], counts[kept - 1], stem, only_certain):
        # A folder A may be a station's, unless the one it is in is a recorder's too.
        if kept == len(folders) and is_card_slot(inner[-1]) and not made[kept - 1]:
            break
        kept -= 1
    return list(inner[:kept])


@lru_cache(maxsize=1024)
def _count_places(folders: Sequence[str], only_certain: bool) -> tuple[list[int], list[bool]]:
    """Returns for the first 0, 1, 2 ... folders how many are left without made ones at their end.

    Also whether the last of them is made, where others are in it.
    """
    counts, inside, made = [0], [0], [False]
    for n_folders, name in enumerate(folders, 1):
        is_made = _is_made(folders[:n_folders], counts[-1], "", only_certain)
        is_left_out = is_made and (made[-1] or not is_card_slot(name))
        counts.append(inside[-1] if is_left_out else n_folders)
        inside.append(inside[-1] if is_made else n_folders)
        made.append(is_made)
    return counts, made


def _is_made(folders: Sequence[str], n_places: int, stem: str, only_certain: bool) -> bool:
    """Whether the last of some folders is no place: `2024/05/12` only as a whole.

    Args:
        folders: from below the root.
        n_places: how many of those above the last are left without made ones at their end.
        stem: of the file in them, or nothing.
        only_certain: whether to leave names that may be a station's.
    """
    *above, last = folders[-4:]
    if _is_certain(last) or _is_day_of(last, stem):
        return True
    if _MONTH_OR_DAY.fullmatch(last):
        years = [index for index, name in enumerate(above[-2:]) if re.fullmatch(_YEAR, name)]
        is_below_month = bool(above) and re.fullmatch(_YEAR_AND_MONTH, above[-1]) is not None
        return is_below_month or (
            bool(years) and all(map(_MONTH_OR_DAY.fullmatch, above[-2:][years[-1] + 1 :]))
        )
    is_below_dcim = bool(above) and (original_of(above[-1]) or above[-1]).upper() == "DCIM"
    if is_below_dcim and _CAMERA_FOLDER.fullmatch(last):
        return True
    if only_certain or not n_places:
        return False
    if is_card_slot(last) or is_like_made(_without_station(last, folders[n_places - 1])):
        return True
    # Zoom lets users name a take; below a lone folder such a name is more often a station's.
    return (n_places > 1 and _is_take(last, stem)) or _is_short_day_of(last, stem)


@lru_cache(maxsize=4096)
def _is_certain(name: str) -> bool:
    return _CERTAIN.fullmatch(original_of(name) or name) is not None


@lru_cache(maxsize=4096)
def _is_likely(name: str) -> bool:
    is_short = len(name) <= _LONGEST_MADE  # with longer ones the search would take too long
    return is_short and _LIKELY.fullmatch(original_of(name) or name) is not None


def _without_station(folder: str, station: str) -> str:
    """Returns the name of a folder without its station's before or behind it, as in `S1_Data`."""
    name = re.escape(station)
    return re.sub(rf"(?i:^{name}[ _-]+|[ _-]+{name}$)", "", folder)


def _is_day_of(folder: str, stem: str) -> bool:
    """Whether a folder such as `S1_20240815` was made for a day of files that begin like it."""
    is_beginning = stem[: len(folder)].casefold() == folder.casefold()
    return is_beginning and _ENDS_WITH_DATE.search(folder) is not None


def _is_take(folder: str, stem: str) -> bool:
    """Whether a folder was made for the tracks of one take, whose names begin as the folder's."""
    is_beginning = stem.casefold().startswith(folder.casefold())
    return is_beginning and _TRACK.fullmatch(stem[len(folder) :]) is not None


def _is_short_day_of(folder: str, stem: str) -> bool:
    """Whether a folder such as `24-08-15`, which may be a station's, is the day of the file."""
    if not _AMBIGUOUS_DATE.fullmatch(folder) or (clock := read_file_name(stem).clock) is None:
        return False
    days = (clock, clock - timedelta(days=1))
    digits = re.sub(r"\D", "", folder)
    return any(day.strftime(form) == digits for day in days for form in ("%y%m%d", "%d%m%y"))
