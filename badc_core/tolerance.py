"""How many failures a setting tolerates, given as a fraction.

The settings themselves are in `settings.py`.
"""

from fractions import Fraction


def is_tolerated(n: int, fraction: float, total: int) -> bool:
    """Tells whether so many of a total are no more than a fraction of it.

    The fraction is taken as it is written: 0.29 of 100 are 29, of which floats make a little less.

    Args:
        n: how many failed.
        fraction: that may fail, 0 to 1.
        total: out of how many.
    """
    return n <= Fraction(repr(fraction)) * total
