"""The sun on the day of a recording, in words, by clocks at its station."""

from datetime import UTC, datetime, timedelta, timezone

from badc_core.recordings.clock import to_local
from badc_core.recordings.recording import Recording
from badc_core.reports.page import format_clock
from badc_core.sun.days import find_local_day

_WITHOUT = {
    "polar day": "Polar day: the sun does not set",
    "polar night": "Polar night: the sun does not rise",
}


def describe_sun(recording: Recording) -> str:
    """Returns when the sun rises and sets on the date of a recording's start.

    Empty if its place or its time zone is not known.
    """
    latitude, longitude = recording.latitude, recording.longitude
    start, offset_min = recording.start_local, recording.utc_offset_min
    if latitude is None or longitude is None or start is None or offset_min is None:
        return ""
    zone = timezone(timedelta(minutes=offset_min))
    day = find_local_day(latitude, longitude, start.date(), zone)

    def clock(time: datetime) -> str:
        # Those clocks may be changed on that day.
        local = (
            to_local(time.astimezone(UTC), recording.timezone)[0] if recording.timezone else time
        )
        return format_clock(local)

    parts = [_WITHOUT[day.without_sunrise]] if day.without_sunrise else []
    parts += [
        f"{name} {clock(time)}"
        for name, time in (("sunrise", day.sunrise), ("sunset", day.sunset))
        if time
    ]
    if day.dawn and day.dusk:
        parts.append(f"civil twilight from {clock(day.dawn)} to {clock(day.dusk)}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
