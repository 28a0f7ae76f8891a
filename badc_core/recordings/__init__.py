"""Which recordings a dataset holds and what each one is: identity, place, time, quality."""
