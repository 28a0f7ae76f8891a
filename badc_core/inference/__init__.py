"""Running detectors over recordings: journals, results, their selection, files of chunks."""
