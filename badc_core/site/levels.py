"""The few shades in which amounts are shown on a map of days or hours, and what each means.

Five can be told apart, and named in a legend; a shade for each amount could be neither.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_LEVELS = 5

SURE_S = 60.0
"""Less time analysed makes one detection a rate that would outshine all others."""


@dataclass(frozen=True)
class Levels:
    """Shades for amounts up to the largest, in steps that grow: small amounts are the most common.

    Args:
        most: the largest amount; those beyond it have its shade.
    """

    most: float

    def of(self, amount: float) -> int:
        """Returns the shade of an amount above 0, from 1 to `N_LEVELS`."""
        return int(self.find(np.float64(amount)))

    def find(self, amounts: NDArray[np.float64] | np.float64) -> NDArray[np.int64]:
        """Returns the shade of each amount; 0 of nothing."""
        return np.searchsorted([self.limit(n) for n in range(N_LEVELS)], amounts)

    def limit(self, level: int) -> float:
        """Returns the largest amount of a shade."""
        return self.most * (level / N_LEVELS) ** 2

    def write_limit(self, level: int) -> str:
        """Returns the largest amount of a shade with three digits that count: `1,070`."""
        return f"{float(f'{self.limit(level):.3g}'):,.9g}"
