"""The range of a file that was read last, for files that can only be decoded forwards.

Windows overlap, and the last of a chunk reaches into the next: to go back for that would mean to
decode again from the beginning.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class LastRange:
    """Samples that were read.

    Attributes:
        start_sample: the first.
        sound: float32, shape [n_samples].
    """

    start_sample: int = 0
    sound: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def recall(self, start_sample: int, end_sample: int) -> npt.NDArray[np.float32]:
        """Returns what of a range is here, if it begins here; else nothing.

        A copy, since a network of the user's own may change what it is given.
        """
        offset = start_sample - self.start_sample
        if not 0 <= offset < len(self.sound):
            return np.empty(0, np.float32)
        return self.sound[offset : end_sample - self.start_sample].copy()
