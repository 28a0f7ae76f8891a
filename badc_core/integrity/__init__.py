"""Whether files are still as they were written."""
