"""Conversions between samples, milliseconds and seconds, and how numbers are shown.

Inside a recording times are integer samples; in tables integer milliseconds; seconds only in
text for people and at a detector's boundary.
"""

from collections.abc import Sequence


def samples_to_ms(n_samples: int, sample_rate_hz: int) -> int:
    """Returns the time of a sample in milliseconds, rounded half up; exact integer arithmetic."""
    return (2 * 1000 * n_samples + sample_rate_hz) // (2 * sample_rate_hz)


def seconds_to_samples(seconds: float, sample_rate_hz: int) -> int:
    """Returns the nearest whole number of samples."""
    return round(seconds * sample_rate_hz)


def write_seconds(seconds: float) -> str:
    """Returns seconds with all their digits, as people type them: `60`, `3600.125`."""
    exact = float(seconds)
    return str(int(exact)) if exact.is_integer() else repr(exact)


def counted(n: int, noun: str, plural: str = "") -> str:
    """Returns a number and its noun: `1 chunk`, `2 chunks`."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"


def shorten(lines: Sequence[str], most: int) -> list[str]:
    """Returns the first lines, and one that says how many more there are."""
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]


def format_duration(seconds: float) -> str:
    """Returns a duration for people: `0.14 s`, `59.0 s`, `12 min 05 s`, `1,003 h 07 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    whole_s = round(seconds)
    minutes, rest_s = divmod(whole_s, 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest_s:02d} s"
    hours, rest_min = divmod(minutes, 60)
    return f"{hours:,} h {rest_min:02d} min"


def format_bytes(n_bytes: int) -> str:
    """Returns a size for people: `0 B`, `812 kB`, `1.4 GB`, `60.0 TB`; a kB is 1,000 bytes."""
    if n_bytes < 1000:  # noqa: PLR2004
        return f"{n_bytes} B"
    size, unit = n_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if round(size) < 1000:  # noqa: PLR2004
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "kB" else f"{size:.1f} {unit}"
