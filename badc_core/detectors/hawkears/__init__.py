"""HawkEars 1 and 2, in environments of their own."""
