"""Reading audio in place and bringing it to a detector's sample rate."""
