"""How often a process that holds what is known of an archive is searched for garbage in cycles.

Rows and fingerprints of an archive are many objects without cycles: to look for these at the usual
pace is a fifth of what it costs to find that nothing is due.
"""

import gc


def search_for_cycles_less_often() -> None:
    """Has this process be searched after many more new objects than by default."""
    gc.set_threshold(50_000, 20, 50)
