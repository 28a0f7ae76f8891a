"""HawkEars 1 and 2, in environments of their own."""

LONGEST_WHOLE_S = 600.0
"""Recordings up to this length are given to HawkEars whole; longer ones are cut there.

Version 2 measures loudness against the loudest moment of the file it is given, and version 1 admits
weaker windows of species that it found elsewhere in the file. What bounds it is memory, which grows
with the file: version 2 held 1.6 GB for 5 min and 2.5 GB for 10 min.
"""
