"""Which species can be where a recording was recorded, at the time of year it was."""
