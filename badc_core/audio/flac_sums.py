"""The checksums in FLAC's frames.

Source: RFC 9639, sections 9.1.8 (CRC-8 of a frame's header) and 9.3 (CRC-16 of a frame).
"""


def header_sum(content: bytes) -> int:
    """Returns the CRC-8 of a frame's header."""
    total = 0
    for one in content:
        total = _TABLE_8[total ^ one]
    return total


def _sum_table(n_bits: int, polynomial: int) -> tuple[int, ...]:
    """Returns the sum of each byte."""
    table = []
    for value in range(256):
        total = value << n_bits - 8
        for _ in range(8):
            total = (total << 1 ^ polynomial) if total >> n_bits - 1 else total << 1
        table.append(total)
    return tuple(table)


_TABLE_8 = _sum_table(8, 0x107)
_TABLE_16 = _sum_table(16, 0x18005)


def is_frame(frame: bytes) -> bool:
    """Returns whether the CRC-16 at the end of a frame is that of the frame.

    Zeros behind a frame do not change the sum.
    """
    if frame.endswith(bytes(8)):
        return False
    total = 0
    for one in frame:
        total = (total << 8 & 0xFFFF) ^ _TABLE_16[total >> 8 ^ one]
    return total == 0
