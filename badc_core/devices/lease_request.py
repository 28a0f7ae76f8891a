"""What work says of itself in lease files: the devices it needs, and who it is.

Other users write such files too, so reading never fails: a value that makes no sense is replaced.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

from badc_core.accounts import user_name
from badc_core.errors import ConfigInvalid

_COUNT = re.compile(r"(?P<least>[1-9][0-9]{0,3})(?P<more>\+|-(?P<most>[1-9][0-9]{0,3}))?")
_MEMORY = re.compile(r"[0-9]{0,8}")
_CPU = "cpu"
_MAX_TEXT = 200


def _to_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_MAX_TEXT])


_Line = Annotated[str, Strict(), AfterValidator(_to_line)]
_Number = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
_Content = TypeVar("_Content")


@dataclass(frozen=True)
class DeviceRequest:
    """Devices that work needs together, all at once or not at all.

    Attributes:
        least: how many GPUs it needs.
        most: how many it can use; None for as many as are idle.
        vram_mib: free memory it needs on each; 0 if unknown.
        on_cpu: it needs the whole CPU rather than GPUs.
    """

    least: Annotated[_Number, Field(ge=1)] = 1
    most: _Number | None = 1
    vram_mib: _Number = 0
    on_cpu: Annotated[bool, Strict()] = False

    @classmethod
    def parse(cls, devices: str, vram_mib: str = "") -> Self:
        """Returns the request that two strings describe.

        Args:
            devices: `2` for two; `1-4` for one, and up to four if they are idle; `1+` for one, and
                all that are idle; `cpu`; empty for one.
            vram_mib: MiB needed on each; empty for any amount.

        Raises:
            ConfigInvalid: either has another form.
        """
        if not _MEMORY.fullmatch(vram_mib):
            raise ConfigInvalid(
                f"invalid GPU memory {vram_mib!r}", remedy="Use a number of MiB, such as 6000"
            )
        if devices == _CPU:
            return cls(on_cpu=True)
        found = _COUNT.fullmatch(devices or "1")
        if not found or (found["most"] and int(found["most"]) < int(found["least"])):
            raise ConfigInvalid(f"invalid device count {devices!r}", remedy="Use 2, 1-4, 1+ or cpu")
        least = int(found["least"])
        most = int(found["most"]) if found["most"] else None if found["more"] else least
        return cls(least, most, int(vram_mib or "0"))

    @classmethod
    def read(cls, content: object) -> "DeviceRequest":
        """Returns the request in a lease file."""
        request = _read(_REQUEST, content)
        if request.on_cpu:
            return cls(on_cpu=True)
        most = None if request.most is None else max(request.least, request.most)
        return replace(request, most=most)

    def __str__(self) -> str:
        if self.on_cpu:
            return "the CPU"
        upper = "" if self.most == self.least else "+" if self.most is None else f"-{self.most}"
        memory = f" with {self.vram_mib} MiB free" if self.vram_mib else ""
        return f"{self.least}{upper} {'GPU' if self.most == 1 else 'GPUs'}{memory}"


@dataclass(frozen=True)
class Holder:
    """The work that has leased a slot, or waits for one.

    Attributes:
        work: what it is, such as a step of a run.
        run_id: Dagster's; empty for other work.
        pid, user: of the process that asked.
        since: UTC, ISO 8601.
        vram_mib: memory it said it needs.
        slots: how many leases it allows on the device, its own included; 0 if unknown.
    """

    work: _Line
    run_id: _Line = ""
    pid: _Number = field(default_factory=os.getpid)
    user: _Line = field(default_factory=user_name)
    since: _Line = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    vram_mib: _Number = 0
    slots: _Number = 0

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Holder":
        """Returns the holder in a lease file."""
        return _read(_HOLDER, content, work="?", pid=0, user="?", since="?")

    def __str__(self) -> str:
        run = f" of run {self.run_id[:8]}" if self.run_id else ""
        return f"{self.work}{run} ({self.user}, pid {self.pid}, since {self.since})"


_REQUEST = TypeAdapter(DeviceRequest)
_HOLDER = TypeAdapter(Holder)


def _read(adapter: TypeAdapter[_Content], content: object, **unknown: Any) -> _Content:
    """Returns a file's content as a dataclass, with other values for those that make no sense."""
    fields = {**unknown, **content} if isinstance(content, Mapping) else unknown
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        senseless = {found["loc"][0] for found in error.errors()}
    kept = {key: value for key, value in fields.items() if key not in senseless}
    return adapter.validate_python({**unknown, **kept})
