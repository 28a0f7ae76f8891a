"""Where people speak in recordings, and recordings without what they say."""
