"""Whether failures are within the fraction that a setting tolerates."""

from fractions import Fraction


def is_tolerated(n: int, fraction: float, total: int) -> bool:
    """Returns whether `n` is at most a fraction of a total.

    The fraction is exact, as written: 0.29 of 100 is 29, where floats give a little less.

    Args:
        n: the number of failures.
        fraction: the share that may fail, 0 to 1.
        total: the number of attempts.
    """
    return n <= Fraction(repr(fraction)) * total
