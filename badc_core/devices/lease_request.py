"""What a piece of work asks for: how many devices, and how much memory on each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from badc_core.devices.lease_files import told_number
from badc_core.errors import ConfigInvalid

_COUNT = re.compile(r"(?P<least>[1-9][0-9]{0,3})(?P<more>\+|-(?P<most>[1-9][0-9]{0,3}))?")
_MEMORY = re.compile(r"[0-9]{0,8}")
_CPU = "cpu"


@dataclass(frozen=True)
class DeviceRequest:
    """Devices wanted together, all at once or not at all.

    Attributes:
        least: how many GPUs it cannot do without.
        most: how many it can use; None for as many as are idle.
        vram_mib: free memory it needs on each; 0 where it does not say.
        on_cpu: it wants the CPU to itself rather than GPUs.
    """

    least: int = 1
    most: int | None = 1
    vram_mib: int = 0
    on_cpu: bool = False

    @classmethod
    def parse(cls, devices: str, vram_mib: str = "") -> Self:
        """Returns the request that two strings describe.

        Args:
            devices: `2` for two; `1-4` for one, and up to four if they are idle; `1+` for one, and
                all that are idle; `cpu`; empty for one.
            vram_mib: MiB needed on each; empty for no matter how much.

        Raises:
            ConfigInvalid: a string that is none of these.
        """
        if not _MEMORY.fullmatch(vram_mib):
            raise ConfigInvalid(
                f"{vram_mib!r} is no number of MiB", remedy="Write one such as 6000"
            )
        if devices == _CPU:
            return cls(on_cpu=True)
        found = _COUNT.fullmatch(devices or "1")
        if not found or (found["most"] and int(found["most"]) < int(found["least"])):
            raise ConfigInvalid(
                f"{devices!r} is no number of devices", remedy="Write 2, 1-4, 1+ or cpu"
            )
        least = int(found["least"])
        most = int(found["most"]) if found["most"] else None if found["more"] else least
        return cls(least, most, int(vram_mib or "0"))

    @classmethod
    def read(cls, content: object) -> Self:
        """Returns the request a file tells of, as far as it can be understood."""
        told = content if isinstance(content, Mapping) else {}
        if told.get("on_cpu") is True:
            return cls(on_cpu=True)
        least = told_number(told, "least", 0) or 1
        is_open = "most" in told and told["most"] is None
        most = None if is_open else max(least, told_number(told, "most", least))
        return cls(least, most, told_number(told, "vram_mib", 0))

    def __str__(self) -> str:
        if self.on_cpu:
            return "the CPU"
        upper = "" if self.most == self.least else "+" if self.most is None else f"-{self.most}"
        memory = f" with {self.vram_mib} MiB free" if self.vram_mib else ""
        return f"{self.least}{upper} {'GPU' if self.most == 1 else 'GPUs'}{memory}"
