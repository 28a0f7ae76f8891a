"""Videos and spoken field notes: ten stages from a file to its words and subtitles."""
