"""Where the sun is: when it rises and sets at a place, and when twilight begins and ends."""
