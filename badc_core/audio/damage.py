"""The error for a file that is not whole, with what makes it whole again."""

import re
from pathlib import Path

from badc_core.errors import UnreadableRecording

_CHUNK_FILE = re.compile(r".*_chunk_[0-9]+_[0-9]+\.wav", re.IGNORECASE)


def explain_damage(path: Path, what: str) -> UnreadableRecording:
    """Returns the error for a file in which sound is missing."""
    return UnreadableRecording(
        what, path, cut_again(path) or "Copy it again from the card, or remove it"
    )


def explain_truncation(path: Path, what: str) -> UnreadableRecording:
    """Returns the error for a file whose end is missing, which may still be worth analysing."""
    remedy = (
        "Copy it again from the card; if it is the same there, set accept_truncated = true "
        "under [recordings] in badc.toml to analyse what is left"
    )
    return UnreadableRecording(f"truncated: {what}", path, cut_again(path) or remedy)


def explain_strange(path: Path, what: str) -> UnreadableRecording:
    """Returns the error for a file that another copy would not mend."""
    remedy = "Look at it with another program, then mend its header or remove it"
    return UnreadableRecording(what, path, cut_again(path) or remedy)


def explain_joined(path: Path, what: str) -> UnreadableRecording:
    """Returns the error for a file in which several are joined."""
    return UnreadableRecording(what, path, "Split it into those files, and remove it")


def explain_undecodable(path: Path, reasons: str) -> UnreadableRecording:
    """Returns the error for a file that no decoder here reads, which need not be damaged."""
    remedy = (
        "If another program plays it, convert it to WAV or FLAC with that; if none does, copy it "
        "again from the card, or remove it"
    )
    return UnreadableRecording(f"cannot be decoded ({reasons})", path, cut_again(path) or remedy)


def name_lengths(promised_s: float, there_s: float) -> tuple[str, str]:
    """Returns two lengths for people, with as many digits as they need to differ."""
    for n_digits in range(2, 7):
        texts = f"{promised_s:.{n_digits}f} s", f"{there_s:.{n_digits}f} s"
        if texts[0] != texts[1]:
            break
    return texts


def cut_again(path: Path) -> str:
    """Returns what writes a chunk's file again; empty for a recording."""
    if not _CHUNK_FILE.fullmatch(path.name):
        return ""
    return "Run on its recording, to write it again: badc chunk run FILE --chunk-duration SECONDS"
